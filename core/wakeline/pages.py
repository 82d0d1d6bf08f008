"""A part of a list, which says whether it is the whole list.

Invariant: a verb that lists never leaves something out silently.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class Page(list[T]):
    """A list of at most ``limit`` things. ``more`` says whether there are others. A larger ``limit``, or the verb's
    parameter for the next page, brings them."""

    def __init__(self, things: Iterable[T] = (), *, more: bool = False) -> None:
        super().__init__(things)
        self.more = more


def first_of(found: list[T], limit: int) -> Page[T]:
    """The first ``limit`` of the things that were found; the query asked for one more than ``limit``."""
    return Page(found[:limit], more=len(found) > limit)
