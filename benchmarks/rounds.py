"""Rounds of rows, of one checkout or of two in turn, and the table of what they measured."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.checkouts import ROOT, Side
from benchmarks.harness import shown, spread
from benchmarks.machine import DISTURBED
from benchmarks.reach import REACH, REACH_RATIO
from benchmarks.rows import Row


@dataclass(frozen=True, slots=True)
class Measured:
    """The values of one figure in one round, and the cores that others used meanwhile."""

    values: list[float]
    others: float


@dataclass(slots=True)
class Found:
    """One figure: its unit, and its rounds by side."""

    unit: str
    rounds: dict[str, list[Measured]] = field(default_factory=dict[str, list[Measured]])

    def values(self, side: str) -> list[float]:
        """Those of the quiet rounds of a side; of all of them where none was quiet."""
        rounds = self.rounds.get(side, [])
        quiet = [one for one in rounds if one.others <= DISTURBED] or rounds
        return [value for one in quiet for value in one.values]

    def disturbed(self) -> str:
        """How many rounds of how many were not quiet, and by how much at most; empty when all were."""
        rounds = [one for measured in self.rounds.values() for one in measured]
        loud = [one.others for one in rounds if one.others > DISTURBED]
        return f"{len(loud)} of {len(rounds)}, {max(loud):.1f}" if loud else ""


Table = dict[str, Found]


def run(sides: Sequence[Side], chosen: Sequence[Row], rounds: int, *, scale: float, long: bool) -> tuple[Table, int]:
    """All rounds; two sides go in turn, and the one that begins changes from round to round. Also how many rows of the
    first side failed."""
    table: Table = {}
    failed = 0
    for number in range(rounds):
        names = [row.name for row in chosen if not number or not row.once]
        for side in sides if number % 2 == 0 else reversed(sides):
            print(f"round {number + 1} of {rounds}: {side.name} …", file=sys.stderr, flush=True)
            for line in one_round(side, names, scale=scale, long=long):
                if "machine" in line and not number:
                    print(f"{side.name}: Wakeline {line['version']}; {line['machine']}", flush=True)
                if "failed" in line:
                    failed += side is sides[0]
                    print(f"left out: {line['row']} of {side.name}: {line['failed']}", file=sys.stderr, flush=True)
                for name, unit, values in line.get("figures", ()):
                    found = table.setdefault(name, Found(unit))
                    found.rounds.setdefault(side.name, []).append(Measured(values, line["others"]))
    return table, failed


def one_round(side: Side, names: Sequence[str], *, scale: float, long: bool) -> Iterator[dict[str, Any]]:
    """The lines of a round (`benchmarks.round`), as they come. These benchmarks are run for each side, so both do the
    same. Raises `CalledProcessError` when the round itself ended badly."""
    command = [side.python, "-m", "benchmarks.round", *names, "--scale", str(scale), "--root", str(os.getpid())]
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    with subprocess.Popen(
        [*command, *(["--long"] if long else [])], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        yield from map(json.loads, child.stdout)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)


def lines(table: Table, sides: Sequence[Side]) -> Iterator[str]:
    """The table; with two sides each figure stands beside the other's, and divided by it."""
    if len(sides) == 1:
        yield "| figure | median | spread | unit | to reach | disturbed rounds, cores of others |"
        yield "|---|---|---|---|---|---|"
        for name, found in table.items():
            values = found.values(sides[0].name)
            figure = f"{name} | {shown(statistics.median(values))} | {spread(values)} | {found.unit}"
            yield f"| {figure} | {REACH.get(name, '')} | {found.disturbed()} |"
        return
    own, before = sides
    yield f"| figure | {before.name} | this | unit | ÷ | to reach | disturbed rounds, cores of others |"
    yield "|---|---|---|---|---|---|---|"
    for name, found in table.items():
        now, then = (statistics.median(v) if (v := found.values(one.name)) else None for one in (own, before))
        ratio = f"{now / then:.2f}" if now is not None and then else "–"
        reach = ", ".join(filter(None, (REACH.get(name, ""), REACH_RATIO.get(name, "") and f"÷ {REACH_RATIO[name]}")))
        cells = ["–" if value is None else shown(value) for value in (then, now)]
        yield f"| {name} | {' | '.join(cells)} | {found.unit} | {ratio} | {reach} | {found.disturbed()} |"
