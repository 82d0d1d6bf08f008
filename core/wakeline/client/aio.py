"""The awaited twins, reached through ``app.aio``: for handlers that run on an event loop.

Invariant: same names, same parameters, same programs as the blocking verbs (a test compares them); what each verb does
is said there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, overload

from wakeline.attachments.attachment import owner_of_process, owner_of_session
from wakeline.client.drivers import Awaiting
from wakeline.client.handles import as_json
from wakeline.client.triggers import AsyncTrigger, Source
from wakeline.engines.declared import declared_events, event_types_of
from wakeline.engines.engine import Engine
from wakeline.engines.registry import Registry
from wakeline.names import called, session_id
from wakeline.observe.entries import EntryView
from wakeline.observe.events import EventView
from wakeline.observe.processes import ProcessView, Status
from wakeline.observe.sessions import Message, SessionView
from wakeline.observe.waits import ProcessWait
from wakeline.pages import Page
from wakeline.processes.events import EventType
from wakeline.sessions.feed import FeedItem
from wakeline.store.awaited import AsyncStore
from wakeline.store.feed import SessionNode
from wakeline.store.sessions import Deleted
from wakeline.tools.tool import Duration, Tool
from wakeline.verbs.attachments import AsyncAttachments
from wakeline.verbs.options import NOTHING, Options, StartOptions, WakeTarget
from wakeline.verbs.starts import bound
from wakeline.verbs.triggers import Triggers

P = ParamSpec("P")
R = TypeVar("R")


class AsyncApp:
    """`App`'s verbs, awaited."""

    def __init__(self, client: Awaiting, registry: Registry, triggers: Triggers) -> None:
        self._client = client
        self._registry = registry
        self._triggers = triggers

    @property
    def store(self) -> AsyncStore:
        """The awaited client of the running loop."""
        return self._client.store

    @property
    def attachments(self) -> AsyncAttachments:
        """Attachments that this host owns."""
        return self._client.attachments()

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
    def handle(self, process_id: str, load: Callable[[Any], R]) -> AsyncHandle[R]: ...
    def handle(self, process_id: str, load: Callable[[Any], Any] = as_json) -> AsyncHandle[Any]:
        """A process by id; nothing is read yet."""
        return AsyncHandle(self._client, called(process_id), load)

    def session(self, agent: str, key: str) -> AsyncSession:
        """A session; the first send, or a start with ``wake=`` it, creates it."""
        known = self._registry.agents.get(agent)
        return AsyncSession(self._client, session_id(agent, key), known.queue if known else None)

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
        program = self._client.service.external(name, Options(id=id, wake=wake), metadata, events)
        return AsyncExternal(
            self._client,
            await self._client.run("app.external", program),
            as_json,
            event_types_of(declared_events(name, events)),
        )

    def trigger(self, source: str, kind: Any = Any) -> AsyncTrigger:
        """A source of occurrences: ``.emit`` what happened, ``.subscribe`` bodies to it."""
        return AsyncTrigger(self._client, Source.of(self._triggers, self._registry, source, kind))

    async def resolve(self, token: str, value: Any = None) -> bool:
        """Resolve a bearer token; False when it was resolved before."""
        self._client.check("app.resolve")
        ring = await self._client.store.keyring_for(token)
        return await self._client.run("app.resolve", self._client.service.resolve(ring, token, value))

    async def processes(
        self,
        status: str | None = None,
        *,
        kind: str | None = None,
        session: str | None = None,
        waiting: str | None = None,
        limit: int = 50,
    ) -> Page[Status]:
        """Processes of a status ('live', 'any', or one), newest first within each; ``.more`` says whether there are
        others."""
        return await self._client.run(
            "app.processes",
            self._client.service.processes(status, limit=limit, kind=kind, session=session, waiting=waiting),
        )

    async def waits(self, limit: int = 50) -> Page[ProcessWait]:
        """What waiting processes wait for, of every kind; of at most ``limit`` processes, the latest to wait first."""
        return await self._client.run("app.waits", self._client.service.waits(limit))

    async def sessions(self, limit: int = 50) -> Page[SessionView]:
        """Sessions by last activity, latest first; ``.more`` says whether there are others."""
        return await self._client.run("app.sessions", self._client.service.sessions.listed(limit))

    async def pause(self, queue: str | None = None) -> bool:
        """Have workers take nothing more from a queue; what runs goes on."""
        return await self._client.run("app.pause", self._client.service.pause(queue, paused=True))

    async def resume(self, queue: str | None = None) -> bool:
        """Have workers take from it again."""
        return await self._client.run("app.resume", self._client.service.pause(queue, paused=False))

    async def why(self, address: str) -> str:
        """Why an agent did, or did not, wake: of a session, an entry of it, or an event of a process."""
        return await self._client.run("app.why", self._client.service.sessions.why_address(address))

    async def undeliverable(self, limit: int = 50) -> Page[EntryView]:
        """Entries of all sessions that are undeliverable, failed or blocking, the latest first."""
        return await self._client.run("app.undeliverable", self._client.service.sessions.undeliverable(limit))

    async def close(self) -> None:
        """Closes the client of the running loop; the next verb makes a new one."""
        await self._client.close()


@dataclass(frozen=True, slots=True)
class AsyncStarter:
    """`Starter`, awaited."""

    client: Awaiting = field(repr=False)
    options: Options

    async def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncHandle[R]:
        """Start a process; one round trip."""
        pid = await self.client.run(
            "app.start", self.client.service.start(body, bound(body, *args, **kwargs), self.options)
        )
        return AsyncHandle(self.client, pid, body.signature.load_result)

    async def start_many(
        self,
        body: Engine[..., R] | Tool[..., R],
        rows: Iterable[Mapping[str, Any]],
        *,
        ids: Sequence[str] | None = None,
    ) -> list[AsyncHandle[R]]:
        """Start a process for each row of named arguments, hundreds in one write; ``ids``: one for each."""
        program = self.client.service.start_many(body, [bound(body, **row) for row in rows], self.options, ids)
        return [
            AsyncHandle(self.client, pid, body.signature.load_result)
            for pid in await self.client.run("app.start_many", program)
        ]


@dataclass(frozen=True, slots=True)
class AsyncHandle(Generic[R]):
    """`Handle`, awaited; awaiting it is awaiting its result."""

    client: Awaiting = field(repr=False)
    id: str
    load: Callable[[Any], R] = field(repr=False)

    def __await__(self) -> Generator[Any, None, R]:
        return self.result().__await__()

    @property
    def attachments(self) -> AsyncAttachments:
        """Attachments of this process: kept as long as it is retained."""
        return self.client.attachments(owner_of_process(self.id))

    async def result(self, timeout: Duration | None = None) -> R:
        """Wait for its end."""
        return await self.client.run("handle.result", self.client.service.result(self.id, timeout, self.load))

    async def status(self) -> Status:
        """One look."""
        return await self.client.run("handle.status", self.client.service.status(self.id))

    async def view(self) -> ProcessView:
        """All that there is to know of it: what it waits for, why it is queued, how it ended."""
        return await self.client.run("handle.view", self.client.service.process(self.id))

    async def signal(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Send a signal; its sequence."""
        return (
            await self.client.run("handle.signal", self.client.service.signal(self.id, name, payload, key))
        ).sequence

    async def cancel(self, reason: str = "requested") -> str:
        """Ask it to end; its status now."""
        return await self.client.run("handle.cancel", self.client.service.cancel(self.id, reason))

    async def retry(self) -> AsyncHandle[R]:
        """Run it again once it has ended, as a process of its own; asked again, the same one."""
        return AsyncHandle(
            self.client, await self.client.run("handle.retry", self.client.service.retry(self.id)), self.load
        )

    async def retarget(self, session: WakeTarget | str | None) -> None:
        """Have it wake another session from now on, or none."""
        await self.client.run("handle.retarget", self.client.service.retarget(self.id, session))

    async def events(self, *, after: int = 0, follow: bool = False) -> AsyncIterator[EventView]:
        """Its events after a sequence; ``follow`` goes on until its end."""
        more = True
        while more:
            page = await self.client.run("handle.events", self.client.service.events(self.id, after, follow=follow))
            for event in page.events:
                yield event
            after, more = page.after, page.more


@dataclass(frozen=True, slots=True)
class AsyncExternal(AsyncHandle[Any]):
    """`External`, awaited."""

    declared: tuple[EventType, ...] = field(default=(), repr=False)

    async def emit(self, event_type: str, payload: Any = None, *, key: str | None = None) -> int:
        """Append an event; its sequence."""
        return await self.client.run(
            "external.emit",
            self.client.service.emit(self.id, event_type, payload, key, external=True, also=self.declared),
        )

    async def finish(self, value: Any = None) -> int:
        """Report success."""
        return await self.client.run("external.finish", self.client.service.succeed_external(self.id, value))

    async def fail(self, code: str, message: str) -> int:
        """Report failure."""
        return await self.client.run("external.fail", self.client.service.fail_external(self.id, code, message))


@dataclass(frozen=True, slots=True)
class AsyncSession:
    """`Session`, awaited."""

    client: Awaiting = field(repr=False)
    id: str
    queue: str | None = None

    @property
    def attachments(self) -> AsyncAttachments:
        """Attachments of this session: kept until it is deleted."""
        return self.client.attachments(owner_of_session(self.id))

    async def send(self, text: Any, *, key: str | None = None) -> int:
        """Put input into the inbox; its number."""
        return await self.client.run("session.send", self.client.service.sessions.send(self.id, self.queue, text, key))

    async def ask(self, text: Any, *, key: str | None = None, timeout: Duration = 60) -> Any:
        """Send, and wait for what the turn that takes it returns."""
        return await self.client.run(
            "session.ask", self.client.service.sessions.ask(self.id, self.queue, text, key, timeout)
        )

    async def command(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Put a command into the inbox: it is alone in its turn. Its number."""
        return await self.client.run(
            "session.command", self.client.service.sessions.command(self.id, self.queue, name, payload, key)
        )

    async def create(self) -> None:
        """Create it where it does not exist."""
        await self.client.run("session.create", self.client.service.sessions.create(self.id, self.queue))

    async def delete(self) -> Deleted:
        """Delete it for ever."""
        return await self.client.run("session.delete", self.client.service.sessions.delete(self.id))

    async def inspect(self) -> SessionView:
        """What there is to know of it but its contents."""
        return await self.client.run("session.inspect", self.client.service.sessions.inspect(self.id))

    async def wakes(self, *, after: int | None = None, before: int | None = None, limit: int = 50) -> Page[EntryView]:
        """The latest entries of its inbox, or those after a number, and what became of each."""
        return await self.client.run(
            "session.wakes", self.client.service.sessions.wakes(self.id, after=after, before=before, limit=limit)
        )

    async def why(self, entry: int | None = None) -> str:
        """Why it does, or does not, go on; or why it did, or did not, wake for an entry."""
        return await self.client.run("session.why", self.client.service.sessions.why(self.id, entry))

    async def redrive(self, entry: int | None = None) -> int:
        """Offer a failed or undeliverable entry again, or the one that blocks it; the number it has now."""
        return await self.client.run("session.redrive", self.client.service.sessions.redrive(self.id, entry))

    async def skip(self) -> int:
        """Give up on the entry that blocks it; its number."""
        return await self.client.run("session.skip", self.client.service.sessions.skip(self.id))

    async def view(self, *, after: int = 0, count: int = 100, entries: int = 50) -> SessionView:
        """Head, state, history and inbox of one moment."""
        return await self.client.run(
            "session.view", self.client.service.sessions.view(self.id, after=after, count=count, entries=entries)
        )

    async def history(self, *, after: int = 0, count: int = 100, frame: str | None = None) -> Page[Message]:
        """Messages after a number, oldest first; of one agent frame, or of all. ``.more``: there are others after the
        last one."""
        return await self.client.run(
            "session.history", self.client.service.sessions.history(self.id, after=after, count=count, frame=frame)
        )

    async def follow(self, cursor: str | None = None) -> AsyncIterator[FeedItem]:
        """What changes from the first step on, or after the cursor of an item, until the session is deleted."""
        over = False
        while not over:
            page = await self.client.run("session.follow", self.client.service.sessions.follow(self.id, cursor))
            for item in page.items:
                yield item
            cursor, over = page.cursor, page.over

    async def append(self, messages: Sequence[Any], *, ancestor: int | None = None) -> int:
        """Append messages to the history, if the head is still at revision ``ancestor``; the revision now."""
        return await self.client.run("session.append", self.client.service.sessions.append(self.id, messages, ancestor))

    async def graph(self) -> SessionNode:
        """Where it stands among others."""
        return await self.client.run("session.graph", self.client.service.sessions.graph(self.id))

    async def frames(self) -> dict[str, int]:
        """Its agent frames, each with the ms at which it was opened."""
        return await self.client.run("session.frames", self.client.service.sessions.frames(self.id))

    async def state(self) -> dict[str, Any]:
        """The agent's state as of the latest committed turn."""
        return await self.client.run("session.state", self.client.service.sessions.state(self.id))

    async def turn(self) -> AsyncHandle[Any] | None:
        """The turn that runs or waits now, if any."""
        pid = await self.client.run("session.turn", self.client.service.sessions.turn(self.id))
        return AsyncHandle(self.client, pid, as_json) if pid else None
