"""`App`: one namespace, the bodies that it declares, the Redis that it lives on, and the blocking verbs of a client.

Invariant: every blocking verb has its awaited twin of the same name on ``app.aio``; both drive the same program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from wakeline.attachments.backend import BlobBackend, Blobs
from wakeline.attachments.choosing import chosen_backend
from wakeline.body.execution import ExecutionContext, outside
from wakeline.client.aio import AsyncApp
from wakeline.client.drivers import AwaitedDriver, BlockingDriver
from wakeline.client.externals import External
from wakeline.client.handles import Handle, as_json, check_load
from wakeline.client.many import Many
from wakeline.client.sessions import Session
from wakeline.client.starters import Starter
from wakeline.client.triggers import Source, Trigger
from wakeline.clock import Clock, ServerClock
from wakeline.declaring import Declarations
from wakeline.engines.declared import declared_events, event_types_of
from wakeline.engines.engine import Engine
from wakeline.engines.registry import ReplayMode, check_replay
from wakeline.environments.spec import EnvironmentSpec
from wakeline.environments.spec import environment as captured
from wakeline.errors import RedisNotConfigured
from wakeline.names import called, check_namespace, session_id
from wakeline.observe.approvals import ApprovalView
from wakeline.observe.doctor import Diagnosis
from wakeline.observe.entries import EntryView
from wakeline.observe.fleet import FleetView
from wakeline.observe.metrics import MetricsView
from wakeline.observe.processes import Status
from wakeline.observe.query import ProcessQuery
from wakeline.observe.sessions import SessionView
from wakeline.observe.waits import ProcessWait
from wakeline.pages import Page
from wakeline.releases import Declared
from wakeline.settings import Settings
from wakeline.store.address import Address
from wakeline.store.awaited import AsyncStore
from wakeline.store.backends import backend_of
from wakeline.store.blobs import RedisBlobs
from wakeline.store.blocking import SyncStore
from wakeline.store.calls import Program
from wakeline.store.connection import Backend
from wakeline.telemetry.instrument import Instrument
from wakeline.tools.tool import Duration, Tool
from wakeline.verbs import answers, approvals, inbox, looks, queues, sessions, starts, why
from wakeline.verbs.attachments import Attachments
from wakeline.verbs.caller import Caller
from wakeline.verbs.fleet import FleetVerbs
from wakeline.verbs.options import NOTHING, Options, StartOptions, WakeTarget, session_named

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class App(Declarations):
    """One namespace: the bodies that it knows and the Redis that it lives on. Clients are made on first use, per OS
    process."""

    def __init__(
        self,
        name: str,
        *,
        backend: Backend | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        environment: EnvironmentSpec | dict[str, Any] | None = None,
        attachments: BlobBackend | None = None,
        replay: ReplayMode = "strict",
        instrument: Instrument | None = None,
    ) -> None:
        """``replay`` says what follows if a body asks for a new effect and has not asked for all recorded ones. With
        ``"strict"`` that is a mismatch. With ``"tell"`` the log says so and the body goes on. Raises `SettingsInvalid`
        for any other word."""
        self.settings = settings or Settings.from_env()
        super().__init__(check_namespace(self.settings.namespace or name), captured(environment))
        self.registry.replay = check_replay(replay)
        if instrument is not None:
            self.observe(instrument)
        self.name = check_namespace(name)
        """The name that tells this app from others in the same namespace."""
        self.target: str | None = None
        """``module:attribute`` by which another process finds the app; None if this process did not find it by name."""
        self.clock: Clock = clock or ServerClock()
        self.caller = Caller(
            self.namespace,
            grace_ms=self.settings.grace_ms,
            tombstone_ms=self.settings.tombstone_ms,
            now_ms=self.clock.now_ms,
            environment=self.registry.environment,
            registry=self.registry,
        )
        self._backend = backend
        self._store: SyncStore | None = None
        self._attachments = attachments or chosen_backend(self.settings.attachments)
        self._client = BlockingDriver(self.caller, lambda: self.store)
        self._fleet = FleetVerbs(
            self.settings,
            self.registry,
            self.clock,
            lambda: self.queues,
            lambda: self.declared,
            lambda: self.known_queues,
            self._looking_store,
        )
        self._aio = AsyncApp(AwaitedDriver(self.caller, self.new_async_store), self.registry, self._fleet)

    # -- connecting

    @property
    def backend(self) -> Backend:
        """The backend that it was given, or the URL of the settings; raises `RedisNotConfigured`."""
        if self._backend is None:
            if self.settings.url is None:
                raise RedisNotConfigured()
            self._backend = backend_of(
                self.settings.url,
                self.namespace,
                rq_prefix=self.settings.rq_prefix,
                options=self.settings.tls_options(),
            )
        return self._backend

    def connect(self, backend: Backend) -> None:
        """Use this backend from now on, as demo, dev and tests do. Clients of another backend are closed."""
        self.close()
        self._backend, self._store = backend, None

    @property
    def address(self) -> Address:
        """Namespace, RQ prefix and clock, as clients need them."""
        return Address(
            self.namespace,
            self.settings.rq_prefix,
            self.clock,
            self.settings.allow_eviction,
            beat_ms=self.settings.beat_ms,
        )

    @property
    def declared(self) -> Declared:
        """What this release declares to the whole fleet: limits, agents and schedules."""
        return Declared(
            self.name,
            self.settings.release,
            self.limits,
            self.registry.policies,
            tuple(self.registry.schedules.values()),
        )

    @property
    def store(self) -> SyncStore:
        """The blocking client."""
        if self._store is None:
            self._store = SyncStore(self.backend, self.address, self._blobs())
            self._store.instruments = self.instruments
            self._store.rewound.append(self.caller.forget)
        return self._store

    def new_async_store(self, *, patient: bool = False) -> AsyncStore:
        """An awaited client for the running loop."""
        store = AsyncStore(self.backend, self.address, self._blobs(), patient=patient, tailers=self.store.tailers)
        store.instruments = self.instruments
        store.rewound.append(self.caller.forget)
        return store

    def _looking_store(self) -> SyncStore:
        return SyncStore(self.backend, replace(self.address, only_looks=True))

    def _blobs(self) -> Blobs:
        own = RedisBlobs(self.backend, self.address.prefix)
        return (
            Blobs.of(self.namespace, self._attachments, own)
            if self._attachments is not None
            else Blobs.of(self.namespace, own)
        )

    @property
    def attachments(self) -> Attachments:
        """Attachments that this host owns. They are kept until they are deleted. Code with the app may read all."""
        return self._client.attachments()

    @property
    def many(self) -> Many:
        """Verbs for all processes that a filter fits."""
        return Many(self._client)

    @property
    def aio(self) -> AsyncApp:
        """The awaited twins of the verbs below."""
        return self._aio

    def run(self, verb: str, program: Program[T]) -> T:
        """Drives a program. Raises `WrongVerb` on a running loop and in a body, because a blocking verb would stop
        them."""
        return self._client.run(verb, program)

    # -- verbs

    def using(self, **options: Unpack[StartOptions]) -> Starter:
        """Options for the next start: ``id queue delay at wake deadline attempt_timeout queue_timeout max_attempts
        recovery labels``."""
        return Starter(self._client, NOTHING.over(**options))

    def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start a process; one round trip. Raises `InvalidArguments`, `PayloadTooLarge`."""
        return Starter(self._client, NOTHING).start(body, *args, **kwargs)

    def start_many(
        self,
        body: Engine[..., R] | Tool[..., R],
        rows: Iterable[Mapping[str, Any]],
        *,
        ids: Sequence[str] | None = None,
    ) -> list[Handle[R]]:
        """Start a process for each row of named arguments, hundreds in one write. All rows are checked before the first
        start."""
        return Starter(self._client, NOTHING).start_many(body, rows, ids=ids)

    @overload
    def handle(self, process_id: str) -> Handle[Any]: ...
    @overload
    def handle(self, process_id: str, load: Engine[..., R] | Tool[..., R]) -> Handle[R]: ...
    @overload
    def handle(self, process_id: str, load: Callable[[Any], R]) -> Handle[R]: ...
    def handle(
        self, process_id: str, load: Engine[..., Any] | Tool[..., Any] | Callable[[Any], Any] = as_json
    ) -> Handle[Any]:
        """A process by id; nothing is read yet. ``load`` says of which type its result is: the engine or the tool that
        it runs, or a function that turns JSON data into it."""
        return Handle(self._client, called(process_id), check_load(load))

    def session(self, agent: str, key: str) -> Session:
        """A session. The first send, or the first start with ``wake=<session>``, creates it."""
        named = session_id(agent, key)
        known = self.registry.agents.get(agent)
        return Session(self._client, named, known.queue if known else None)

    def external(
        self,
        name: str,
        *,
        id: str | None = None,
        wake: WakeTarget | str | None = None,
        metadata: dict[str, Any] | None = None,  # noqa: A002
        events: Mapping[str, Any] | None = None,
    ) -> External:
        """Register work that runs elsewhere and is reported from there.

        The same ``id`` again is the same work. ``events`` maps names to payload types (or `Event`) of what may be
        reported besides ``log`` and ``progress``, also for work that an earlier release registered.
        """
        program = starts.external(self.caller, name, Options(id=id, wake=wake), metadata, events)
        return External(
            self._client, self.run("app.external", program), as_json, event_types_of(declared_events(name, events))
        )

    def trigger(self, source: str, kind: Any = Any) -> Trigger:
        """A source of occurrences, such as ``github.push``. ``.emit`` records what happened, and ``.subscribe`` lets
        bodies start by it. ``kind`` is the type of its payloads."""
        return Trigger(self._client, Source.of(self.caller, source, kind))

    def execution(self, session: Session | str | None = None) -> ExecutionContext:
        """The execution context of this host code. Host code is no process, so the context has facts, and its verbs
        name what to use instead."""
        return outside(self.namespace, self.registry, session_named(session)[0] if session is not None else None)

    def resolve(self, token: str, value: Any = None) -> bool:
        """Resolve a bearer token; False when it was resolved before. Raises `AwaitEventUnknownOrRevoked`."""
        return self.run("app.resolve", self._resolve(token, value))

    def _resolve(self, token: str, value: Any) -> Program[bool]:
        # A separate program, because reading the secret connects; `run` has to check first that this may block.
        accepted = yield from answers.resolve(self.caller, self.store.keyring_for(token), token, value)
        return accepted

    def approvals(self, after: ApprovalView | str | None = None, limit: int = 50) -> Page[ApprovalView]:
        """Approvals that can be answered now, those that were asked first first; no scan. ``after``: the last one of a
        page, or its cursor. ``.more`` says whether there are others."""
        return self.run("app.approvals", approvals.open_page(after, limit))

    def answer(self, approval: ApprovalView | str, value: Any = None) -> bool:
        """Answer an open approval of that list, or of its id, without a token. False if another answer came at the
        same moment and was first. Raises `PayloadSchemaMismatch`, and once it is no longer listed `ApprovalAnswered`
        (within 7 days after its answer) or `ApprovalNotOpen`: it was withdrawn, or its time is over."""
        return self.run("app.answer", answers.answer(self.caller, approval, value))

    def processes(
        self,
        status: str | None = None,
        *,
        kind: str | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        session: str | None = None,
        waiting: str | None = None,
        parent: str | None = None,
        beginning: str | None = None,
        since: Duration | datetime | None = None,
        until: Duration | datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[Status]:
        """Processes that are meant, as `ProcessQuery` has it, newest first within each status. ``.more`` says whether
        there are others, and ``.next`` is the ``after`` of the next page. Each page is of one moment: a process that
        changes its status between two pages may be on both, under each status, or on none if it came to an earlier
        one. Raises `InvalidArguments`, `InvalidId`, `InvalidDuration`, `SessionNotFound`."""
        return self.run(
            "app.processes",
            looks.listed(
                ProcessQuery(
                    status=status,
                    kind=kind,
                    name=name,
                    labels=labels,
                    session=session,
                    waiting=waiting,
                    parent=parent,
                    beginning=beginning,
                    since=since,
                    until=until,
                ),
                limit=limit,
                after=after,
            ),
        )

    def waits(self, limit: int = 50, *, after: str | None = None) -> Page[ProcessWait]:
        """What waiting processes wait for, of every kind; of at most ``limit`` processes, the latest to wait first.

        ``.more`` says whether others wait."""
        return self.run("app.waits", looks.waits(limit, after))

    def sessions(self, limit: int = 50, *, after: str | None = None) -> Page[SessionView]:
        """Sessions by last activity, latest first; ``.more`` says whether there are others."""
        return self.run("app.sessions", sessions.listed(limit, after))

    def fleet(self) -> FleetView:
        """Workers, queues and limits of the namespace, and how much is in which status."""
        return self.run("app.fleet", self._fleet.look())

    def metrics(self) -> MetricsView:
        """The metrics of the namespace; `.text()` is for a scraper (docs/metrics.md)."""
        return self.run("app.metrics", self._fleet.metrics())

    def doctor(self, *, release: bool = False) -> Diagnosis:
        """What is wrong with the server and the fleet, or may be soon, each with what to do. ``release``: ``.ok`` is
        False only for what has to stop a release. It looks also where workers refuse to start. Raises
        `RedisUnavailable` and other errors of a server that is not there."""
        self._client.check("app.doctor")
        return self._fleet.doctor(release=release)

    def pause(self, queue: str | None = None) -> bool:
        """Let workers take nothing more from a queue (the app's own, unless given). What runs goes on. Returns whether
        that changed anything. Raises `UnknownName` for a queue that no body names and that is not in use."""
        return self.run("app.pause", queues.pause(self.caller, queue, lambda: self.known_queues, paused=True))

    def resume(self, queue: str | None = None) -> bool:
        """Let workers take from it again. Returns whether that changed anything."""
        return self.run("app.resume", queues.pause(self.caller, queue, lambda: self.known_queues, paused=False))

    def why(self, address: str) -> str:
        """Why something is as it is, in words and with what to type: a process or a schedule, by its id or name; a
        session ``<agent>/<key>``, an entry of it ``<agent>/<key>#<n>``, or the event ``<process id>#<sequence>`` that
        should have woken one. Raises `ProcessNotFound` and the like if there is no such thing."""
        return self.run("app.why", why.address(address, self.caller.now_ms()))

    def undeliverable(self, limit: int = 50, *, after: str | None = None) -> Page[EntryView]:
        """Entries of all sessions that are undeliverable, failed or blocked, the latest first; `Session.redrive`
        offers one again.

        ``.more`` says whether there are others."""
        return self.run("app.undeliverable", inbox.undeliverable(limit, after=after))

    def close(self) -> None:
        """Closes the blocking client; the next verb makes a new one."""
        if self._store is not None:
            self._store.close()


__all__ = ["App"]
