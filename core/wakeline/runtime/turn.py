"""`AsyncTurn`: one turn of an agent's session: its inbox, the agent's state, and all verbs of a body.

Invariant: the batch was fixed at the turn's first claim; state and history are committed with the turn's end, in its script, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Unpack

from wakeline.runtime.context import AsyncCtx
from wakeline.runtime.options import NOTHING, Options, StartOptions
from wakeline.runtime.run import Run
from wakeline.store.sessions import Batch, Entry


@dataclass(frozen=True, slots=True)
class InboxItem:
    """One entry of the batch: a ``wake`` of a process or an ``input`` of a user. ``swallowed`` wakes coalesced into it."""

    n: int
    kind: str
    input: Any
    at_ms: int
    process_id: str | None = None
    event_type: str | None = None
    sequence: int | None = None
    swallowed: int = 0

    @property
    def text(self) -> str:
        """The input as text."""
        return self.input if isinstance(self.input, str) else json.dumps(self.input)


def item_of(entry: Entry) -> InboxItem:
    """An entry of the store as a turn sees it."""
    body = json.loads(entry.body)
    return InboxItem(
        entry.n,
        body["kind"],
        body.get("input"),
        body.get("at_ms", 0),
        body.get("process_id"),
        body.get("event_type"),
        body.get("sequence"),
        entry.swallowed,
    )


class Inbox:
    """The batch of a turn, in order."""

    def __init__(self, batch: Batch) -> None:
        self.items = tuple(item_of(entry) for entry in batch.entries)

    def __iter__(self) -> Iterator[InboxItem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class AsyncTurn(AsyncCtx):
    """The context of an ``async def`` agent."""

    def __init__(self, run: Run, namespace: str, batch: Batch, options: Options = NOTHING, state: dict[str, Any] | None = None) -> None:
        super().__init__(run, namespace, options)
        self._batch = batch
        self.inbox = Inbox(batch)
        self.state: dict[str, Any] = state if state is not None else (json.loads(batch.state) if batch.state else {})
        """The agent's state, JSON; committed when the turn ends."""

    def using(self, **options: Unpack[StartOptions]) -> AsyncTurn:
        """This turn with options for the next start or call."""
        return AsyncTurn(self.run, self._namespace, self._batch, self._options.over(**options), self.state)

    @property
    def session_id(self) -> str:
        """The session this turn belongs to."""
        session = self.run.claim.session_id
        assert session is not None
        return session

    @property
    def revision(self) -> str:
        """The head revision this turn read."""
        return self._batch.revision

    def _child_ends_wake(self) -> bool:
        return True
