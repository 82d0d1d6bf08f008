"""What a start, a run, a step and a signal cost in Python, in calls of Wakeline's own functions: counts gate, times do
not."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest
from wakeline.run.boundary import contain_exits

from benchmarks.python_cost import AT_ONCE, Bench, counted, made, units

MOST = {"start": 63, "no-op": 138, "step": 145, "park": 428, "resume": 321, "signal": 116}
"""Calls of one, of 32 side by side. Python 3.11 makes three in a hundred fewer, and later versions fewer still. What
goes over it needs a reason."""


@cache
def found() -> dict[str, float]:
    """The calls of each unit. The connection answers at once, so nothing is waited for."""

    async def count() -> dict[str, float]:
        bench = Bench(made())
        contain_exits(asyncio.get_running_loop())
        return {name: (await counted(bench, unit)).own / AT_ONCE / unit.per for name, unit in units(bench).items()}

    return asyncio.run(count())


@pytest.mark.parametrize("unit", MOST)
def test_a_unit_of_work_makes_no_more_calls_than_it_needs(unit: str) -> None:
    assert found().keys() == MOST.keys()
    assert 20 < found()[unit] <= MOST[unit]
