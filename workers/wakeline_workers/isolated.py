"""The child process of an isolated tool: ``python -m wakeline_workers.isolated <module:app> <file descriptor>``.

Invariant: it runs one call at a time, and never outlives its worker. It ends with the connection, and with its parent
if the system supports that.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from wakeline import errors
from wakeline.app import App
from wakeline.cancellation import CancellationToken
from wakeline.environments.spec import environment
from wakeline.processes.failures import described, leaves_of
from wakeline.run.groups import deciding
from wakeline.run.traces import trace_of
from wakeline.shown import Lines, logger
from wakeline.store.calls import Program
from wakeline.telemetry.headers import headers_of
from wakeline.telemetry.seen import IsolatedSeen
from wakeline.tools.outcome import is_outcome, value_of
from wakeline.tools.tool import CurrentCall, Pending, Tool, current_call
from wakeline.values import from_json, parse_duration, to_json
from wakeline.verbs.attachments import AsyncAttachments, Attachments, AttachmentVerbs

from wakeline_workers.loading import load_app, load_for_work
from wakeline_workers.said import begin_log
from wakeline_workers.streams import keep_output

log = logger("wakeline.worker")
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
LOOK_MS = 500
CLOSED = 70
"""The exit code of a child whose code closed the connection to its worker."""


class Wire:
    """The connection to the worker: one JSON object a line. A thread reads it, so that a cancel arrives while code
    runs."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.calls: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._answers: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._sending, self._saying = threading.Lock(), threading.Lock()
        self._number, self._token = 0, CancellationToken()

    def listen(self) -> None:
        """Listens until the worker is gone, and then ends this process."""
        for line in self._lines():
            given: dict[str, Any] = json.loads(line)
            if "call" in given:
                self.calls.put(given)
            elif "cancel" not in given:
                self._answers.put(given)
            elif given["n"] == self._number:
                self._token.cancel(given["cancel"])
        os._exit(0)

    def _lines(self) -> Iterator[bytes]:
        """A blocking read would keep the connection open even after code has closed it. A look every so often finds
        that it is closed."""
        ready, kept = select.poll(), b""
        ready.register(self._connection.fileno(), select.POLLIN)
        while True:
            if not ready.poll(LOOK_MS):
                continue
            try:
                more = self._connection.recv(1 << 20)
            except OSError:
                os._exit(CLOSED)
            if not more:
                return
            *lines, kept = (kept + more).split(b"\n")
            yield from lines

    def begins(self, number: int) -> CancellationToken:
        """Begins the next call; returns its token."""
        self._token = CancellationToken()
        self._number = number
        return self._token

    def send(self, message: dict[str, Any]) -> None:
        """Sends one message."""
        with self._sending:
            self._connection.sendall(to_json(message).encode() + b"\n")

    def say(self, number: int, verb: str, *args: Any) -> None:
        """Lets the run of a call do something for its code; raises what that raises there."""
        with self._saying:  # one question at a time, so that each thread gets its own answer
            self.send({"say": verb, "args": list(args), "n": number})
            answer = self._answers.get()
        if answer["error"] is not None:
            raise errors.from_json(answer["error"])


def _loaded(target: str) -> App:
    """The app. An instrument that this process cannot load, such as one that binds a port when it is imported, is
    logged and left out: it must not break work."""
    try:
        return load_for_work(target)
    except errors.InstrumentNotFound as missing:
        log.error("%s; calls of isolated tools are not told to it", missing)
        return load_app(target)


def serve(app: App, wire: Wire) -> None:
    """Runs one call after the other, without an end."""
    while True:
        received = wire.calls.get()
        wire.send(_outcome(app, wire, received["call"], received["n"]) | {"peak_kb": _peak_kb()})
        if app.instruments.leaves:
            app.instruments.leaving()  # a worker that leaves kills this process


def _peak_kb() -> int:
    """The most memory that this process had, in KB. It reads Linux' own count, because getrusage(2) begins with the
    value of the parent."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _outcome(app: App, wire: Wire, given: dict[str, Any], number: int) -> dict[str, Any]:
    try:
        tool = app.registry.tool(given["tool"])
    except errors.UnknownName as missing:  # its files are another release's than those that the worker has loaded
        return {"unready": str(missing)}
    mark = current_call.set(_call(app, wire, given, number))
    try:
        with _seen(app, given):
            # A child that ends before this word has run nothing of the call, so another child gets it.
            wire.send({"began": number})
            result = _run(tool, given["args"])
        if is_outcome(result):
            result = value_of(tool.name, result)
        if isinstance(result, Pending):
            return {"pending": result.timeout_ms}
        value = tool.signature.dump_result(result)
        to_json(value, f"The result of {tool.name}")
        return {"returned": value}
    except BaseException as error:  # noqa: BLE001 - the seam to user code: sys.exit and the like end this call, not the child
        return _failed(error)
    finally:
        current_call.reset(mark)


def _seen(app: App, given: dict[str, Any]) -> AbstractContextManager[object]:
    """What instruments are told of while the code of a call runs."""
    if not app.instruments.isolations:
        return nullcontext()
    headers = headers_of(given.get("headers"))  # a worker of the release before gives none
    return app.instruments.isolated(
        IsolatedSeen(given["process_id"], given["tool"], given["attempt"], given["idempotency_key"], headers)
    )


def _failed(raised: BaseException) -> dict[str, Any]:
    """What was raised, in a form that the worker can raise again."""
    final = next((leaf for leaf in leaves_of(raised) if isinstance(leaf, errors.NonRetryable)), None)
    match final or deciding(raised):
        case errors.RetryAfter() as error:
            # A number, because a timedelta would come back as a text that is no duration.
            return {"error": errors.RetryAfter(parse_duration(error.delay) / 1000).to_json()}
        case errors.WakelineError() as error:
            return {"error": error.to_json()}
        case TimeoutError() as error:
            return {"timed_out": described(error)[1]}
        case error:
            return {"raised": [*described(error), trace_of(error)]}


def _run(tool: Tool[..., Any], args: dict[str, Any]) -> Any:
    code = tool.signature.call(tool.function, args)
    if not tool.is_async:
        return code()

    async def awaited() -> Any:
        return await code()

    return asyncio.run(awaited())


def _call(app: App, wire: Wire, given: dict[str, Any], number: int) -> CurrentCall:
    spec = environment(from_json(given["environment"]))
    tool = app.registry.tools.get(given["tool"])
    return CurrentCall(
        tool=given["tool"],
        process_id=given["process_id"],
        idempotency_key=given["idempotency_key"],
        attempt=given["attempt"],
        token=given["token"],
        run_token=wire.begins(number),
        append=lambda event_type, payload: wire.say(number, "append", event_type, payload),
        prepared=given["prepared"],
        leave_note=lambda note: wire.say(number, "leave_note", note),
        tell_trigger=lambda source, payload, key, source_key: wire.say(
            number, "tell_trigger", source, payload, key, source_key
        ),
        environment_of=lambda: spec,
        attachments_of=lambda: _attachments(app, given, is_async=tool is not None and tool.is_async),
    )


def _attachments(app: App, given: dict[str, Any], *, is_async: bool) -> Attachments | AsyncAttachments:
    verbs = AttachmentVerbs(lambda: app.store.blobs, given["owner"], given["givers"])
    if not is_async:

        def block(_: str, program: Program[Any]) -> Any:
            return app.store.run(program)

        return Attachments(block, verbs)

    def drive(_: str, program: Program[Any]) -> Coroutine[Any, Any, Any]:
        return asyncio.to_thread(app.store.run, program)

    return AsyncAttachments(drive, verbs)


def main(target: str, descriptor: int) -> None:
    """Loads the app and serves."""
    # The worker answers signals of the terminal and of the platform, and says when this process has to end.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            return
    connection = socket.socket(fileno=descriptor)
    # Processes that the code forks or starts must not keep the connection of a dead child open.
    connection.set_inheritable(False)
    os.register_at_fork(after_in_child=connection.close)
    wire = Wire(connection)
    threading.Thread(target=wire.listen, daemon=True).start()
    try:
        app = _loaded(target)
    except errors.WakelineError as error:
        log.error("%s%s", error, Lines(trace_of(error.__cause__ or error)))
        wire.send({"unready": str(error)})
        raise SystemExit(1) from error
    wire.send({"ready": os.getpid()})
    serve(app, wire)


if __name__ == "__main__":
    keep_output()
    begin_log(os.environ.get("WAKELINE_LOG", "INFO").upper())
    main(sys.argv[1], int(sys.argv[2]))
