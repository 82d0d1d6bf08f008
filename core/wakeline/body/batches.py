"""A batch of tool calls.

Invariant: every call is a call of its own in the journal, so a crash runs again only what was not recorded; results are
in the order of the calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from wakeline.errors import (
    FailureClass,
    InvalidPayload,
    PayloadTooLarge,
    ProcessAbandoned,
    ProcessCancelled,
    ProcessFailed,
    ToolFailed,
)
from wakeline.processes.outputs import CancelledOutput, Failure, Success
from wakeline.run.run import Run
from wakeline.tools.catalog import scheduling_of
from wakeline.tools.outcome import ToolOutcome, outcome_of


@dataclass(frozen=True, slots=True)
class BatchCall:
    """One call of a batch: whose it is, and how it is made."""

    tool: str
    perform: Callable[[], Awaitable[Any]]


MOST_CALLS = 256
"""What one batch may hold: one park may wait for all of them."""


async def call_batch(run: Run, calls: Sequence[BatchCall]) -> list[ToolOutcome]:
    """What became of each call: the parallel ones together, then the serial ones one by one in their order. A failed
    call is an outcome, not an error."""
    outcomes: dict[int, ToolOutcome] = {}

    async def one(i: int) -> None:
        try:
            outcomes[i] = Success(await calls[i].perform())
        except ToolFailed as failure:
            outcomes[i] = outcome_of(failure)
        except ProcessFailed as failure:
            outcomes[i] = Failure(
                cast("FailureClass", failure.failure_class), failure.failure_code, failure.failure_message
            )
        except ProcessCancelled as cancelled:
            outcomes[i] = CancelledOutput(str(cancelled))
        except (InvalidPayload, PayloadTooLarge, ProcessAbandoned) as error:
            outcomes[i] = Failure("execution", error.code, str(error))

    serial = [i for i, call in enumerate(calls) if scheduling_of(run.dispatch.catalog, call.tool) == "serial"]
    run.journal.side_by_side += 1
    together = [run.life.spawn(one(i)) for i in range(len(calls)) if i not in serial]
    try:
        await asyncio.gather(*together)
    finally:
        run.journal.side_by_side -= 1
        for task in together:
            task.cancel()
    for i in serial:
        await one(i)
    return [outcomes[i] for i in range(len(calls))]
