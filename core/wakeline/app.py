"""The friendly face: `App` declares bodies and starts them; `Handle`, `Session` and `External` talk to what runs.

Invariant: every blocking verb has its awaited twin of the same name on ``app.aio``; both drive the same program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from wakeline import arguments
from wakeline.clock import Clock, ServerClock
from wakeline.engines.engine import Engine, context_name
from wakeline.engines.registry import Registry
from wakeline.errors import RedisNotConfigured, WrongVerb
from wakeline.names import check_namespace, check_process_id, check_queue, session_id
from wakeline.processes.lifecycle import TERMINAL
from wakeline.processes.outputs import Failure, Success
from wakeline.runtime.blocking import Ctx, Turn
from wakeline.runtime.context import AsyncCtx
from wakeline.runtime.options import NOTHING, Options
from wakeline.runtime.service import Service, Status, address_of
from wakeline.runtime.turn import AsyncTurn
from wakeline.sessions.agent import Agent
from wakeline.settings import Settings
from wakeline.store import processes, sessions
from wakeline.store.calls import Change, Program
from wakeline.store.client import Address, AsyncStore, SyncStore
from wakeline.store.connection import Backend, UrlBackend
from wakeline.store.keys import queue_name
from wakeline.store.processes import StoredEvent
from wakeline.tools.tool import Duration, Tool
from wakeline.values import parse_duration

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
LIVE, ENDED = ("running", "waiting", "queued"), ("completed", "failed", "cancelled", "abandoned")


def _as_json(data: Any) -> Any:
    """Without the body's types a result stays what JSON says."""
    return data


class App:
    """One namespace: the bodies it knows and the Redis it lives on. Clients are made on first use, per OS process."""

    def __init__(self, name: str, *, backend: Backend | None = None, settings: Settings | None = None, clock: Clock | None = None) -> None:
        self.settings = settings or Settings.from_env()
        self.namespace = check_namespace(self.settings.namespace or name)
        self.registry = Registry()
        self.clock: Clock = clock or ServerClock()
        self.service = Service(self.namespace, grace_ms=self.settings.grace_ms, now_ms=self.clock.now_ms)
        self._backend = backend
        self._store: SyncStore | None = None
        self._aio: AsyncApp | None = None

    # -- declaring ---------------------------------------------------------------------------------------------------------------

    @overload
    def tool(self, function: Callable[P, Awaitable[R]], /) -> Tool[P, R]: ...
    @overload
    def tool(self, function: Callable[P, R], /) -> Tool[P, R]: ...
    @overload
    def tool(self, /, **options: Any) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
    def tool(self, function: Any = None, /, **options: Any) -> Any:
        """Declares a tool: ``name retries policy backoff max_backoff timeout queue``."""

        def declare(f: Callable[..., Any]) -> Tool[..., Any]:
            return self.registry.add("tool", self.registry.tools, Tool(f, **options))

        return declare(function) if function is not None else declare

    @overload
    def engine(self, function: Callable[Concatenate[AsyncCtx, P], Awaitable[R]], /) -> Engine[P, R]: ...
    @overload
    def engine(self, function: Callable[Concatenate[Ctx, P], R], /) -> Engine[P, R]: ...
    @overload
    def engine(
        self, /, *, name: str | None = None, signals: Mapping[str, Any] | None = None, events: Mapping[str, Any] | None = None, queue: str | None = None
    ) -> Callable[[Callable[Concatenate[Any, P], Any]], Engine[P, Any]]: ...
    def engine(self, function: Any = None, /, **options: Any) -> Any:
        """Declares an engine: ``name signals events queue``."""

        def declare(f: Callable[..., Any]) -> Engine[..., Any]:
            return self.registry.add("engine", self.registry.engines, Engine(f, context=context_name(f), **options))

        return declare(function) if function is not None else declare

    def agent(self, name: str | None = None, *, queue: str | None = None, max_entries: int = 256) -> Callable[[Callable[..., Any]], Agent]:
        """Declares an agent: the function that runs its sessions' turns."""

        def declare(f: Callable[..., Any]) -> Agent:
            return self.registry.add("agent", self.registry.agents, Agent(f, name=name, queue=queue, max_entries=max_entries))

        return declare

    @property
    def queues(self) -> tuple[str, ...]:
        """RQ names of every queue its bodies use."""
        r = self.registry
        named = [*(t.queue for t in r.tools.values()), *(e.queue for e in r.engines.values()), *(a.queue for a in r.agents.values())]
        own = {queue_name(self.namespace, check_queue(queue)) for queue in named if queue}
        return (self.namespace, *sorted(own))

    # -- connecting --------------------------------------------------------------------------------------------------------------

    @property
    def backend(self) -> Backend:
        """Where it lives: the backend it was given, else the URL of the settings; raises `RedisNotConfigured`."""
        if self._backend is None:
            if self.settings.url is None:
                raise RedisNotConfigured()
            self._backend = UrlBackend(self.settings.url, options=self.settings.tls_options())
        return self._backend

    @property
    def address(self) -> Address:
        return Address(self.namespace, self.settings.rq_prefix, self.clock, self.settings.allow_eviction)

    @property
    def store(self) -> SyncStore:
        """The blocking client."""
        if self._store is None:
            self._store = SyncStore(self.backend, self.address)
        return self._store

    def new_async_store(self, *, patient: bool = False) -> AsyncStore:
        """An awaited client for the running loop."""
        return AsyncStore(self.backend, self.address, patient=patient)

    @property
    def aio(self) -> AsyncApp:
        """The awaited twin."""
        if self._aio is None:
            self._aio = AsyncApp(self)
        return self._aio

    def run(self, verb: str, program: Program[T]) -> T:
        """Drives a program; raises `WrongVerb` on a running loop, which a blocking verb would stop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.store.run(program)
        program.close()
        raise WrongVerb(verb=verb, use=f"app.aio … {verb} here, or the verb of the body's context")

    # -- verbs -------------------------------------------------------------------------------------------------------------------

    def using(self, **options: Any) -> Starter:
        """Options for the next start: ``id queue delay wake deadline attempt_timeout queue_timeout max_attempts recovery labels``."""
        return Starter(self, NOTHING.over(**options))

    def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start a process; one round trip."""
        return Starter(self, NOTHING).start(body, *args, **kwargs)

    def handle(self, process_id: str, load: Callable[[Any], R] | None = None) -> Handle[R]:
        """A process by id; nothing is read yet."""
        return Handle(self, check_process_id(process_id, system=True), load or _as_json)

    def session(self, agent: str, key: str) -> Session:
        """A session; the first send, or a start with ``wake=`` it, creates it."""
        known = self.registry.agents.get(agent)
        return Session(self, session_id(agent, key), known.queue if known else None)

    def external(self, name: str, *, id: str | None = None, wake: Session | str | None = None, metadata: dict[str, Any] | None = None) -> External:  # noqa: A002
        """Register work that runs elsewhere and is reported from there."""
        return External(self, self.run("external", self.service.external(name, Options(id=id, wake=wake), metadata)))

    def resolve(self, token: str, value: Any = None) -> bool:
        """Resolve a bearer token; False when it was resolved before. Raises `AwaitEventUnknownOrRevoked`."""
        return self.run("resolve", self.service.resolve(self.store.secret, token, value))

    def processes(
        self, status: str | None = None, *, kind: str | None = None, session: str | None = None, waiting: str | None = None, limit: int = 50
    ) -> list[Status]:
        """Processes of a status ('live', 'any', or one), newest first within each."""
        wanted = {"live": LIVE, "any": LIVE + ENDED, None: LIVE + ENDED}.get(status, (status or "",))
        return self.run("processes", self.service.page(wanted, limit=limit, kind=kind, session=session, waiting=waiting))

    def close(self) -> None:
        """Closes the blocking client."""
        if self._store is not None:
            self._store.close()


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts with options."""

    app: App
    options: Options

    def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        program = self.app.service.start(body, body.signature.bind(*args, **kwargs), self.options)
        return Handle(self.app, self.app.run("start", program), body.signature.load_result)


@dataclass(frozen=True, slots=True)
class Handle(Generic[R]):
    """One process, from outside."""

    app: App
    id: str
    load: Callable[[Any], R]

    def result(self, timeout: Duration | None = None) -> R:
        """Wait for its end. Raises `ProcessFailed`, `ProcessCancelled`, `ProcessAbandoned`, `WaitTimeout`, `ProcessNotFound`."""
        result: R = self.app.run("result", self.app.service.result(self.id, parse_duration(timeout) if timeout is not None else None, self.load))
        return result

    def status(self) -> Status:
        return self.app.run("status", self.app.service.status(self.id))

    def signal(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Send a signal; the same ``key`` again is the same signal. Its sequence."""
        return self.app.run("signal", self.app.service.signal(self.id, name, payload, key)).sequence

    def cancel(self, reason: str = "requested") -> str:
        """Ask it to end; ends it after the grace whatever happens. Its status now."""
        return self.app.run("cancel", self.app.service.cancel(self.id, reason))

    def events(self, *, after: int = 0, follow: bool = False) -> Iterator[StoredEvent]:
        """Its events after a sequence; ``follow`` goes on until the end."""
        while True:
            view = self.app.run("events", _look(self.id, after))
            yield from view.events
            after = view.events[-1].sequence if view.events else after
            if len(view.events) == 256:
                continue
            if not follow or (view.status in TERMINAL and after >= view.int("seq")):
                return
            self.app.store.run(_change(self.id, after))


def _look(process_id: str, after: int) -> Program[processes.ProcessView]:
    view: processes.ProcessView = yield processes.read(process_id, after=after, count=256)
    return view


def _change(process_id: str, after: int) -> Program[None]:
    yield Change(process_id, after, 1000)


@dataclass(frozen=True, slots=True)
class External(Handle[Any]):
    """Work that runs elsewhere, and how it is reported."""

    def __init__(self, app: App, id: str) -> None:  # noqa: A002
        super().__init__(app, id, _as_json)

    def emit(self, event_type: str, payload: Any = None, *, key: str | None = None) -> int:
        """Append an event; its sequence."""
        return self.app.run("emit", self.app.service.emit(self.id, event_type, payload, key, external=True))

    def finish(self, value: Any = None) -> int:
        """Report success."""
        return self.app.run("finish", self.app.service.finish_external(self.id, Success(arguments.dump(value))))

    def fail(self, code: str, message: str) -> int:
        """Report failure."""
        return self.app.run("fail", self.app.service.finish_external(self.id, Failure("external", code, message)))


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a session's history: 'wake', 'input' or 'agent'."""

    n: int
    role: str
    content: Any
    at_ms: int


@dataclass(frozen=True, slots=True)
class Session:
    """One agent's conversation: an inbox, a state, a history, one turn at a time."""

    app: App
    id: str
    queue: str | None = None

    def send(self, text: Any, *, key: str | None = None) -> int:
        """Put input into the inbox; the same ``key`` again is the same input. Its number."""
        return self.app.run("send", self.app.service.send(address_of(self.id, self.app.namespace, self.queue), text, key))

    def ask(self, text: Any, *, key: str | None = None, timeout: Duration = 60) -> Any:
        """Send, and wait for what the turn that takes it returns."""
        address = address_of(self.id, self.app.namespace, self.queue)
        return self.app.run("ask", self.app.service.ask(address, text, key, parse_duration(timeout)))

    def view(self, *, after: int = 0, count: int = 100, entries: int = 50) -> sessions.SessionView:
        """Head, state, history and inbox of one moment."""
        return self.app.run("view", _session(self.id, after, count, entries))

    def history(self, *, after: int = 0, count: int = 100) -> list[Message]:
        """Messages after a number, oldest first."""
        rows = self.view(after=after, count=count).history
        bodies = [(n, cast("dict[str, Any]", arguments.from_text(text)), at) for n, text, at in rows]
        return [Message(n, body["role"], body.get("content"), at) for n, body, at in bodies]

    def state(self) -> dict[str, Any]:
        """The agent's state as of the latest committed turn."""
        text = self.view(count=0).state
        return cast("dict[str, Any]", arguments.from_text(text)) if text else {}

    def turn(self) -> Handle[Any] | None:
        """The turn that runs or waits now, if any."""
        pid = self.view(count=0).head.get("turn")
        return self.app.handle(pid) if pid else None


def _session(sid: str, after: int, count: int, entries: int) -> Program[sessions.SessionView]:
    view: sessions.SessionView = yield sessions.read(sid, after=after, count=count, entries=entries)
    return view


class AsyncApp:
    """The awaited twin of `App`: the same verbs, for handlers that run on an event loop."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._stores: dict[int, AsyncStore] = {}

    @property
    def store(self) -> AsyncStore:
        """The client of the running loop."""
        loop = id(asyncio.get_running_loop())
        if loop not in self._stores:
            self._stores[loop] = self._app.new_async_store()
        return self._stores[loop]

    async def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncHandle[R]:
        return await self.using().start(body, *args, **kwargs)

    def using(self, **options: Any) -> AsyncStarter:
        return AsyncStarter(self, NOTHING.over(**options))

    def handle(self, process_id: str) -> AsyncHandle[Any]:
        return AsyncHandle(self, check_process_id(process_id, system=True), _as_json)

    async def resolve(self, token: str, value: Any = None) -> bool:
        await self.store.open()
        return await self.store.run(self._app.service.resolve(self.store.secret, token, value))

    async def send(self, agent: str, key: str, text: Any, *, dedupe: str | None = None) -> int:
        return await self.store.run(self._app.service.send(address_of(session_id(agent, key), self._app.namespace), text, dedupe))

    @property
    def service(self) -> Service:
        return self._app.service

    async def close(self) -> None:
        store = self._stores.pop(id(asyncio.get_running_loop()), None)
        if store is not None:
            await store.close()


@dataclass(frozen=True, slots=True)
class AsyncStarter:
    """Starts with options, awaited."""

    aio: AsyncApp
    options: Options

    async def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncHandle[R]:
        pid = await self.aio.store.run(self.aio.service.start(body, body.signature.bind(*args, **kwargs), self.options))
        return AsyncHandle(self.aio, pid, body.signature.load_result)


@dataclass(frozen=True, slots=True)
class AsyncHandle(Generic[R]):
    """One process, from outside, awaited."""

    aio: AsyncApp
    id: str
    load: Callable[[Any], R]

    def __await__(self) -> Generator[Any, None, R]:
        return self.result().__await__()

    async def result(self, timeout: Duration | None = None) -> R:
        ms = parse_duration(timeout) if timeout is not None else None
        return await self.aio.store.run(self.aio.service.result(self.id, ms, self.load))

    async def status(self) -> Status:
        return await self.aio.store.run(self.aio.service.status(self.id))

    async def signal(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        return (await self.aio.store.run(self.aio.service.signal(self.id, name, payload, key))).sequence

    async def cancel(self, reason: str = "requested") -> str:
        return await self.aio.store.run(self.aio.service.cancel(self.id, reason))


__all__ = ["App", "AsyncCtx", "AsyncTurn", "Ctx", "External", "Handle", "Message", "Session", "Turn"]
