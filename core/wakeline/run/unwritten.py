"""Rows of a run that the store does not have yet: they travel with its next write.

Invariant: rows keep their order. What the body gave up stays here until a write that brought it was answered, so that
no code acts on it that a worker's death would undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from wakeline.run.asides import GONE
from wakeline.store.journal import Row


class Unwritten:
    """The rows of one run that wait for its next write."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self.given_up: dict[str, Row] = {}
        """What the body gave up, by the key of its row, as far as the store is not known to have it."""

    def __len__(self) -> int:
        return len(self._rows)

    def note(self, row: Row) -> None:
        """Keeps a row for the next write."""
        self._rows.append(row)

    def give_up(self, key: str, after_ms: int) -> None:
        """Keeps that the body gave this up, and after how many ms."""
        row = Row(GONE + key, str(after_ms))
        self.given_up[row.key] = row
        self.note(row)

    def take(self) -> list[Row]:
        """Takes the rows; the caller writes them."""
        rows, self._rows = self._rows, []
        return rows

    def first(self, n: int) -> list[Row]:
        """The first ``n`` rows, which stay here."""
        return self._rows[:n]

    def with_given_up(self, n: int) -> list[Row]:
        """Up to ``n`` rows, which stay here: the next ones, then others that the body gave up and that a write has
        taken without an answer. Nothing is left to write once the store has all that was given up."""
        if not self.given_up:
            return []
        rows = self._rows[:n]
        keys = {row.key for row in rows}
        return [*rows, *islice((row for key, row in self.given_up.items() if key not in keys), n - len(rows))]

    def put_back(self, rows: Sequence[Row]) -> None:
        """Puts rows back whose write was refused and wrote nothing."""
        self._rows = [*rows, *self._rows]

    def are_written(self, rows: Sequence[Row]) -> None:
        """Drops rows that the store has."""
        written = {row.key for row in rows}
        self._rows = [row for row in self._rows if row.key not in written]
        for key in written:
            self.given_up.pop(key, None)
