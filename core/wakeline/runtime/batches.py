"""A batch of tool calls.

Invariant: every call is a call of its own in the journal, so a crash runs again only what was not recorded; results are in the order of the calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from wakeline.errors import InvalidArguments, ToolFailed
from wakeline.processes.outputs import Success
from wakeline.runtime.calling import call_tool
from wakeline.runtime.run import Run
from wakeline.tools.catalog import scheduling_of
from wakeline.tools.outcome import ToolOutcome, outcome_of
from wakeline.tools.tool import Tool

MOST_CALLS = 256
"""What one batch may hold: one park may wait for all of them."""


async def call_batch(run: Run, calls: Sequence[tuple[Tool[..., Any], dict[str, Any]]]) -> list[ToolOutcome]:
    """What became of each call: the parallel ones together, then the serial ones one by one in their order. A failed call is an outcome, not an error."""
    if len(calls) > MOST_CALLS:
        raise InvalidArguments(name="call_batch", reason=f"it has {len(calls)} calls, at most {MOST_CALLS} go into one batch; make several")
    outcomes: dict[int, ToolOutcome] = {}

    async def one(i: int) -> None:
        tool, given = calls[i]
        try:
            outcomes[i] = Success(tool.signature.load_result(await call_tool(run, tool, given)))
        except ToolFailed as failure:
            outcomes[i] = outcome_of(failure)

    serial = [i for i, (tool, _) in enumerate(calls) if scheduling_of(run.dispatch.catalog, tool.name) == "serial"]
    together = [run.spawn(one(i)) for i in range(len(calls)) if i not in serial]
    try:
        await asyncio.gather(*together)
    finally:
        for task in together:
            task.cancel()
    for i in serial:
        await one(i)
    return [outcomes[i] for i in range(len(calls))]
