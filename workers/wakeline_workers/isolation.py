"""The children that run isolated tools: kept warm, replaced when they are worn out, killed when their call has to end.

Invariant: a child runs one call at a time, and one whose call did not end by itself never runs another.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

from wakeline import errors
from wakeline.app import App
from wakeline.cancellation import CancellationToken
from wakeline.runtime.isolating import IsolatedCall, IsolatedFailure, Returned, Say
from wakeline.tools.tool import Pending
from wakeline.values import to_json

WORN_OUT = 1_000
"""So many calls of one child, before whatever its code leaks is given back to the system."""
LONGEST_LINE = 64 * 1024 * 1024


class Child:
    """One child process and the connection to it."""

    def __init__(self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self.calls = 0
        self.peak_kb = 0
        self.killed_for: str | None = None
        self.is_free = False
        """Its last call ended by itself."""

    @classmethod
    async def started(cls, target: str) -> Child:
        """A child that has loaded the app. Raises `IsolatedFailure` where it cannot."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "wakeline_workers.isolated", target, str(theirs.fileno())]
        # A session of its own: what the tool's code starts is killed with it.
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True)
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)
        child = cls(process, reader, writer)
        try:
            await child._heard()
        except BaseException:
            child.kill("it was not wanted any more")
            raise
        return child

    async def run(self, call: IsolatedCall, say: Say, cancellation: CancellationToken, grace_ms: int) -> Any:
        """One call to its end."""
        loop = asyncio.get_running_loop()
        late: list[asyncio.TimerHandle] = []

        def cancel() -> None:
            self._send({"cancel": cancellation.reason})
            late.append(loop.call_later(grace_ms / 1000, self.kill, "it was cancelled and did not end within the grace"))

        self.is_free = False
        self._send({"call": call.wire()})

        def cancel_soon() -> None:
            loop.call_soon_threadsafe(cancel)

        take_back = cancellation.on_cancel(cancel_soon)
        try:
            while True:
                heard = await self._heard()
                if "say" not in heard:
                    break
                self._send({"error": _answered(say, heard)})
        finally:
            take_back()
            for timer in late:
                timer.cancel()
        self.calls, self.is_free = self.calls + 1, self.killed_for is None
        self.peak_kb = heard["peak_kb"]
        return _result(heard)

    async def _heard(self) -> dict[str, Any]:
        try:
            line = await self._reader.readline()
        except (OSError, ValueError) as error:
            raise IsolatedFailure("tool_process_died", f"its process cannot be understood: {error}") from error
        if not line.endswith(b"\n"):
            raise IsolatedFailure("tool_process_killed" if self.killed_for else "tool_process_died", await self._epitaph())
        heard: dict[str, Any] = json.loads(line)
        return heard

    async def _epitaph(self) -> str:
        code = await asyncio.to_thread(self._process.wait)
        if self.killed_for:
            return f"its process was killed: {self.killed_for}"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}; what it wrote to stderr says why"

    def _send(self, message: dict[str, Any]) -> None:
        with suppress(OSError):  # whoever listens next finds that it is gone
            self._writer.write(to_json(message).encode() + b"\n")

    def kill(self, why: str) -> None:
        """SIGKILL to the child and all that its code started."""
        self.killed_for = self.killed_for or why
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def bury(self) -> None:
        """After a kill: no zombie and no open connection."""
        self._writer.close()
        await asyncio.to_thread(self._process.wait)


def _answered(say: Say, heard: dict[str, Any]) -> dict[str, object] | None:
    try:
        say(heard["say"], heard["args"])
    except errors.WakelineError as error:
        return error.to_json()
    return None


def _result(heard: dict[str, Any]) -> Any:
    if "pending" in heard:
        return Pending(heard["pending"])
    if "returned" in heard:
        return Returned(heard["returned"])
    if "error" in heard:
        raise errors.from_json(heard["error"])
    raise IsolatedFailure(*heard["raised"])


class IsolatedTools:
    """The children of one worker: ``most`` at once, each replaced after `WORN_OUT` calls or once it had used more than ``memory_mb``."""

    def __init__(self, target: str, *, most: int, memory_mb: int) -> None:
        self._target, self._memory_kb = target, memory_mb * 1024
        self._room = asyncio.Semaphore(most)
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._buried: set[asyncio.Task[None]] = set()

    async def call(self, call: IsolatedCall, say: Say, cancellation: CancellationToken, grace_ms: int) -> Any:
        """See `Isolation`."""
        async with self._room:
            child = self._idle.pop() if self._idle else await Child.started(self._target)
            self._busy.add(child)
            try:
                return await child.run(call, say, cancellation, grace_ms)
            finally:
                self._busy.discard(child)
                if child.is_free and child.calls < WORN_OUT and child.peak_kb <= self._memory_kb:
                    self._idle.append(child)
                else:
                    self._dismiss(child, "its call was given up")

    def _dismiss(self, child: Child, why: str) -> None:
        child.kill(why)
        task = asyncio.get_running_loop().create_task(child.bury())
        self._buried.add(task)
        task.add_done_callback(self._buried.discard)

    async def close(self) -> None:
        """Kills all children: their calls are handed back with the worker's other work."""
        for child in [*self._idle, *self._busy]:
            self._dismiss(child, "its worker leaves")
        self._idle.clear()
        while self._buried:
            await asyncio.wait(self._buried)


def isolation_of(app: App) -> IsolatedTools | None:
    """The children of a worker of this app; None where it has no isolated tool, or was not loaded by a name that a child could load it by."""
    if app.target is None or not any(tool.isolation for tool in app.registry.tools.values()):
        return None
    return IsolatedTools(app.target, most=app.settings.isolated, memory_mb=app.settings.isolated_memory_mb)
