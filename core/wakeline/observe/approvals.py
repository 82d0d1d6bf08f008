"""An approval that waits for an answer, as seen from outside. Nothing here holds a token.

Invariant: pure; a view says what its body asked, and no more than the log of its process does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wakeline.errors import InvalidPayload
from wakeline.observe.view import View
from wakeline.store.approvals import OpenApproval
from wakeline.values import from_json
from wakeline.waits.kinds import kind_of
from wakeline.waits.questions import Question, options_of


@dataclass(frozen=True, slots=True)
class ApprovalView(View):
    """An approval that can be answered now; times in ms of the server."""

    id: str
    """What `App.answer` and ``wakeline answer`` are given. It is no token: outside of Wakeline it is worth nothing."""
    process_id: str
    process_kind: str
    """What the process is: an engine's name, ``session_turn``, ``tool``."""
    label: str | None
    """The label of the process."""
    session: str | None
    """The session whose turn asks, or that the process wakes."""
    name: str
    question: Any
    """What the body said of it (JSON); None without a question."""
    schema: dict[str, Any] | None
    """The JSON Schema of an answer; None if any is taken."""
    options: list[Any] | None
    """The answers to choose from, if they are few."""
    since_ms: int
    due_ms: int | None
    """Until when an answer is taken; None without an end."""
    cursor: str
    """Its place in the list: ``after=`` it is the next page."""


def approval_of(row: OpenApproval) -> ApprovalView:
    """An approval of the store as the outside sees it."""
    asked = Question.from_json(row.event, kind_of(row.kind)[1])
    schema = asked.schema or _schema(row.schema)
    identity = row.registration.identity
    return ApprovalView(
        row.slot,
        row.process_id,
        identity.kind,
        identity.label,
        row.session,
        asked.name,
        asked.value,
        schema,
        asked.options if asked.options is not None else options_of(schema or {}),
        row.since_ms,
        row.due_ms if row.due_ms is not None else asked.due_ms,
        f"{row.since}:{row.slot}",
    )


def _schema(text: str) -> dict[str, Any] | None:
    try:
        found = from_json(text) if text else None
    except InvalidPayload:
        return None
    return found if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType]
