"""The log: one event appended, and events as they are stored.

Invariant: the meaning of an event (an end, a wake) is decided here and sent with it. The script does all of it or
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wakeline.processes.events import Terminal
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Reply, flat
from wakeline.store.ends import ends_wire
from wakeline.store.journal import Effect
from wakeline.store.replies import refuse
from wakeline.values import content_hash, number, to_json


@dataclass(frozen=True, slots=True)
class Appended:
    """An append's receipt; ``entry`` is the inbox number of the wake it caused, if any."""

    sequence: int
    at_ms: int
    replayed: bool
    entry: int | None


@dataclass(frozen=True, slots=True)
class WakeText:
    """The wake of an event: input text, coalescing key, and a target other than the process's own."""

    text: str
    same: str | None = None
    session_id: str | None = None

    def wire(self) -> dict[str, Any]:
        out: dict[str, Any] = {"input": to_json(self.text)}
        if self.same:
            out["same"] = self.same
        if self.session_id:
            out["sid"] = self.session_id
        return out


def append(
    process_id: str,
    event_type: str,
    payload: str,
    *,
    incarnation: str | None = None,
    replay_key: str | None = None,
    canonical: str | None = None,
    wake: WakeText | None = None,
    semantics: str | None = None,
    end: Terminal | None = None,
    effect: Effect | None = None,
    external: bool = False,
) -> Call[Appended]:
    """Append one event; ``payload`` is JSON, ``canonical`` its canonical form, by which a repetition is compared, and
    ``end`` says how it ends its process.

    Raises `ReplayConflict`, `ProcessAlreadyTerminal`, `ProcessNotFound`, `NotExternal`, `LeaseLost`,
    `StaleIncarnation`.
    """
    args: dict[str, Any] = {
        "pid": process_id,
        "inc": incarnation,
        "type": event_type,
        "payload": payload,
        "replay_key": replay_key,
        "hash": content_hash(event_type, canonical or payload)[:16],
        "semantics": semantics,
        "wake": wake.wire() if wake else None,
        "ends": ends_wire(process_id, end) if end else None,
        "external": external or None,
    }
    if effect:
        args |= effect.wire()

    def decode(reply: Reply) -> Appended:
        if reply[0] in ("appended", "replayed"):
            return Appended(int(reply[1]), int(reply[2]), reply[0] == "replayed", int(reply[3]) if reply[3] else None)
        if reply[0] == "stale":
            raise StaleIncarnation(process_id)
        refuse(process_id, reply, replay_key=replay_key)

    kept = stand_ins.of_process(process_id)
    payloads = {"payload": kept, "output": kept, **(effect.payloads if effect else {})}
    woken = (wake.session_id,) if wake and wake.session_id else ()
    return Call(
        "process_append",
        args,
        decode,
        payloads=payloads,
        about=(process_id, *woken, *(effect.about if effect else ())),
        grew=effect.grew if effect else None,
    )


class StaleIncarnation(LookupError):
    """The sender checked types of an earlier process of this id. It reads them again and repeats the call."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One entry of the log as stored: its payload is JSON text, and its semantics are those that were materialised when
    it was appended."""

    sequence: int
    type: str
    payload: str
    at_ms: int
    replay_key: str | None
    semantics: str | None
    run: str | None = None
    """Which run it tells of, where it tells of one: ms since the claim, attempt, owner, and a release that has a
    name."""


def stored_event(entry: Any) -> StoredEvent:
    """An event as it lies in the log; what a later release keeps otherwise is empty here, and stops no list."""
    values = flat(entry[1])
    sequence = int(str(entry[0]).split("-")[0])
    return StoredEvent(
        sequence,
        values.get("t", ""),
        values.get("p", "null"),
        number(values.get("at")),
        values.get("k"),
        values.get("s"),
        values.get("r"),
    )
