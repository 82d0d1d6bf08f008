"""The session as running work sees it: its history, its place in the graph, what its turn says of itself, and what the
host added.

Invariant: outside a session there is an empty history and nobody to tell; that is no error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any, Self, TypeVar

from wakeline.body.attachments import attachments_of
from wakeline.body.execution.facts import is_ephemeral
from wakeline.body.execution.tools import Tools
from wakeline.causality import SessionOriginator
from wakeline.errors import InvalidArguments, SessionNotFound, SessionNotVisible
from wakeline.observe.sessions import Message, history_of
from wakeline.run.activity import TurnEventSender
from wakeline.run.run import Run
from wakeline.sessions.activity import ActivityEvent
from wakeline.store import sessions
from wakeline.store.feed import SessionNode
from wakeline.tools.completions import Completion, CompletionRequest
from wakeline.values import check_number
from wakeline.verbs.attachments import AsyncAttachments
from wakeline.verbs.sessions import MOST_AT_ONCE, append, as_stored, graph

T = TypeVar("T")
PAGE = 256


class Projection:
    """A session's history, oldest first, as its reader sees it: transient messages left out; that each is there once,
    its append saw to.

    What is read is not recorded: a replay reads what is there then.
    """

    def __init__(self, run: Run | None, session_id: str) -> None:
        self._run, self._session_id = run, session_id

    async def read(self, *, after: int = 0, limit: int = 100) -> list[Message]:
        """Up to ``limit`` messages behind the number ``after``; of the last one is where to go on. Empty where there is
        no session."""
        check_number("after", after, least=0)
        check_number("limit", limit, least=0)
        found: list[Message] = []
        async for message in self._all(after):
            if len(found) >= limit:
                break
            found.append(message)
        return found

    async def _all(self, after: int) -> AsyncIterator[Message]:
        if self._run is None or is_ephemeral(self._session_id):
            return
        while True:
            try:
                view = await self._run.store.execute(
                    sessions.read(self._session_id, after=after, count=PAGE, entries=0)
                )
            except SessionNotFound:
                return
            for message in history_of(view):
                after = message.n
                if not message.transient:
                    yield message
            if len(view.history) < PAGE:
                return


class SessionGraph:
    """Histories and links of the sessions this work is for: the one whose turn it is, the one its chain began in, and
    the one it wakes."""

    def __init__(self, run: Run, session_id: str) -> None:
        self._run, self._session_id = run, session_id

    def _visible(self, session_id: str | None) -> str:
        """The session (the own one, unless given), or `SessionNotVisible`. Its registration decides, which no body can
        change."""
        registration, given = self._run.registration, session_id or self._session_id
        originator = registration.provenance.originator
        scopes = [originator.scope if isinstance(originator, SessionOriginator) else None, registration.wake_target]
        if given not in {
            self._session_id,
            self._run.claim.session_id,
            *(scope.session_id for scope in scopes if scope),
        }:
            raise SessionNotVisible(session_id=given, process_id=registration.id)
        return given

    async def node(self, session_id: str | None = None) -> SessionNode:
        """Where a session stands (the own one, unless given), as it was when this was first asked: an effect.

        Raises `SessionNotFound`, `SessionNotVisible`.
        """
        target = self._visible(session_id)

        async def perform(_: str) -> Any:
            return asdict(await self._run.store.run(graph(target)))

        found = await self._run.journal.effect("session_graph", f"session_graph:{target}", None, perform)
        return SessionNode(
            found["session_id"], found["parent"], tuple(found["children"]), found["frames"], found["revision"]
        )

    async def append_history(
        self, messages: Sequence[Mapping[str, Any]], *, ancestor: int | None = None, session_id: str | None = None
    ) -> int:
        """Append messages to a session (the own one, unless given) whose head is still at ``ancestor``; the revision
        now. An effect: once whatever
        happens, by ids of the messages that they have or are given here. Raises `StaleBranch`, `SessionNotFound`,
        `SessionNotVisible`,
        `InvalidPayload`.

        What is appended during a turn, by the turn itself too, comes before the messages of the turn's commit.
        """
        run, target = self._run, self._visible(session_id)
        async with run.journal.asking():
            if len(messages) > MOST_AT_ONCE:
                raise InvalidArguments(
                    name="append_history",
                    reason=f"it has {len(messages)} messages, at most {MOST_AT_ONCE} are appended at once",
                )
            stored = [as_stored(message)[0] for message in messages]

        async def perform(key: str) -> Any:
            rows = [{"id": f"{run.idempotency_key}:{key}:{n}"} | dict(message) for n, message in enumerate(messages)]
            return await run.store.run(append(target, rows, ancestor))

        args = {"session": target, "ancestor": ancestor, "messages": stored}
        return int(await run.journal.effect("append_history", f"append_history:{target}", args, perform))


class InSession(Tools):
    """History, graph, activity, and what the host gives its work."""

    @property
    def chronological_projection(self) -> Projection:
        """The history of the session this work belongs to; empty where it belongs to none."""
        return Projection(self.services.run, self.session_id)

    @property
    def attachment_store(self) -> AsyncAttachments:
        """The attachments of this work; raises `ProcessExecutionUnavailable` outside a process (there it is
        ``app.attachments``)."""
        return attachments_of(self.in_process("attachment_store"))

    @property
    def session_graph_service(self) -> SessionGraph:
        """Histories and links of sessions; raises `ProcessExecutionUnavailable` outside a process."""
        return SessionGraph(self.in_process("session_graph_service"), self.session_id)

    @property
    def turn_context(self) -> Mapping[str, Any]:
        """What the app says of every turn of this agent, plain data; empty for what is no turn."""
        run = self.services.run
        if run is None or run.claim.session_id is None:
            return MappingProxyType({})
        agent = self.dispatch.registry.agents.get(run.claim.session_id.partition("/")[0])
        return MappingProxyType(dict(agent.context) if agent is not None else {})

    def protocol_extension(self, kind: type[T]) -> T | None:
        """What the app added for code that knows it, by its type: opaque to Wakeline; None where there is none."""
        found = self.dispatch.registry.extensions.get(kind)
        return found if isinstance(found, kind) else None

    @property
    def turn_event_tx(self) -> TurnEventSender | None:
        """Where activities go: the feed of the session for a turn, or the sender this context was given; None for
        nobody."""
        if self.services.turn_event_sender is not None:
            return self.services.turn_event_sender
        run = self.services.run
        return run.activities.sender if run is not None else None

    def with_turn_event_sender(self, sender: TurnEventSender | None) -> Self:
        """This context telling another sender of its activities."""
        return replace(self, services=replace(self.services, turn_event_sender=sender))

    async def emit_turn_activity(self, correlation_id: str, event: ActivityEvent) -> None:
        """Say what this work is doing to whoever follows. Never fails it, and never waits; without anybody to tell it
        does nothing."""
        run = self.services.run
        sender = self.turn_event_tx
        if run is not None and sender is not None:
            run.activities.outlet_to(sender).tell(correlation_id, event)

    async def complete(self, request: CompletionRequest | str) -> Completion:
        """Ask the app's completion client once. Raises `CompletionsUnavailable`, and what the client raises."""
        asked = CompletionRequest(prompt=request) if isinstance(request, str) else request
        return await self.dispatch.registry.completions.complete(asked, self.call_tool)
