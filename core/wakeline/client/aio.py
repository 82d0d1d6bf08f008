"""The awaited twins, reached through ``app.aio``: for handlers that run on an event loop.

Invariant: same names, same parameters, same programs as the blocking verbs (a test compares them); what each verb does
is said there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from wakeline.client.drivers import AwaitedDriver
from wakeline.client.externals import AsyncExternal
from wakeline.client.handles import AsyncHandle, as_json, check_load
from wakeline.client.many import AsyncMany
from wakeline.client.sessions import AsyncSession
from wakeline.client.starters import AsyncStarter
from wakeline.client.triggers import AsyncTrigger, Source
from wakeline.engines.declared import declared_events, event_types_of
from wakeline.engines.engine import Engine
from wakeline.engines.registry import Registry
from wakeline.names import called, session_id
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
from wakeline.store.awaited import AsyncStore
from wakeline.tools.tool import Duration, Tool
from wakeline.verbs import answers, approvals, inbox, looks, queues, sessions, starts, why
from wakeline.verbs.attachments import AsyncAttachments
from wakeline.verbs.fleet import FleetVerbs
from wakeline.verbs.options import NOTHING, Options, StartOptions, WakeTarget

P = ParamSpec("P")
R = TypeVar("R")


class AsyncApp:
    """`App`'s verbs, awaited."""

    def __init__(self, client: AwaitedDriver, registry: Registry, fleet: FleetVerbs) -> None:
        self._client = client
        self._registry = registry
        self._fleet = fleet

    @property
    def store(self) -> AsyncStore:
        """The awaited client of the running loop."""
        return self._client.store

    @property
    def attachments(self) -> AsyncAttachments:
        """Attachments that this host owns."""
        return self._client.attachments()

    @property
    def many(self) -> AsyncMany:
        """Verbs for all processes that a filter fits."""
        return AsyncMany(self._client)

    def using(self, **options: Unpack[StartOptions]) -> AsyncStarter:
        """Options for the next start."""
        return AsyncStarter(self._client, NOTHING.over(**options))

    async def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncHandle[R]:
        """Start a process; one round trip."""
        return await AsyncStarter(self._client, NOTHING).start(body, *args, **kwargs)

    async def start_many(
        self,
        body: Engine[..., R] | Tool[..., R],
        rows: Iterable[Mapping[str, Any]],
        *,
        ids: Sequence[str] | None = None,
    ) -> list[AsyncHandle[R]]:
        """Start a process for each row of named arguments, hundreds in one write."""
        return await AsyncStarter(self._client, NOTHING).start_many(body, rows, ids=ids)

    @overload
    def handle(self, process_id: str) -> AsyncHandle[Any]: ...
    @overload
    def handle(self, process_id: str, load: Engine[..., R] | Tool[..., R]) -> AsyncHandle[R]: ...
    @overload
    def handle(self, process_id: str, load: Callable[[Any], R]) -> AsyncHandle[R]: ...
    def handle(
        self, process_id: str, load: Engine[..., Any] | Tool[..., Any] | Callable[[Any], Any] = as_json
    ) -> AsyncHandle[Any]:
        """A process by id; nothing is read yet. ``load`` says of which type its result is."""
        return AsyncHandle(self._client, called(process_id), check_load(load))

    def session(self, agent: str, key: str) -> AsyncSession:
        """A session; the first send, or a start with ``wake=`` it, creates it."""
        named = session_id(agent, key)
        known = self._registry.agents.get(agent)
        return AsyncSession(self._client, named, known.queue if known else None)

    async def external(
        self,
        name: str,
        *,
        id: str | None = None,
        wake: WakeTarget | str | None = None,
        metadata: dict[str, Any] | None = None,  # noqa: A002
        events: Mapping[str, Any] | None = None,
    ) -> AsyncExternal:
        """Register work that runs elsewhere and is reported from there."""
        program = starts.external(self._client.caller, name, Options(id=id, wake=wake), metadata, events)
        return AsyncExternal(
            self._client,
            await self._client.run("app.external", program),
            as_json,
            event_types_of(declared_events(name, events)),
        )

    def trigger(self, source: str, kind: Any = Any) -> AsyncTrigger:
        """A source of occurrences: ``.emit`` what happened, ``.subscribe`` bodies to it."""
        return AsyncTrigger(self._client, Source.of(self._client.caller, source, kind))

    async def resolve(self, token: str, value: Any = None) -> bool:
        """Resolve a bearer token; False when it was resolved before."""
        self._client.check("app.resolve")
        ring = await self._client.store.keyring_for(token)
        return await self._client.run("app.resolve", answers.resolve(self._client.caller, ring, token, value))

    async def approvals(self, after: ApprovalView | str | None = None, limit: int = 50) -> Page[ApprovalView]:
        """Approvals that can be answered now, those that were asked first first."""
        return await self._client.run("app.approvals", approvals.open_page(after, limit))

    async def answer(self, approval: ApprovalView | str, value: Any = None) -> bool:
        """Answer an open approval of that list, or of its id, without a token."""
        return await self._client.run("app.answer", answers.answer(self._client.caller, approval, value))

    async def processes(
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
        """Processes that are meant, as `ProcessQuery` has it, newest first within each status; ``.more`` says whether
        there are others."""
        return await self._client.run(
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

    async def waits(self, limit: int = 50, *, after: str | None = None) -> Page[ProcessWait]:
        """What waiting processes wait for, of every kind; of at most ``limit`` processes, the latest to wait first."""
        return await self._client.run("app.waits", looks.waits(limit, after))

    async def sessions(self, limit: int = 50, *, after: str | None = None) -> Page[SessionView]:
        """Sessions by last activity, latest first; ``.more`` says whether there are others."""
        return await self._client.run("app.sessions", sessions.listed(limit, after))

    async def fleet(self) -> FleetView:
        """Workers, queues and limits of the namespace, and how much is in which status."""
        return await self._client.run("app.fleet", self._fleet.look())

    async def metrics(self) -> MetricsView:
        """The metrics of the namespace; `.text()` is for a scraper."""
        return await self._client.run("app.metrics", self._fleet.metrics())

    async def doctor(self, *, release: bool = False) -> Diagnosis:
        """What is wrong with the server and the fleet, or may be soon, each with what to do."""
        self._client.check("app.doctor")
        # It has a client of its own, which blocks.
        return await asyncio.to_thread(self._fleet.doctor, release=release)

    async def pause(self, queue: str | None = None) -> bool:
        """Let workers take nothing more from a queue; what runs goes on."""
        return await self._client.run(
            "app.pause", queues.pause(self._client.caller, queue, self._fleet.known_queues, paused=True)
        )

    async def resume(self, queue: str | None = None) -> bool:
        """Let workers take from it again."""
        return await self._client.run(
            "app.resume", queues.pause(self._client.caller, queue, self._fleet.known_queues, paused=False)
        )

    async def why(self, address: str) -> str:
        """Why a process, a schedule, a session, an entry of it or an event is as it is."""
        return await self._client.run("app.why", why.address(address, self._client.caller.now_ms()))

    async def undeliverable(self, limit: int = 50, *, after: str | None = None) -> Page[EntryView]:
        """Entries of all sessions that are undeliverable, failed or blocked, the latest first."""
        return await self._client.run("app.undeliverable", inbox.undeliverable(limit, after=after))

    async def close(self) -> None:
        """Closes the client of the running loop; the next verb makes a new one."""
        await self._client.close()
