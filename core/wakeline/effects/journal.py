"""Journal rows.

Invariant: a recorded outcome is final, whether error or value. Other content under the same key is an error that
outranks both.
"""

from __future__ import annotations

from typing import Any, Literal

from wakeline import errors, values
from wakeline.effects.envelope import Envelope
from wakeline.errors import InvalidPayload, WakelineError
from wakeline.fixed import fixed
from wakeline.values import is_marked, means

KEPT_ARGS = 2048
"""The longest arguments that a row keeps, in characters. They name the places of a mismatch. Longer ones leave only a
hash."""

NEVER = -1
"""Stands in place of the delay before the next attempt if no attempt follows."""
PENDING, TRIGGERS = "$pending", "$triggers"
"""Names in the outcome of an attempt. The first stands for an outcome that someone else reports later. The second has
the receipts of what the attempt emitted to triggers, beside its outcome, so that a replay has them too."""
BODY, BESIDE, INSIDE = 0, 1, 2
"""Where an effect was asked for: by the body's own task, by a task beside it, or inside another effect."""

ROW_SHAPE = 1
"""The number of the shape that a reader of a row has to know (docs/formats.md). Another number than 1 is written as
``v``. A field that a reader may ignore, such as ``d``, needs no other number."""

RESOLVED = ("ok", "err", "timeout", "cancelled")
"""How a wait can be answered (`wakeline.waits.resolutions`)."""
Status = Literal["ok", "err"]


@fixed
class JournalRow:
    """One recorded effect: its place in the order of recording, what was asked for, its outcome, and the time (ms).

    `outcome` is JSON data where `status` is ok, else the error's JSON; `envelope` holds arguments of up to `KEPT_ARGS`.
    """

    n: int
    kind: str
    name: str
    hash: str
    status: Status
    outcome: Any
    at_ms: int
    envelope: Any = None
    settled: bool = False
    """Whether sets in its arguments are in the one order that all processes give them."""
    asks: str | None = None
    """For a start of a tool, the replay key of what asked for it (`Envelope.asks`). None in rows of the release before,
    and if it is the row's own key."""
    next_ms: int | None = None
    """For a failed attempt, the delay (ms) before the next one, or `NEVER`. None in rows of the release before, which
    did not keep it."""
    place: int | None = None
    """Where it was asked for; None in rows of the release before."""
    took_ms: int | None = None
    """How long it was performed, or waited for. None for a start, a signal and an event, which the store does in the
    step that records them, and None in rows of the release before. A replay does not compare it."""

    @classmethod
    def of(
        cls,
        n: int,
        envelope: Envelope,
        envelope_hash: str,
        outcome: Any,
        error: WakelineError | None,
        at_ms: int,
        next_ms: int | None = None,
        *,
        place: int = BODY,
        took_ms: int | None = None,
    ) -> JournalRow:
        """The row of an effect that ended with an outcome (JSON data), or with an error."""
        status: Status = "ok" if error is None else "err"
        result = outcome if error is None else error.to_json()
        args = envelope.args if len(envelope.canonical_args) <= KEPT_ARGS else None
        return cls(
            n,
            envelope.kind,
            envelope.name,
            envelope_hash,
            status,
            result,
            at_ms,
            args,
            envelope.is_marked,
            envelope.asks,
            next_ms,
            place,
            took_ms,
        )

    def is_of(self, envelope: Envelope) -> bool:
        """Whether it is the row of this effect that a release before this one recorded, with sets in the order of its
        process."""
        known = envelope.is_marked and not self.settled and (self.kind, self.name) == (envelope.kind, envelope.name)
        return known and (
            means(self.envelope, envelope.args) if self.envelope is not None else is_marked(envelope.args, sets=True)
        )

    def deliver(self) -> Any:
        """The recorded outcome; raises the recorded error."""
        if self.status == "err":
            raise errors.from_json(self.outcome)
        return self.outcome

    def to_json(self) -> str:
        """Compact JSON. The outcome stands before all text that callers choose freely, because scripts complete it in
        place."""
        row: dict[str, Any] = {"n": self.n, "o" if self.status == "ok" else "x": self.outcome}
        row |= {"k": self.kind, "h": self.hash, "at": self.at_ms, "f": self.name}
        if self.envelope is not None:
            row["e"] = self.envelope
        if self.settled:
            row["s"] = 1
        if self.asks is not None:
            row["c"] = self.asks
        if self.next_ms is not None:
            row["r"] = self.next_ms
        if self.place is not None:
            row["w"] = self.place
        if self.took_ms is not None:
            row["d"] = self.took_ms
        return values.to_json(row, f"The record of {self.name}")

    @classmethod
    def from_json(cls, text: str) -> JournalRow:
        """The row of a stored text; raises `ValueError` for a text that is no row."""
        try:
            row = values.from_json(text)
        except InvalidPayload as error:
            raise ValueError(error.message) from error
        match row:
            case {"v": other} if other != ROW_SHAPE:
                raise ValueError(f"a journal row of shape {other}, and this release knows {ROW_SHAPE}")
            case {"k": "wait" | "await", "o": {"status": str(answered)}} if answered not in RESOLVED:
                raise ValueError(f"a wait was answered with {answered!r}, which this release does not know")
            case _:
                pass
        match row:
            case {"n": int(n), "k": str(kind), "f": str(name), "h": str(hashed), "at": int(at_ms)}:
                pass
            case _:
                raise ValueError("a journal row has n, k, f, h and at")
        if ("o" in row) == ("x" in row):
            raise ValueError("a journal row has exactly one of an outcome (o) and an error (x)")
        if "x" in row and not (isinstance(row["x"], dict) and "code" in row["x"]):
            raise ValueError("a recorded error has a code")
        status: Status = "ok" if "o" in row else "err"
        asks, next_ms, took_ms = row.get("c"), row.get("r"), row.get("d")
        if not (isinstance(asks, str | None) and isinstance(next_ms, int | None) and isinstance(took_ms, int | None)):
            raise ValueError(
                "what asked for a start (c) is a text; the delay before the next attempt (r) and how long it took (d)"
                " are whole numbers"
            )
        return cls(
            n,
            kind,
            name,
            hashed,
            status,
            row.get("o", row.get("x")),
            at_ms,
            row.get("e"),
            "s" in row,
            asks,
            next_ms,
            row.get("w"),
            took_ms,
        )
