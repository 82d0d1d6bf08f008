"""What a verb for many means: the processes that a filter fits, as of the moment at which it was asked.

Invariant: what came after that moment is not meant, so that a verb never meets what it made itself. No page is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wakeline.processes.lifecycle import TERMINAL
from wakeline.store import choices
from wakeline.store.calls import Program
from wakeline.store.choices import Choice, ChoicePage
from wakeline.verbs.looks import indexed

AT_ONCE = 100
"""How many processes one page has, and so how many are acted on in one write."""
BEFORE_ALL = "\x01"
"""Stands before every id: a page that begins there has all that came to a list before a moment."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Which processes are meant: their statuses, the filter as `list_page` takes it, for how long (ms) they have their
    status at least, and which of them a verb leaves out."""

    statuses: Sequence[str]
    by: Mapping[str, Any]
    older_ms: int | None = None
    leaves_out: Callable[[Choice], bool] = lambda one: False


def moment() -> Program[int]:
    """The server's time, as of which a verb for many looks."""
    found: ChoicePage = yield choices.page("running", limit=1)
    return found.now_ms


class Walk:
    """A walk through all that is meant, page by page, as of the moment ``until_ms`` (server)."""

    def __init__(self, meaning: Meaning, until_ms: int) -> None:
        self.until_ms = until_ms
        self._meaning = meaning
        self._left = [*meaning.statuses]
        self._begin()

    def _begin(self) -> None:
        """The place at which the next status begins."""
        self._place = ("+inf", "")
        if self._meaning.older_ms is not None:
            self._place = (str(self.until_ms - self._meaning.older_ms + 1), BEFORE_ALL)

    def page(self) -> Program[list[Choice]]:
        """The next ones; empty at the end."""
        while self._left:
            score, member = self._place
            found: ChoicePage = yield choices.page(
                self._left[0], limit=AT_ONCE, score=score, member=member, **self._meaning.by
            )
            if found.stale or (found.score and found.behind):
                yield from indexed(self._left[0], found.behind, found.stale)
            if found.score:
                self._place = (found.score, found.member)
            else:
                del self._left[0]
                self._begin()
            meant = [one for one in found.rows if self._is_meant(one)]
            if meant:
                return meant
        return []

    def _is_meant(self, one: Choice) -> bool:
        came_ms = float(one.at) if one.status in TERMINAL else one.created_ms
        return came_ms <= self.until_ms and not self._meaning.leaves_out(one)
