"""A part of a list, which says whether it is all of it.

Invariant: a verb that lists never leaves something out without a word.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class Page(list[T]):
    """A list of at most ``limit`` things. ``more``: whether there are others; a larger ``limit``, or the verb's way to
    the next page, brings them."""

    def __init__(self, things: Iterable[T] = (), *, more: bool = False) -> None:
        super().__init__(things)
        self.more = more


def first_of(found: list[T], limit: int) -> Page[T]:
    """The first of what was found, one more of which was asked for than ``limit``."""
    return Page(found[:limit], more=len(found) > limit)
