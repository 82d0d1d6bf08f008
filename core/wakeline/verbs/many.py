"""Verbs for many: each counts what a filter means, and then does to each of them what the verb for one does.

Invariant: it acts on no more than it counted, and not at all if those are more than were confirmed. If it is
interrupted, a repetition goes on: to do it twice to one process is to do it once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wakeline.errors import CountMoved, StoreError, WakelineError
from wakeline.names import check_key
from wakeline.observe.many import SHOWN, ManyReport, Refusal
from wakeline.observe.processes import ENDED, LIVE
from wakeline.store import ticks
from wakeline.store.calls import Pause, Program
from wakeline.store.choices import Choice
from wakeline.store.ticks import PrunedNow
from wakeline.verbs import processes, signals, starts
from wakeline.verbs.abreast import abreast
from wakeline.verbs.caller import Caller
from wakeline.verbs.choosing import ManyOptions, Meaning, Walk, Wanted, moment

EXAMPLES = 5
LIVING = {"live": LIVE} | {one: (one,) for one in LIVE}
OVER = {"ended": ENDED} | {one: (one,) for one in ENDED}
STAYS = {
    "unread": "its parent lives and has not read its result",
    "untold": "a process that waits for it has not been told of its end yet; try again in a moment",
    "changed": "it changed meanwhile",
}
"""Why an ended process is not pruned now."""


@dataclass(slots=True)
class Tally:
    """The sums of a verb on its way."""

    asked: Wanted
    key: str | None = None
    matched: int = 0
    examples: tuple[str, ...] = ()
    done: int = 0
    unchanged: int = 0
    refused: set[str] = field(default_factory=set[str])
    refusals: list[Refusal] = field(default_factory=list[Refusal])

    def count(self, ids: Sequence[str]) -> None:
        """Takes a page of what is meant."""
        self.matched += len(ids)
        if len(self.examples) < EXAMPLES:
            self.examples = (*self.examples, *ids)[:EXAMPLES]

    def check(self, verb: str) -> None:
        """Raises `CountMoved` if more match than were confirmed."""
        if self.asked.expect is not None and self.matched > self.asked.expect:
            raise CountMoved(verb=verb, confirmed=self.asked.expect, found=self.matched)

    @property
    def room(self) -> int:
        """On how many it may still act."""
        return self.matched - self.done - len(self.refused)

    def refuse(self, id: str, code: str, message: str) -> None:  # noqa: A002
        """One that stays as it was."""
        if id not in self.refused:
            self.refused.add(id)
            if len(self.refusals) < SHOWN:
                self.refusals.append(Refusal(id, code, message))

    def take(self, ids: Sequence[str], outcomes: Sequence[bool | WakelineError], *, again: bool = False) -> None:
        """Takes what became of some: whether it was done, or had been before, or the error. With ``again`` they may
        have been counted. Tells its progress, and raises the error of a store that is away."""
        away: StoreError | None = None
        for one, outcome in zip(ids, outcomes, strict=True):
            if isinstance(outcome, StoreError):
                away = away or outcome
            elif isinstance(outcome, WakelineError):
                self.refuse(one, outcome.code, str(outcome))
            elif outcome:
                self.done += 1
            elif not again:
                self.unchanged += 1
        self.tell()
        if away is not None:
            raise away

    def tell(self) -> None:
        """Says how far the verb has come."""
        if self.asked.progress is not None:
            self.asked.progress(self.report())

    def report(self) -> ManyReport:
        """The sums as a value."""
        return ManyReport(
            self.matched, self.done, self.unchanged, len(self.refused), tuple(self.refusals), self.examples, self.key
        )


def _counted(verb: str, asked: Wanted, meaning: Meaning, until_ms: int, key: str | None = None) -> Program[Tally]:
    """How many are meant as of a moment. Raises `CountMoved` if they are more than were confirmed."""
    walk, tally = Walk(meaning, until_ms), Tally(asked, key)
    while page := (yield from walk.page()):
        tally.count([one.process_id for one in page])
    tally.check(verb)
    return tally


def _done_to_each(
    verb: str, asked: Wanted, meaning: Meaning, act: Callable[[str], Program[bool]], key: str | None = None
) -> Program[ManyReport]:
    """Does to each that is meant what the verb for one does. ``act`` says whether it changed anything."""
    until_ms = yield from moment()
    tally = yield from _counted(verb, asked, meaning, until_ms, key)
    again = False
    while not asked.dry_run:
        before, walk = tally.done, Walk(meaning, until_ms, moved=again)
        while tally.room > 0 and (page := (yield from walk.page())):
            ids = [one.process_id for one in page if one.process_id not in tally.refused][: tally.room]
            outcomes = yield from abreast([act(one) for one in ids])
            tally.take(ids, outcomes, again=again)
        if tally.done == before or meaning.statuses[0] in ENDED:
            break
        again = True  # what lives goes from one list to another beside this walk
    return tally.report()


def cancel(caller: Caller, status: str | None, reason: str, options: ManyOptions) -> Program[ManyReport]:
    """Ask all that is meant to end; what was asked before is not meant."""
    processes.check_reason(reason)
    asked = Wanted.of(options)

    def act(process_id: str) -> Program[bool]:
        found = yield from processes.cancel(caller, process_id, reason)
        return found not in ENDED

    meaning = asked.meaning("cancel", status, LIVING, "live", lambda one: one.asked_to_end)
    return (yield from _done_to_each("cancel", asked, meaning, act))


def retry(caller: Caller, status: str | None, options: ManyOptions) -> Program[ManyReport]:
    """Run all that is meant again; those that failed, unless another status is given."""
    asked = Wanted.of(options)

    def act(process_id: str) -> Program[bool]:
        _, is_new = yield from starts.retried(caller, process_id)
        return is_new

    return (yield from _done_to_each("retry", asked, asked.meaning("retry", status, OVER, "failed"), act))


def signal(
    caller: Caller, name: str, payload: Any, key: str | None, status: str | None, options: ManyOptions
) -> Program[ManyReport]:
    """Send a signal to all that is meant, under one key: each gets it once under that key."""
    asked = Wanted.of(options)
    one_key = check_key(key, "signal id") if key is not None else f"many-{secrets.token_hex(6)}"
    signals.checked(name, payload, one_key)

    def act(process_id: str) -> Program[bool]:
        sent = yield from signals.signal(caller, process_id, name, payload, one_key)
        return not sent.replayed

    meaning = asked.meaning("signal", status, LIVING, "live")
    return (yield from _done_to_each("signal", asked, meaning, act, one_key))


def prune(caller: Caller, status: str | None, options: ManyOptions) -> Program[ManyReport]:
    """Remove ended processes now."""
    asked = Wanted.of(options)
    meaning = asked.meaning("prune", status, OVER, "ended")
    until_ms = yield from moment()
    tally = yield from _counted("prune", asked, meaning, until_ms)
    walk = Walk(meaning, until_ms)
    while not asked.dry_run and (page := (yield from walk.page())):
        left: Sequence[Choice] = page[: tally.room]
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
        tally.tell()
    return tally.report()
