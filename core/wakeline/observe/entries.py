"""The life of an inbox entry as people ask for it.

Invariant: recorded → delivered → admitted{turn} → settled | failed | undeliverable{reason} | superseded{by}; blocked
stands between admitted and an end until an operator decides. Recorded and delivered are one moment here, because one
script writes the event and its entry.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any, cast

from wakeline.errors import InvalidPayload
from wakeline.names import unword
from wakeline.observe.view import View
from wakeline.sessions.addresses import argument
from wakeline.store.entries import StoredEntry
from wakeline.store.fields import SessionHead
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
class EntryView(View):
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
    waits: str | None = None
    """Why no turn takes a delivered entry until an operator or a sender does something."""

    @property
    def because(self) -> str | None:
        """In short, why it failed or was not delivered; None if it was read, or will be."""
        if self.error and "message" in self.error:
            return f"failed: {self.error['message']}"
        return self.reason or self.waits

    def to_data(self) -> dict[str, Any]:
        """As JSON data; its reason is `because`."""
        data = super(EntryView, self).to_data()
        del data["waits"]
        return {"session": data.pop("session_id")} | data | {"reason": self.because}


def entry_of(stored: StoredEntry, waits: str | None = None) -> EntryView:
    """An entry from its stored fields; ``waits``: why no turn takes what is delivered there (`why_unread`)."""
    session_id, n, state = stored.session_id, stored.n, stored.state
    data = _object(stored.body)
    verb, *rest = [*state.split(" "), "", "", ""][:4]
    turn = rest[0] if verb in ("admitted", "settled", "failed", "blocked") else None
    admitted = rest[1] if verb == "admitted" else rest[2] if turn else ""
    process_id = data.get("process_id")
    return EntryView(
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
        _object(stored.error) if stored.error else None,
        number(rest[0]) if verb == "superseded" else None,
        data.get("name"),
        process_id,
        data.get("event_type"),
        data.get("sequence"),
        wake_id(session_id, process_id, str(data.get("incarnation")), data["sequence"])
        if process_id and "sequence" in data
        else None,
        stored.swallowed,
        tuple(map(unword, stored.swallowed_wakes.split(" ")[:-1])),
        waits if verb == "delivered" else None,
    )


def why_unread(head: SessionHead, agents: Container[str] | None) -> str | None:
    """Why no turn takes the entries of a session: it was never opened, or this app does not have its agent."""
    if head.agent is None:
        opened = "the session was never opened: send to it, or start something with wake="
        return opened if head.deleted_ms is None else None
    return f"no code here for agent {head.agent}" if agents is not None and head.agent not in agents else None


def _object(text: str) -> dict[str, Any]:
    """A stored JSON object; an empty one if another release stored something else."""
    try:
        data = from_json(text)
    except InvalidPayload:
        return {}
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def explain(entry: EntryView) -> str:
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


def _error(entry: EntryView) -> str:
    # An abandoned turn has evidence, no code.
    return f" ({entry.error['code']}: {entry.error['message']})" if entry.error and "code" in entry.error else ""
