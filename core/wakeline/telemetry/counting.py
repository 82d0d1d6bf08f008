"""What a worker counts of its runs and effects, until that is written to the store.

Invariant: it is told the end of runs and tries alone, which is cheap; each count is given out once.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.metrics import BOUNDS, METRICS, series
from wakeline.telemetry.seen import RanSeen, TickedSeen, TriedSeen, WaitedSeen

NAMES = 200
"""How many names of bodies and effects one worker tells apart. What comes later is counted as `OTHER`."""
OTHER = "other"
AT_ONCE = 64
"""How many series one write brings to the store."""


class Counting(Instrument):
    """Counts what one worker does, until `take` is asked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._tallies: dict[tuple[str, str, str], _Tally] = {}
        self._spans: dict[tuple[str, ...], _Spans] = {}
        self._names: set[str] = set()
        self._told: dict[tuple[str, ...], int] = {}

    def ran(self, ran: RanSeen, /) -> None:
        """Counts a run by its outcome, and how long it took."""
        with self._lock:
            self._tally("run", ran).count(ran)
            if ran.code == "replay_mismatch":
                self._counts["wakeline_replay_mismatches_total", self._name(ran.name)] += 1
            if ran.lived_s is not None:
                of = ("wakeline_process_duration_seconds", ran.kind, self._name(ran.name), ran.outcome)
                self._span(of).add(ran.lived_s)
            if ran.entries:
                self._counts["wakeline_turn_entries_total", self._name(ran.name)] += ran.entries

    def tried(self, tried: TriedSeen, /) -> None:
        """Counts a try of an effect by its outcome, and how long it took."""
        with self._lock:
            self._tally("effect", tried).count(tried)

    def waited(self, waited: WaitedSeen, /) -> None:
        """Counts a wait that is over by its outcome, and how long it took."""
        with self._lock:
            self._counts["wakeline_waits_over_total", waited.kind, waited.outcome] += 1
            self._span(("wakeline_wait_seconds", waited.kind)).add(waited.seconds)

    def ticked(self, ticked: TickedSeen, /) -> None:
        """Counts how long a tick took."""
        with self._lock:
            self._span(("wakeline_tick_seconds", "true" if ticked.spared else "false")).add(ticked.seconds)

    def _span(self, key: tuple[str, ...]) -> _Spans:
        found = self._spans.get(key)
        return self._spans.setdefault(key, _Spans()) if found is None else found

    def _tally(self, what: str, seen: RanSeen | TriedSeen) -> _Tally:
        found = self._tallies.get((what, seen.kind, seen.name))
        if found is None:
            found = self._tallies.setdefault((what, seen.kind, self._name(seen.name)), _Tally())
        return found

    def failed(self, failures: Mapping[tuple[str, str], int]) -> None:
        """How often instruments of this worker raised by now, by instrument and method."""
        with self._lock:
            for (instrument, method), n in failures.items():
                key = ("wakeline_instrument_failures_total", instrument, method)
                if n > self._told.get(key, 0):
                    self._counts[key] += n - self._told.get(key, 0)
                    self._told[key] = n

    def _name(self, name: str) -> str:
        """A name that is told apart. They are bounded, because a body may name its steps as it likes."""
        if name in self._names:
            return name
        if len(self._names) >= NAMES:
            return OTHER
        self._names.add(name)
        return name

    def take(self) -> dict[str, int]:
        """What was counted since the last time, by series: of a histogram how many fell under each bound (not those
        below it too) and the sum in µs."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            tallies, self._tallies = self._tallies, {}
            spans, self._spans = self._spans, {}
        taken = {_counter(key): n for key, n in counts.items()}
        for (what, kind, name), tally in tallies.items():
            labels = {"kind": kind, "name": name}
            for outcome, n in tally.outcomes.items():
                taken[series(f"wakeline_{what}s_total", labels | {"outcome": outcome})] = n
            taken |= tally.samples(f"wakeline_{what}_duration_seconds", labels)
        for (family, *values), counted in spans.items():
            taken |= counted.samples(family, dict(zip(_LABELS[family], values, strict=True)))
        return taken


class _Spans:
    """How many times fell under each bound, and their sum. No time is negative."""

    __slots__ = ("spans", "sum_us")

    def __init__(self) -> None:
        self.spans = [0] * (len(BOUNDS) + 1)
        self.sum_us = 0

    def add(self, seconds: float) -> None:
        self.spans[bisect_left(BOUNDS, seconds)] += 1
        self.sum_us += int(seconds * 1_000_000)

    def samples(self, family: str, labels: Mapping[str, str]) -> dict[str, int]:
        """The histogram by series, for the store."""
        found = {
            series(f"{family}_bucket", {**labels, "le": str(bound)}): n
            for bound, n in zip((*BOUNDS, "+Inf"), self.spans, strict=True)
            if n
        }
        found[series(f"{family}_sum", labels)] = self.sum_us
        return found


class _Tally(_Spans):
    """What was counted of one name: the outcomes, too."""

    __slots__ = ("outcomes",)

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, int] = {}

    def count(self, seen: RanSeen | TriedSeen) -> None:
        self.outcomes[seen.outcome] = self.outcomes.get(seen.outcome, 0) + 1
        self.spans[bisect_left(BOUNDS, seen.seconds)] += 1
        self.sum_us += int(seen.seconds * 1_000_000)


_LABELS = {f"{one.name}_total" if one.type == "counter" else one.name: one.labels for one in METRICS}


def _counter(key: tuple[str, ...]) -> str:
    name, *values = key
    return series(name, dict(zip(_LABELS[name], values, strict=True)))
