"""The session of running work: its history, its place in the graph, the activity of its turn, and what the host added.

Invariant: outside a session the history is empty and there are no followers; that is no error.
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
    """A session's history for a reader, oldest first, without transient messages. Each message is there once, because
    its append ensured that.

    A read is not recorded: a replay reads what is there then.
    """

    def __init__(self, run: Run | None, session_id: str) -> None:
        self._run, self._session_id = run, session_id

    async def read(self, *, after: int = 0, limit: int = 100) -> list[Message]:
        """Up to ``limit`` messages behind the number ``after``. Go on from the number of the last one. Empty if there
        is no session."""
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
    """Histories and links of the sessions for which this work runs: that of its turn, the one in which its chain began,
    and the one it wakes."""

    def __init__(self, run: Run, session_id: str) -> None:
        self._run, self._session_id = run, session_id

    def _visible(self, session_id: str | None) -> str:
        """The session (its own, unless given); raises `SessionNotVisible`. The registration decides, because no body
        can change it."""
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
        """The links of a session (its own, unless given), as they were at the first call: an effect.

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
        """Append messages to a session (its own, unless given) whose head is still at ``ancestor``. Returns the new
        revision.

        It is an effect, and happens once, even after a crash. Ids of the messages, given or made here, ensure that.
        Raises `StaleBranch`, `SessionNotFound`, `SessionNotVisible`, `InvalidPayload`. Messages that are appended
        during a turn, also by the turn itself, come before those of the turn's commit.
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
    """History, graph, activity, and additions of the host."""

    @property
    def chronological_projection(self) -> Projection:
        """The history of the session of this work; empty if it has none."""
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
        """Plain data that the app gives every turn of this agent; empty for work that is no turn."""
        run = self.services.run
        if run is None or run.claim.session_id is None:
            return MappingProxyType({})
        agent = self.dispatch.registry.agents.get(run.claim.session_id.partition("/")[0])
        return MappingProxyType(dict(agent.context) if agent is not None else {})

    def protocol_extension(self, kind: type[T]) -> T | None:
        """The extension of the app with this type, which Wakeline does not interpret; None if there is none."""
        found = self.dispatch.registry.extensions.get(kind)
        return found if isinstance(found, kind) else None

    @property
    def turn_event_tx(self) -> TurnEventSender | None:
        """Where activities go: for a turn the feed of its session, or the sender of this context; None if there is
        neither."""
        if self.services.turn_event_sender is not None:
            return self.services.turn_event_sender
        run = self.services.run
        return run.activities.sender if run is not None else None

    def with_turn_event_sender(self, sender: TurnEventSender | None) -> Self:
        """This context with another sender of activities."""
        return replace(self, services=replace(self.services, turn_event_sender=sender))

    async def emit_turn_activity(self, correlation_id: str, event: ActivityEvent) -> None:
        """Tell followers what this work is doing. It never fails the work and never waits. Without followers it does
        nothing."""
        run = self.services.run
        sender = self.turn_event_tx
        if run is not None and sender is not None:
            run.activities.outlet_to(sender).tell(correlation_id, event)

    async def complete(self, request: CompletionRequest | str) -> Completion:
        """Ask the app's completion client once. Raises `CompletionsUnavailable`, and what the client raises."""
        asked = CompletionRequest(prompt=request) if isinstance(request, str) else request
        return await self.dispatch.registry.completions.complete(asked, self.call_tool)
