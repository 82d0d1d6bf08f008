"""The isolates that run isolated tools: they are kept warm, replaced when they are worn out, and killed when their call
has to end.

Invariant: an isolate runs one call at a time. If a call did not end by itself, its isolate never runs another. What a
call leaves behind reaches no other call.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from wakeline import errors
from wakeline.app import App
from wakeline.cancellation import CancellationToken
from wakeline.run.isolation import IsolatedCall, IsolatedFailure, NotReady, Returned, Say
from wakeline.store.claims import Claim, FreeIsolates
from wakeline.tools.tool import Pending
from wakeline.values import to_json

from wakeline_workers.isolate_line import IsolateLine

WORN_OUT = 1_000
"""How many calls one isolate runs before it is replaced, so that leaked memory returns to the system."""
START_S = 120.0
"""How long an isolate may take to load the app, in seconds."""
LEAVES_S = 0.5
"""How long a process that closed its connection may take to end, in seconds."""
TRIES = 3
"""To how many isolates one call is given while each ends before it begins the call."""


class _NotTaken(Exception):
    """An isolate ended before it said that it begins the call: nothing of the call ran. The message says how."""


class Isolate:
    """One operating system process for isolated tools, and the connection to it."""

    def __init__(self, process: asyncio.subprocess.Process, line: IsolateLine) -> None:
        self._process, self._line = process, line
        self._exited = asyncio.ensure_future(process.wait())
        self._exited.add_done_callback(lambda _: line.finish())
        self.calls = 0
        self._has_begun = False
        """Whether it said that it begins the code of the current call."""
        self.peak_kb = 0
        self.killed_for: str | None = None
        self.is_free = False
        """Whether it is ready, and its last call ended by itself."""

    @classmethod
    async def started(cls, target: str) -> Isolate:
        """An isolate that has loaded the app. Raises `NotReady` if it cannot be started, ends, or cannot load it."""
        try:
            isolate = await cls._begun(target)
        except OSError as error:
            raise NotReady(f"that process could not be started: {error}") from error
        try:
            heard = await asyncio.wait_for(isolate._heard(), START_S)
            if "unready" in heard:
                raise NotReady(f"that process could not load its app. {heard['unready'].rstrip('.')}")
        except TimeoutError:
            raise NotReady(f"that process did not load its app within {START_S:g} s") from None
        except (_NotTaken, IsolatedFailure) as ended:
            raise NotReady(f"that process ended before it had loaded its app: {ended}") from ended
        else:
            isolate.is_free = True
            return isolate
        finally:
            if not isolate.is_free:
                isolate.kill("it was not ready, or not wanted any more")
                await isolate.bury()

    @classmethod
    async def _begun(cls, target: str) -> Isolate:
        ours, theirs = socket.socketpair()
        try:
            # A separate session: processes that the tool's code starts are killed with it.
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "wakeline_workers.isolated", target, str(theirs.fileno()),
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, IsolateLine(ours))

    @property
    def is_alive(self) -> bool:
        """Whether it can be given a call."""
        if self._exited.done() or self._line.ended:
            return False
        try:
            # The loop may not know yet.
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    async def run(
        self, call: IsolatedCall, say: Say, cancellation: CancellationToken, *, grace_ms: int, timeout_ms: int | None
    ) -> Any:
        """Runs one call to its end. Raises `TimeoutError` once it takes longer than its timeout."""
        loop = asyncio.get_running_loop()
        number, over = self.calls + 1, False
        late: list[asyncio.TimerHandle] = []

        def cancel() -> None:
            # Another thread asks for it, so it may come when the call has ended and the isolate has another one.
            if not over:
                self._send({"cancel": cancellation.reason, "n": number})
                late.append(
                    loop.call_later(grace_ms / 1000, self.kill, "it was cancelled and did not end within the grace")
                )

        def cancel_soon() -> None:
            loop.call_soon_threadsafe(cancel)

        self.is_free = self._has_begun = False
        self._send({"call": call.wire(), "n": number})
        take_back = cancellation.on_cancel(cancel_soon)
        try:
            limit = timeout_ms / 1000 if timeout_ms is not None else None
            heard = await asyncio.wait_for(self._outcome(number, say), limit)
        except TimeoutError as error:
            raise TimeoutError(f"it took longer than its timeout of {timeout_ms} ms") from error
        finally:
            over = True
            take_back()
            for timer in late:
                timer.cancel()
        self.calls, self.is_free = number, self.killed_for is None
        self.peak_kb = heard["peak_kb"]
        if "unready" in heard:
            raise NotReady(f"that process has loaded an app without it. {heard['unready'].rstrip('.')}")
        return _result(heard)

    async def _outcome(self, number: int, say: Say) -> dict[str, Any]:
        while True:
            heard = await self._heard()
            if "began" in heard:
                self._has_begun = True
                continue
            if "say" not in heard:
                return heard
            # A thread that an earlier call left behind still sends; its messages are ignored.
            error = (
                _answered(say, heard)
                if heard["n"] == number
                else errors.WrongVerb(verb="What an ended call says", use="it before it ends").to_json()
            )
            self._send({"error": error, "n": heard["n"]})

    async def _heard(self) -> dict[str, Any]:
        try:
            line = await self._line.line()
        except ValueError as error:
            raise IsolatedFailure("tool_process_died", f"its process cannot be understood: {error}") from error
        if line is None:
            raise await self._end()
        heard: dict[str, Any] = json.loads(line)
        return heard

    async def _end(self) -> Exception:
        """What its end means for the call. If it closed its connection and goes on, what still runs there is of no
        use, and it is killed."""
        was_wanted = self.killed_for is None
        if not self._exited.done():
            await asyncio.wait({self._exited}, timeout=LEAVES_S)
        if not self._exited.done():
            self.kill("it closed its connection and went on")
        how = self._epitaph(await asyncio.shield(self._exited))
        if was_wanted and not self._has_begun:
            return _NotTaken(how)
        return IsolatedFailure("tool_process_killed" if self.killed_for else "tool_process_died", how)

    def _epitaph(self, code: int) -> str:
        if self.killed_for:
            return f"its process was killed: {self.killed_for}"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}; what it wrote to stderr says why"

    def _send(self, message: dict[str, Any]) -> None:
        self._line.send(to_json(message).encode())

    def kill(self, why: str) -> None:
        """SIGKILL to the isolate and all that its code started."""
        self.killed_for = self.killed_for or why
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def bury(self) -> None:
        """After a kill: leaves no zombie and no open connection."""
        self._line.close()
        await asyncio.shield(self._exited)


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
    if "timed_out" in heard:
        raise TimeoutError(heard["timed_out"])
    raise IsolatedFailure(*heard["raised"])


class IsolatedClaims:
    """The claims of one worker whose code runs in isolates: it claims no more of them than it has free isolates.
    Used on its loop."""

    def __init__(self, codes: tuple[str, ...], most: int) -> None:
        self._codes, self._most = codes, most
        self._claims: set[str] = set()

    @classmethod
    def of(cls, app: App) -> IsolatedClaims:
        """Of a worker of this app."""
        return cls(app.registry.isolated_codes if app.target is not None else (), app.settings.isolated)

    def begin(self, claim: Claim) -> None:
        """Notes any claim."""
        if claim.code in self._codes:
            self._claims.add(claim.fence.claim_id)

    def end(self, claim_id: str) -> None:
        """Notes the end of any claim, or of its body."""
        self._claims.discard(claim_id)

    @property
    def free(self) -> FreeIsolates | None:
        """The free isolates; None if none is needed."""
        return FreeIsolates(max(0, self._most - len(self._claims)), self._codes) if self._codes else None


class IsolatedTools:
    """The isolates of one worker: at most ``most`` at once. Each is replaced after `WORN_OUT` calls, or once it has
    used more than ``memory_mb``."""

    def __init__(self, target: str, *, most: int, memory_mb: int) -> None:
        self._target, self._memory_kb = target, memory_mb * 1024
        self._room = asyncio.Semaphore(most)
        self._idle: list[Isolate] = []
        self._busy: set[Isolate] = set()
        self._buried: set[asyncio.Task[None]] = set()

    async def call(
        self, call: IsolatedCall, say: Say, cancellation: CancellationToken, *, grace_ms: int, timeout_ms: int | None
    ) -> Any:
        """See `Isolation`."""
        async with self._room:
            tries = 0
            while True:
                isolate = self._warm() or await Isolate.started(self._target)
                self._busy.add(isolate)
                try:
                    return await isolate.run(call, say, cancellation, grace_ms=grace_ms, timeout_ms=timeout_ms)
                except _NotTaken as ended:
                    tries += 1
                    if tries == TRIES:
                        raise IsolatedFailure("tool_process_died", str(ended)) from ended
                finally:
                    self._busy.discard(isolate)
                    if isolate.is_free and isolate.calls < WORN_OUT and isolate.peak_kb <= self._memory_kb:
                        self._idle.append(isolate)
                    else:
                        self._dismiss(isolate, "its call was given up")

    def _warm(self) -> Isolate | None:
        while self._idle:
            isolate = self._idle.pop()
            if isolate.is_alive:
                return isolate
            self._dismiss(isolate, "it ended between two calls")
        return None

    def _dismiss(self, isolate: Isolate, why: str) -> None:
        isolate.kill(why)
        task = asyncio.get_running_loop().create_task(isolate.bury())
        self._buried.add(task)
        task.add_done_callback(self._buried.discard)

    async def close(self) -> None:
        """Kills all isolates. Their calls are handed back with the worker's other work."""
        for isolate in [*self._idle, *self._busy]:
            self._dismiss(isolate, "its worker leaves")
        self._idle.clear()
        while self._buried:
            await asyncio.wait(self._buried)


def isolation_of(app: App) -> IsolatedTools | None:
    """The isolates of a worker of this app; None if it has no isolated tool, or was not loaded by a name that an
    isolate could load."""
    if app.target is None or not any(tool.isolation for tool in app.registry.tools.values()):
        return None
    return IsolatedTools(app.target, most=app.settings.isolated, memory_mb=app.settings.isolated_memory_mb)
