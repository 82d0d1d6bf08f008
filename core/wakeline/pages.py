"""A part of a list, which says whether it is the whole list, and where the next part begins.

Invariant: a verb that lists never leaves something out silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from wakeline.errors import InvalidArguments

T = TypeVar("T")
_PLACE = re.compile(r"(\d{1,16}(?:\.\d{1,20})?):(.+)", re.ASCII | re.DOTALL)


class Page(list[T]):
    """A list of at most ``limit`` things. ``more`` says whether there are others. ``next`` is what ``after=`` of the
    same verb takes for the next page; None where the verb has another parameter for that, or nothing follows. A page of
    effects always has it, because a process that runs records more."""

    def __init__(self, things: Iterable[T] = (), *, more: bool = False, following: str | None = None) -> None:
        super().__init__(things)
        self.more = more
        self.next = following


def first_of(found: list[T], limit: int, places: Sequence[str] = ()) -> Page[T]:
    """The first ``limit`` of the things that were found; the query asked for one more than ``limit``. ``places``: the
    cursor of each."""
    more = len(found) > limit
    return Page(found[:limit], more=more, following=places[limit - 1] if more and places else None)


def no_place(after: Any) -> InvalidArguments:
    """The error about a cursor that no page of this list gave."""
    return InvalidArguments(name="after", reason=f"{after!r} is no place in the list; give the .next of a page")


def place_of(cursor: Any) -> tuple[str, str]:
    """The score and the name that a cursor ``<score>:<name>`` says. It is a place and no thing: it stays good where
    what stood there is gone. Raises `InvalidArguments`."""
    found = _PLACE.fullmatch(cursor) if isinstance(cursor, str) else None
    if found is None:
        raise no_place(cursor)
    return found[1], found[2]
