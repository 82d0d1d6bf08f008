"""Where a reader of effects goes on: behind the last one it had, and to those before it that were not recorded yet.

Invariant: pure; a reader that goes on from the cursor of each page gets every effect once, in any order of their ends.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from wakeline.errors import InvalidArguments
from wakeline.values import check_number

MOST_LEFT = 256
"""How many numbers below the last one a cursor names: as many as a batch of calls may leave."""
_CURSOR = re.compile(r"(\d{1,15})(?:-(\d{1,15}(?:,\d{1,15})*))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a reader got: the highest number it had, and the lower ones that had no row yet."""

    last: int
    left: tuple[int, ...] = ()

    @classmethod
    def of(cls, after: int | str) -> Reached:
        """What ``after=`` says: a number, or the cursor of a page; raises `InvalidArguments`."""
        if isinstance(after, str):
            found = _CURSOR.fullmatch(after)
            if found is None:
                reason = f"{after!r} is no place among effects; give the number of one, or the .next of a page"
                raise InvalidArguments(name="after", reason=reason)
            return cls(int(found[1]), tuple(map(int, found[2].split(","))) if found[2] else ())
        check_number("after", after, least=0)
        return cls(after)

    def is_ahead(self, n: int) -> bool:
        """Whether the reader did not have the effect of this number. One of 0 is stored apart as a whole: only a read
        from the start shows it."""
        return n > self.last or n in self.left or not self.last

    def with_page(self, shown: Iterable[int], parts: Collection[int], reached: int) -> Reached:
        """How far it got with the effects shown, up to a number; ``parts``: numbers of rows that are no effects of
        their own."""
        last = max(self.last, reached)
        had = {*shown, *parts}
        left = [n for n in (*self.left, *range(self.last + 1, last + 1)) if n not in had]
        return Reached(last, tuple(left[-MOST_LEFT:]))

    @property
    def cursor(self) -> str:
        """What goes into ``after=`` for the next page."""
        return f"{self.last}-{','.join(map(str, self.left))}" if self.left else str(self.last)
