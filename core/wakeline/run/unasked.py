"""What a process did and its body has not asked for again in this run. It tells a body that replays from one that does
something else.

Invariant: a deterministic body asks for all of it before it asks for anything new, once all that is ready on the loop
has run. Two things are excepted: what cancelled tasks beside it did, and what an effect did inside itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wakeline.effects.envelope import Envelope
from wakeline.effects.journal import BESIDE, INSIDE, JournalRow
from wakeline.run.asides import GONE, Asides
from wakeline.store.fields import Slot
from wakeline.waits.kinds import kind_of

PATCHED = "patched"
"""The kind of a row that says which path was taken. It does nothing, so it is no mismatch if the body does not ask for
it any more."""
SHOWN = 8
"""How many a mismatch names; it counts the rest."""
_PHRASES = {"signal": "wait for signal", "child": "await of process", "children": "await of children"}


class Unasked:
    """Rows in the order of their recording, and waits that stand open. ``marks`` are those of the journal."""

    def __init__(
        self,
        rows: Mapping[str, JournalRow],
        marks: Mapping[str, str],
        slots: Mapping[str, Slot],
        asides: Asides | None,
    ) -> None:
        self._gone = (
            {key.removeprefix(GONE): int(text) for key, text in marks.items() if key.startswith(GONE)}
            if marks
            else dict[str, int]()
        )
        self.rows = self._in_order(rows) if rows else {}
        """The rows whose outcome the body does not have yet."""
        self._slots = dict(slots)
        self._open = frozenset(slots)
        self._asides = asides
        self._issued: set[str] = set()
        self._last_n = 0
        self._is_let_go = False
        self.is_exact = not rows or all(row.place is not None for row in rows.values())
        """Whether all rows say where they were asked for. A release before this one kept neither that, nor what the
        body gave up, nor the exact order."""

    def _in_order(self, rows: Mapping[str, JournalRow]) -> dict[str, JournalRow]:
        kept = (
            key for key, row in rows.items() if row.kind != PATCHED and row.place != INSIDE and key not in self._gone
        )
        return {key: rows[key] for key in sorted(kept, key=lambda key: rows[key].n)}

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is left, was left out or was given up."""
        return not (self.rows or self._slots or self._gone or self._is_let_go)

    def was_open(self, slot: str) -> bool:
        """Whether an earlier run opened this wait."""
        return slot in self._open

    def gone_s(self, key: str) -> float:
        """After how many seconds the body gave this effect up in an earlier run; 0 if it did not."""
        return max(self._gone[key] / 1000, 0.001) if key in self._gone else 0.0

    def holds(self, envelope: Envelope) -> bool:
        """Whether a new effect has to wait. It has to if others must be asked for first, or if a record of its name is
        left, of which it may be a changed version."""
        if self._is_let_go:
            return any(
                envelope.name in names_of(row)
                for row in [*self._missing(), *(self.rows[key] for key in self._issued if key in self.rows)]
            )
        return bool(self.rows or self._slots)

    @property
    def may_hold_less(self) -> bool:
        """Whether a new effect that had to wait may have to no longer."""
        return self._is_let_go or not (self.rows or self._slots)

    def issued(self, key: str) -> None:
        """Notes that the body asks for this one."""
        self._issued.add(key)

    def take(self, key: str) -> None:
        """Notes that the body has its outcome, or has given it up."""
        row = self.rows.pop(key, None)
        if row is not None:
            self._last_n = max(self._last_n, row.n)

    def asked(self, slots: Sequence[str]) -> bool:
        """Notes that the body waits for these; returns whether any of them stood open."""
        found = [slot for slot in slots if self._slots.pop(slot, None) is not None]
        return bool(found)

    def let_go(self) -> None:
        """Notes that the rest will not be asked for, and may be left out."""
        self._is_let_go = True

    @property
    def is_ahead(self) -> bool:
        """Whether something was done behind the point where the body is now. Records before the last one that it had do
        not count."""
        if self._is_let_go:
            return False
        # A copy, because the thread of a blocking body asks this too.
        last = next((key for key in reversed(list(self.rows)) if key not in self._issued), None)
        return bool(self._slots) or (last is not None and self.rows[last].n > self._last_n)

    def _missing(self) -> list[JournalRow]:
        given_up = self._asides is not None and self._asides.any_given_up
        return [
            row for key, row in self.rows.items() if key not in self._issued and not (given_up and row.place == BESIDE)
        ]

    def _standing(self) -> list[Slot]:
        return [] if self._asides is not None and self._asides.any_cancelled else list(self._slots.values())

    @property
    def are_missing(self) -> bool:
        """Whether a body that is at rest should have asked for something."""
        return bool(self._missing() or self._standing())

    @property
    def missing(self) -> list[str]:
        """In words, what it should have asked for: the first ones, and how many more."""
        found = [f"{row.kind} {row.name!r}" for row in self._missing()]
        for slot in self._standing():
            kind, name = kind_of(slot.kind)
            phrase = _PHRASES.get(kind, kind)
            found.append(f"{phrase} {name!r}" if name else phrase)
        return found if len(found) <= SHOWN else [*found[:SHOWN], f"{len(found) - SHOWN} more"]

    @property
    def first_missing(self) -> str:
        """The key of the first missing row, or the first missing slot."""
        missing = self._missing()
        return next((key for key, row in self.rows.items() if row in missing), None) or next(iter(self._slots))

    def of_name(self, name: str) -> JournalRow | None:
        """A missing row of this name; a new effect of the name may be a changed version of it."""
        return next((row for row in self._missing() if name in names_of(row)), None)


def named(envelope: Envelope) -> str:
    """An effect in words."""
    return f"{envelope.kind} {envelope.name}"


def names_of(row: JournalRow) -> tuple[str, ...]:
    """The names under which a body may have asked for a record. A call of a tool that ran as a separate process has the
    row of a start."""
    if row.kind != "start":
        return (row.name,)
    call = f"call:{row.name.partition(':')[2]}"
    if row.asks is None:
        return (row.name, call)
    return (call,) if row.asks.startswith("call:") else (row.name,)
