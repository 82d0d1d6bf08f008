"""Every row of the table: what measures it, and how many worker processes serve meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from wakeline import App

from benchmarks.budget import Meter
from benchmarks.harness import Figure


@dataclass(frozen=True, slots=True)
class Bench:
    """What a row measures on."""

    app: App
    meter: Meter
    scale: float = 1.0
    """The part of the usual number of units."""
    long: bool = False
    """Whether the sizes that take minutes are measured too."""
    supervisor: int | None = None
    """Process id of the supervisor of the workers."""

    @property
    def client(self) -> Any:
        """The plain client of the server."""
        return self.app.store.client

    def number(self, n: int) -> int:
        """So many units at this scale."""
        return max(10, int(n * self.scale))


@dataclass(frozen=True, slots=True)
class Row:
    """A named part of the table."""

    name: str
    measure: Callable[[Bench], Iterable[Figure]]
    processes: int = 2
    """Worker processes; with 0 nobody takes, and the store is emptied afterwards."""
    once: bool = False
    """Whether it is long and even enough for one round."""


def rows() -> list[Row]:
    """All of them, in the order of the table."""
    from benchmarks import ceiling, delays, flat, memory, traced, units, wakes

    return [
        Row("ceiling", ceiling.limits, 0),
        Row("starts", units.starts, 0),
        Row("queues", flat.takes, 0, once=True),
        Row("filters", flat.filtered, 0, once=True),
        Row("traces", traced.costs, 0, once=True),
        Row("sessions", wakes.memory, 0, once=True),
        Row("fan-out", flat.fanned_out, 1, once=True),
        Row("resumes", flat.resumed, 1, once=True),
        Row("memory", memory.idle, 2, once=True),
        Row("no-ops", units.no_ops),
        Row("steps", units.ten_steps),
        Row("signals", units.signals),
        Row("turns", units.turns),
        Row("delays", delays.delays),
        Row("awaited", delays.awaited),
        Row("timers", delays.timers),
        Row("wakes", wakes.wakes),
        Row("bursts", wakes.bursts, once=True),
    ]
