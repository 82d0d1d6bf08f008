"""Verbs for many: each counts what a filter means, and then does to each of them what the verb for one does.

Invariant: it acts on no more than it counted, and not at all if those are more than were confirmed. If it is
interrupted, a repetition goes on: to do it twice to one process is to do it once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from wakeline.errors import CountMoved, InvalidArguments
from wakeline.observe.many import SHOWN, ManyReport, Refusal
from wakeline.observe.processes import ENDED
from wakeline.store import ticks
from wakeline.store.calls import Pause, Program
from wakeline.store.choices import Choice
from wakeline.store.ticks import PrunedNow
from wakeline.tools.tool import Duration
from wakeline.values import check_number, parse_duration
from wakeline.verbs.caller import Caller
from wakeline.verbs.choosing import Meaning, Walk, moment

EXAMPLES = 5
Progress = Callable[[ManyReport], object]
STAYS = {
    "unread": "its parent lives and has not read its result",
    "untold": "a process that waits for it has not been told of its end yet; try again in a moment",
    "changed": "it changed meanwhile",
}
"""Why an ended process is not pruned now."""


@dataclass(frozen=True, slots=True)
class How:
    """How a verb for many is asked: how many may match (None: any number), whether it only counts, and what is told
    after each page."""

    expect: int | None = None
    dry_run: bool = False
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.expect is not None:
            check_number("expect", self.expect, least=0)
        if self.progress is not None and not callable(self.progress):  # pyright: ignore[reportUnnecessaryComparison]
            raise InvalidArguments(
                name="progress", reason=f"it is called with a report, and {self.progress!r} is not callable"
            )


@dataclass(slots=True)
class Tally:
    """The sums of a verb on its way."""

    matched: int
    examples: tuple[str, ...] = ()
    key: str | None = None
    done: int = 0
    unchanged: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list[Refusal])

    def refuse(self, id: str, code: str, message: str) -> None:  # noqa: A002
        self.refused += 1
        if len(self.refusals) < SHOWN:
            self.refusals.append(Refusal(id, code, message))

    def report(self) -> ManyReport:
        return ManyReport(
            self.matched, self.done, self.unchanged, self.refused, tuple(self.refusals), self.examples, self.key
        )


def counted(verb: str, meaning: Meaning, how: How, until_ms: int, key: str | None = None) -> Program[Tally]:
    """How many are meant as of a moment. Raises `CountMoved` if they are more than were confirmed."""
    walk, tally = Walk(meaning, until_ms), Tally(0, key=key)
    while page := (yield from walk.page()):
        tally.matched += len(page)
        if len(tally.examples) < EXAMPLES:
            tally.examples = (*tally.examples, *(one.process_id for one in page))[:EXAMPLES]
    check_count(verb, how, tally.matched)
    return tally


def check_count(verb: str, how: How, found: int) -> None:
    """Raises `CountMoved` if more were found than were confirmed."""
    if how.expect is not None and found > how.expect:
        raise CountMoved(verb=verb, confirmed=how.expect, found=found)


def prune(
    caller: Caller, how: How, status: str | None, older_than: Duration | None, everything: bool
) -> Program[ManyReport]:
    """Remove ended processes now."""
    meaning = _meaning("prune", ENDED, status, older_than, everything)
    until_ms = yield from moment()
    tally = yield from counted("prune", meaning, how, until_ms)
    walk = Walk(meaning, until_ms)
    while not how.dry_run and (page := (yield from walk.page())):
        left: Sequence[Choice] = page[: tally.matched - tally.done - tally.refused]
        while left:
            pruned: PrunedNow = yield ticks.prune_these(
                [(one.process_id, one.status, one.at) for one in left], tombstone_ms=caller.tombstone_ms
            )
            left = left[pruned.done :]
            tally.done += pruned.done - len(pruned.stayed)
            for process_id, why in pruned.stayed:
                tally.refuse(process_id, why, STAYS[why])
            # No more than half of the server's time.
            yield Pause(pruned.took_ms)
        tell(how, tally)
    return tally.report()


def _meaning(
    verb: str, among: Sequence[str], status: str | None, older_than: Duration | None, everything: bool
) -> Meaning:
    """What a filter means. Raises `InvalidArguments` for a status that the verb is not for, and where there is no
    filter."""
    if status is not None and status not in among:
        raise InvalidArguments(name=verb, reason=f"status is one of {', '.join(among)}; not {status!r}")
    if status is None and older_than is None and not everything:
        raise InvalidArguments(
            name=verb, reason="it has no filter, and so would mean everything; say everything=True (--all) for that"
        )
    older_ms = None if older_than is None else parse_duration(older_than)
    return Meaning((status,) if status is not None else among, {}, older_ms)


def tell(how: How, tally: Tally) -> None:
    """Tells how far the verb has come."""
    if how.progress is not None:
        how.progress(tally.report())
