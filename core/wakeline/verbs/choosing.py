"""What a verb for many means: the processes that a filter fits, as of the moment at which it was asked.

Invariant: what came after that moment is not meant, so that a verb never meets what it made itself. No page is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from wakeline.errors import InvalidArguments
from wakeline.observe.many import ManyReport
from wakeline.observe.query import ProcessQuery
from wakeline.processes.lifecycle import TERMINAL
from wakeline.store import choices
from wakeline.store.calls import Program
from wakeline.store.choices import Choice, ChoicePage
from wakeline.values import check_number, parse_duration
from wakeline.verbs.looks import indexed

if TYPE_CHECKING:
    from wakeline.tools.tool import Duration

AT_ONCE = 100
"""How many processes one page has, and so how many are acted on in one write."""
BEFORE_ALL = "\x01"
"""Stands before every id: a page that begins there has all that came to a list before a moment."""
FILTERS = ("kind", "name", "labels", "session", "waiting", "parent", "beginning", "since", "until")
"""The options that are a filter, as `ProcessQuery` has them."""


class ManyOptions(TypedDict, total=False):
    """What verbs for many take, for type checkers; `Wanted` says what each means."""

    kind: str | None
    name: str | None
    labels: Mapping[str, str] | None
    session: str | None
    waiting: str | None
    parent: str | None
    beginning: str | None
    since: Duration | datetime | None
    until: Duration | datetime | None
    older_than: Duration | None
    everything: bool
    expect: int | None
    dry_run: bool
    progress: Callable[[ManyReport], object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a verb for many is asked: with the filter of a `ProcessQuery`, without its status, and what it is to do.
    Raises `InvalidArguments`, `InvalidId`, `InvalidDuration`."""

    kind: str | None = None
    name: str | None = None
    labels: Mapping[str, str] | None = None
    session: str | None = None
    waiting: str | None = None
    parent: str | None = None
    beginning: str | None = None
    since: Duration | datetime | None = None
    until: Duration | datetime | None = None
    older_than: Duration | None = None
    """Only what has its status for longer."""
    everything: bool = False
    """That it has no filter, and means everything."""
    expect: int | None = None
    """The highest number that may match; None allows any."""
    dry_run: bool = False
    """Only count."""
    progress: Callable[[ManyReport], object] | None = None
    """It is called with the report so far, after each batch."""
    older_ms: int | None = field(init=False, default=None)
    by: Mapping[str, Any] = field(init=False, default_factory=dict[str, Any])
    """The filter, as `processes.list_page` takes it."""

    def __post_init__(self) -> None:
        if self.expect is not None:
            check_number("expect", self.expect, least=0)
        if self.progress is not None and not callable(self.progress):  # pyright: ignore[reportUnnecessaryComparison]
            raise InvalidArguments(
                name="progress", reason=f"it is called with a report, and {self.progress!r} cannot be called"
            )
        object.__setattr__(self, "by", ProcessQuery(**{name: getattr(self, name) for name in FILTERS}).wire())
        if self.older_than is not None:
            object.__setattr__(self, "older_ms", parse_duration(self.older_than))

    def meaning(
        self,
        verb: str,
        status: str | None,
        among: Mapping[str, Sequence[str]],
        usual: str,
        leaves_out: Callable[[Choice], bool] = lambda one: False,
    ) -> Meaning:
        """What is meant by it and a status, which is one of the words of ``among``; ``usual`` is the one without a
        word. Raises `InvalidArguments` for another word, and where there is no filter."""
        if status is not None and (not isinstance(status, str) or status not in among):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArguments(name=verb, reason=f"status is one of {', '.join(among)}; not {status!r}")
        given = [status, self.older_than, *(getattr(self, name) for name in FILTERS)]
        self.check_filtered(verb, any(one is not None for one in given))
        return Meaning(among[usual if status is None else status], self.by, self.older_ms, leaves_out)

    def check_filtered(self, verb: str, filtered: bool) -> None:
        """Raises `InvalidArguments` where there is no filter, so that a forgotten one does not mean everything; and for
        a filter beside ``everything``."""
        if filtered and self.everything:
            raise InvalidArguments(name=verb, reason="everything=True (--all) is for no filter, and there is one")
        if not filtered and not self.everything:
            raise InvalidArguments(
                name=verb, reason="it has no filter, and so would mean everything; say everything=True (--all) for that"
            )

    @classmethod
    def of(cls, options: ManyOptions) -> Wanted:
        """From the options of a verb. Raises `InvalidArguments` for one that there is not."""
        known = {one.name for one in fields(cls) if one.init}
        if unknown := sorted(options.keys() - known):
            raise InvalidArguments(name=unknown[0], reason=f"the options are {', '.join(sorted(known))}")
        return cls(**options)


@dataclass(frozen=True, slots=True)
class Meaning:
    """Which processes are meant: their statuses, the filter as `list_page` takes it, for how long (ms) they have their
    status at least, and which of them a verb leaves out."""

    statuses: Sequence[str]
    by: Mapping[str, Any]
    older_ms: int | None
    leaves_out: Callable[[Choice], bool]


def moment() -> Program[int]:
    """The server's time, as of which a verb for many looks."""
    found: ChoicePage = yield choices.page("running", limit=1)
    return found.now_ms


class Walk:
    """A walk through all that is meant, page by page, as of the moment ``until_ms`` (server).

    ``moved``: only what changed its status since. A walk beside workers misses what goes from a list before it to one
    behind it.
    """

    def __init__(self, meaning: Meaning, until_ms: int, *, moved: bool = False) -> None:
        self._until_ms, self._moved = until_ms, moved
        self._meaning = meaning
        self._left = [*meaning.statuses]
        self._begin()

    def _begin(self) -> None:
        """The place at which the next status begins."""
        self._place = ("+inf", "")
        if self._meaning.older_ms is not None:
            self._place = (str(self._until_ms - self._meaning.older_ms + 1), BEFORE_ALL)

    def page(self) -> Program[list[Choice]]:
        """The next ones; empty at the end."""
        while self._left:
            score, member = self._place
            found: ChoicePage = yield choices.page(
                self._left[0], limit=AT_ONCE, score=score, member=member, **self._meaning.by
            )
            if found.stale or (found.score and found.behind):
                yield from indexed(self._left[0], found.behind, found.stale)
            if found.score and not (self._moved and float(found.score) <= self._until_ms):
                self._place = (found.score, found.member)
            else:
                del self._left[0]
                self._begin()
            meant = [one for one in found.rows if self._is_meant(one)]
            if meant:
                return meant
        return []

    def _is_meant(self, one: Choice) -> bool:
        if self._moved and float(one.at) <= self._until_ms:
            return False
        came_ms = float(one.at) if one.status in TERMINAL else one.created_ms
        return came_ms <= self._until_ms and not self._meaning.leaves_out(one)
