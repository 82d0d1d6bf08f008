"""The command that shows live what a fleet does: top.

Invariant: a look costs three round trips, however much there is.
"""

from __future__ import annotations

import textwrap
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click
from wakeline.observe.findings.finding import count, named
from wakeline.observe.fleet import QueueView
from wakeline.values import format_duration

from wakeline_workers.cli.root import Console, command, option
from wakeline_workers.cli.watching import EVERY_S, LEAST_S, MOST_S, repeated

if TYPE_CHECKING:
    from wakeline.observe.top import NowView, TopView

ROWS = 10
"""The rows of each part; the lists have the rest."""
OVER_S = 10.0
"""Rates are of this time at least, once it went by: workers tell of what they tried once in two seconds."""


@command("top")
@option(
    "--every",
    default=EVERY_S,
    show_default=True,
    type=click.FloatRange(LEAST_S, MOST_S),
    help="Seconds between two looks.",
)
@option("--once", is_flag=True, help="Look twice, for the rates, and print the second look.")
@click.pass_obj
def top(console: Console, every: float, once: bool) -> int:
    """Show live what the fleet does: queues, the longest runs, rates.

    Rates are those of the whole fleet. q or Ctrl-C ends it. In a pipe it is printed again and again.
    """
    app = console.app
    looks: deque[TopView] = deque()

    def look() -> None:
        looks.append(_look(console))
        while len(looks) > 2 and looks[-1].fleet.now_ms - looks[1].fleet.now_ms >= OVER_S * 1000:
            looks.popleft()
        _tell(console, looks[-1], looks[-1].rates_since(looks[0]))

    if not once:
        return repeated(console, every, f"wakeline top  {app.namespace} on {app.backend.describe()}", look)
    looks.append(_look(console))
    time.sleep(every)
    look()
    return 0


def _look(console: Console) -> TopView:
    from wakeline.verbs import tops

    app = console.app
    found: TopView = app.run("wakeline top", tops.top(app.queues, stale_ms=app.settings.stale_ms, most=ROWS))
    return found


def _tell(console: Console, seen: TopView, rates: Mapping[str, float] | None) -> None:
    if console.as_json:
        return console.answer(seen.to_data() | {"rates": rates})
    for line in _sums(seen, rates):
        console.answer(None, *(textwrap.wrap(line, console.room, subsequent_indent="  ") if console.room else [line]))
    queues = sorted(seen.fleet.queues, key=lambda one: (-one.waiting, -one.running, one.name))
    _part(
        console,
        ("QUEUE", "WAITING", "RUNNING", "OLDEST", "STATE"),
        [_of_queue(one, seen.oldest_ms.get(one.name, 0)) for one in queues[:ROWS]],
    )
    if len(queues) > ROWS:
        console.answer(None, f"{len(queues) - ROWS} more; `wakeline queues` has all")
    runs = [_of_run(one, seen.fleet.now_ms) for one in seen.running]
    _part(console, ("RUNNING NOW", "FOR", "KIND", "LAST EFFECT", "WORKER"), runs, ids=(4,))
    if (more := seen.fleet.counts["running"] - len(runs)) > 0:
        console.answer(None, f"{more:,} more; `wakeline ps --status running` has all")
    return None


def _part(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], ids: Sequence[int] = ()) -> None:
    console.answer(None, "")
    console.rows(headings, rows or [["-", *([""] * (len(headings) - 1))]], headed=True, ids=ids)


def _sums(seen: TopView, rates: Mapping[str, float] | None) -> Iterator[str]:
    fleet = seen.fleet
    yield "processes  " + "  ".join(f"{status} {n:,}" for status, n in fleet.counts.items() if n)
    if rates is None:
        yield "per second  no time went by yet"
    else:
        ended = sum(rates[status] for status in ("completed", "failed", "cancelled", "abandoned"))
        told = {"starts": rates["started"], "ends": ended, "failures": rates["failed"], "steps": rates["effects"]}
        yield "per second  " + "  ".join(f"{word} {rate:,.1f}" for word, rate in told.items())
    alive = [one for one in fleet.workers if one.alive]
    trouble = f", {fleet.undeliverable:,} undeliverable" if fleet.undeliverable else ""
    yield f"{count(len(alive), 'worker')} alive, {count(fleet.timers, 'timer')}{trouble}"


def _of_queue(queue: QueueView, oldest_ms: int) -> tuple[str, ...]:
    state = [word for word, holds in (("paused", queue.paused), ("no worker", not queue.workers)) if holds]
    waits = _for(oldest_ms) if queue.waiting else ""
    return (named(queue.name), f"{queue.waiting:,}", f"{queue.running:,}", waits, ", ".join(state))


def _of_run(run: NowView, now_ms: int) -> tuple[str, ...]:
    what = run.label or run.kind or "gone again"
    return (run.id, _for(max(0, now_ms - run.since_ms)), what, run.last_effect or "", run.worker or "")


def _for(ms: int) -> str:
    return format_duration(ms // 1_000 * 1_000)
