"""`AsyncTurn`: one turn of an agent's session: its inbox, the agent's state, and all verbs of a body.

Invariant: the batch is fixed at the turn's first claim. The script of the turn's end commits state and history, or
nothing does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Unpack, cast

from wakeline.body.context import AsyncCtx
from wakeline.effects.envelope import Envelope
from wakeline.errors import FrameLimitExceeded, InvalidPayload
from wakeline.names import check_frame
from wakeline.run.recorder import written
from wakeline.run.run import Run
from wakeline.sessions.admission import MOST_ENTRIES
from wakeline.store.ends import TurnCommit
from wakeline.store.sessions import Batch, EntryRow
from wakeline.typed import dump
from wakeline.values import MAX_PAYLOAD, check_size, check_text, to_json
from wakeline.verbs import inbox
from wakeline.verbs.options import NOTHING, Options, StartOptions
from wakeline.verbs.recorder import Recorder
from wakeline.wakes.wake import wake_id

MOST_FOLLOW_ONS = 32
"""How many turns in a row may follow from a switch of frames alone; more is a loop."""


@dataclass(frozen=True, slots=True)
class InboxItem:
    """One entry of the batch: a ``wake`` of a process, an ``input`` of a user, or a ``command`` with its name.
    ``swallowed`` counts the wakes that coalesced into it."""

    n: int
    kind: str
    input: Any
    at_ms: int
    process_id: str | None = None
    event_type: str | None = None
    sequence: int | None = None
    swallowed: int = 0
    name: str | None = None
    wake_id: str | None = None
    """The identity of a wake. It follows from session, process, incarnation and event, so every look gives the same."""
    originator: str | None = None
    """For a wake, the originator of its chain of processes, whose authority it has: ``host``, ``host:<label>`` or the
    scope id of a session."""

    @property
    def text(self) -> str:
        """The input as text."""
        return self.input if isinstance(self.input, str) else json.dumps(self.input)


def item_of(entry: EntryRow, session_id: str = "") -> InboxItem:
    """A stored entry in the form that a turn of the session sees."""
    body = json.loads(entry.body)
    process_id = body.get("process_id")
    return InboxItem(
        entry.n,
        body["kind"],
        body.get("input"),
        body.get("at_ms", 0),
        process_id,
        body.get("event_type"),
        body.get("sequence"),
        entry.swallowed,
        body.get("name"),
        wake_id(session_id, process_id, body["incarnation"], body["sequence"]) if process_id and session_id else None,
        body.get("by", "host") if process_id else None,
    )


class Inbox:
    """The batch of a turn, in order; what arrives during the turn joins it with `AsyncTurn.arrivals`."""

    def __init__(self, batch: Batch, session_id: str = "") -> None:
        self.items = tuple(item_of(entry, session_id) for entry in batch.entries)

    def __iter__(self) -> Iterator[InboxItem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(slots=True)
class _Shared:
    """What all contexts of one turn (`using` makes more of them) share: what its commit writes, and how many entries it
    takes at most."""

    inbox: Inbox
    state: dict[str, Any]
    most: int
    switch_to: str | None = None
    follow: str | None = None


class AsyncTurn(AsyncCtx):
    """The context of an ``async def`` agent."""

    def __init__(
        self,
        run: Run,
        batch: Batch,
        *,
        most: int = MOST_ENTRIES,
        options: Options = NOTHING,
        shared: _Shared | None = None,
    ) -> None:
        super().__init__(run, options)
        self._batch = batch
        self.shared = shared or _Shared(
            Inbox(batch, self.session_id), cast("dict[str, Any]", json.loads(batch.state)) if batch.state else {}, most
        )

    def using(self, **options: Unpack[StartOptions]) -> AsyncTurn:
        """This turn with options for the next start or call."""
        return AsyncTurn(self.run, self._batch, options=self._options.over(**options), shared=self.shared)

    @property
    def inbox(self) -> Inbox:
        """The batch of this turn, in order."""
        return self.shared.inbox

    @property
    def state(self) -> dict[str, Any]:
        """The agent's state as JSON; it is committed when the turn ends."""
        return self.shared.state

    @state.setter
    def state(self, value: dict[str, Any]) -> None:
        self._for("state")
        if not isinstance(value, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidPayload(
                what="The state of a session", reason=f"it has to be a dict and is a {type(value).__name__}"
            )
        self.shared.state = value

    @property
    def session_id(self) -> str:
        """The session of this turn."""
        session = self.run.claim.session_id
        assert session is not None
        return session

    @property
    def revision(self) -> str:
        """The revision of the head that this turn read."""
        return self._batch.revision

    @property
    def frame(self) -> str | None:
        """The agent frame of this turn; None before any frame was opened."""
        return self._batch.frame

    async def arrivals(self) -> list[InboxItem]:
        """The entries that arrived since this turn began or last asked, for an agent with ``on_arrival="early"``. They
        join the inbox, and are settled with this turn.

        With those it began with, the turn has at most ``max_entries`` of its agent; further ones wait for the next
        turn. Commands wait for their own turn. A turn that is a part of a failed batch takes no more than its part.
        """
        run = self._for("arrivals")
        envelope = Envelope(kind="arrivals", name="arrivals", args=None)

        async def arrived(effect: Recorder) -> Any:
            # The script knows what arrived, and puts the entries into the row.
            return await run.store.run(inbox.arrivals(self.session_id, self.shared.most, effect=effect))

        rows = await written(run, envelope, None, arrived)
        items = [
            item_of(EntryRow(n, to_json(body), "admitted", swallowed), self.session_id) for n, body, swallowed in rows
        ]
        self.inbox.items = (*self.inbox.items, *items)
        return items

    def switch_frame(self, frame: str, text: str = "") -> None:
        """End this turn in another agent frame, which is opened if there is none of that name. The first turn of that
        frame follows, with ``text`` as a wake."""
        self._for("switch_frame")
        if self._batch.follow_ons >= MOST_FOLLOW_ONS:
            raise FrameLimitExceeded(session_id=self.session_id, limit=MOST_FOLLOW_ONS)
        wake = to_json(check_text("the text", text))
        check_size("the text", wake, MAX_PAYLOAD)
        self.shared.switch_to, self.shared.follow = check_frame(frame), wake

    def _child_ends_wake(self) -> bool:
        return True


class TurnOfRun:
    """A turn for its run (`wakeline.run.host.CommittingTurn`): the part that code of the agent does not need."""

    def __init__(self, turn: AsyncTurn) -> None:
        self._turn = turn

    @property
    def frame(self) -> str | None:
        """The agent frame of the turn."""
        return self._turn.frame

    def commit(self, value: Any) -> TurnCommit:
        """What the session gets when the turn ends with this return value: its state, and, as messages, what it read
        and what it returned."""
        turn = self._turn
        messages = [to_json({"role": item.kind, "n": item.n, "content": item.input}) for item in turn.inbox]
        if value is not None:
            messages.append(to_json({"role": "agent", "content": value}))
        what = f"the state of {turn.session_id}"
        state = to_json(dump(turn.state, what=what))
        check_size(what, state, MAX_PAYLOAD)
        return TurnCommit(turn.session_id, turn.revision, state, messages, turn.shared.switch_to, turn.shared.follow)
