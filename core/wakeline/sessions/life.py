"""The life of an inbox entry, as it is stored and as people ask for it.

Invariant: recorded → delivered → admitted{turn} → settled | failed | undeliverable{reason} | superseded{by}; blocked
stands between admitted and an end until an operator decides. Recorded and delivered are one moment here, because one
script writes the event and its entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from wakeline.errors import InvalidPayload
from wakeline.names import unword
from wakeline.sessions.addresses import argument
from wakeline.values import from_json, number
from wakeline.wakes.wake import wake_id

REASONS = {
    "target_gone": "its session was deleted",
    "not_admissible": "the agent takes no entries of its kind",
    "expired": "its session was not opened in time",
    "retargeted": "its process was given another session before this one was opened",
}
"""Why an entry is undeliverable, in words."""


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """One entry of a session's inbox, and what became of it; times in ms.

    ``error`` is the failure of the turn that had it (a JSON object). ``by`` is the entry that took its place.
    ``swallowed_wakes`` are the events (``<process id>#<sequence>``, the first ones) of the wakes that coalesced into
    it.
    """

    session_id: str
    n: int
    kind: str
    state: str
    """delivered, admitted, settled, failed, blocked, undeliverable or superseded; of a later release perhaps another
    word."""
    input: Any
    recorded_ms: int
    turn: str | None = None
    admitted_ms: int | None = None
    ended_ms: int | None = None
    reason: str | None = None
    error: dict[str, Any] | None = None
    by: int | None = None
    name: str | None = None
    process_id: str | None = None
    event_type: str | None = None
    sequence: int | None = None
    wake_id: str | None = None
    swallowed: int = 0
    swallowed_wakes: tuple[str, ...] = ()


def entry_of(
    session_id: str, n: int, body: str, state: str, *, swallowed: int = 0, error: str = "", swallowed_wakes: str = ""
) -> InboxEntry:
    """An entry from its stored fields."""
    data = _object(body)
    verb, *rest = [*state.split(" "), "", "", ""][:4]
    turn = rest[0] if verb in ("admitted", "settled", "failed", "blocked") else None
    admitted = rest[1] if verb == "admitted" else rest[2] if turn else ""
    process_id = data.get("process_id")
    return InboxEntry(
        session_id,
        n,
        str(data.get("kind", "unknown")),
        verb,
        data.get("input"),
        data.get("at_ms", 0),
        turn,
        number(admitted, 0) or None,
        number(rest[1], 0) or None if verb not in ("delivered", "admitted") else None,
        rest[0] if verb == "undeliverable" else None,
        _object(error) if error else None,
        number(rest[0]) if verb == "superseded" else None,
        data.get("name"),
        process_id,
        data.get("event_type"),
        data.get("sequence"),
        wake_id(session_id, process_id, str(data.get("incarnation")), data["sequence"])
        if process_id and "sequence" in data
        else None,
        swallowed,
        tuple(map(unword, swallowed_wakes.split(" ")[:-1])),
    )


def _object(text: str) -> dict[str, Any]:
    """A stored JSON object; an empty one if another release stored something else."""
    try:
        data = from_json(text)
    except InvalidPayload:
        return {}
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def explain(entry: InboxEntry) -> str:
    """Why an agent did, or did not, wake for an entry: one sentence, which says what to do if something has to be
    done."""
    address = argument(f"{entry.session_id}#{entry.n}")
    match entry.state:
        case "delivered":
            return "it waits in the inbox"
        case "admitted":
            return f"turn {entry.turn} has it"
        case "settled":
            return f"turn {entry.turn} read it and ended"
        case "failed":
            return f"turn {entry.turn} failed over it{_error(entry)}; offer it again with `wakeline redrive {address}`"
        case "blocked":
            ways_out = f"`wakeline redrive {address}`, or `wakeline skip {argument(entry.session_id)}`"
            return f"turn {entry.turn} failed over it{_error(entry)}, and its session stands still: {ways_out}"
        case "undeliverable":
            way_out = "" if entry.reason == "target_gone" else f"; offer it again with `wakeline redrive {address}`"
            return f"undeliverable: {REASONS.get(str(entry.reason), str(entry.reason))}{way_out}"
        case "superseded":
            return f"it was offered again, as entry {entry.by}"
        case _:
            return f"it is {entry.state!r}, which this release does not know: a later one wrote it"


def _error(entry: InboxEntry) -> str:
    # An abandoned turn has evidence, no code.
    return f" ({entry.error['code']}: {entry.error['message']})" if entry.error and "code" in entry.error else ""
