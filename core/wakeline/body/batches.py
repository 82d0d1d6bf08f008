"""A batch of tool calls.

Invariant: every call has its own row in the journal, so after a crash only unrecorded calls run again. Results are in
the order of the calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from wakeline.errors import (
    FailureClass,
    InvalidArguments,
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
    """One call of a batch: its tool, and how it is made."""

    tool: str
    perform: Callable[[], Awaitable[Any]]


MOST_CALLS = 256
"""How many calls one batch may have, because one park may wait for all of them."""


def check_batch(calls: Sequence[Any]) -> None:
    """Raises `InvalidArguments` for what is no list of tools with their arguments by name, or too long."""
    if not isinstance(calls, list | tuple):
        raise _no_batch(calls)
    if len(calls) > MOST_CALLS:
        raise InvalidArguments(
            name="call_batch",
            reason=f"it has {len(calls)} calls, at most {MOST_CALLS} go into one batch; make several",
        )
    for one in calls:
        if not _is_call(one):
            raise _no_batch(one)


def _is_call(one: Any) -> bool:
    match one:
        case [_, dict()]:
            given: Any = one[1]
            return all(isinstance(name, str) for name in given)
        case _:
            return False


def _no_batch(given: Any) -> InvalidArguments:
    return InvalidArguments(
        name="call_batch", reason=f"it takes pairs of a tool and a dict of its arguments by name, not {given!r}"
    )


async def call_batch(run: Run, calls: Sequence[BatchCall]) -> list[ToolOutcome]:
    """The outcome of each call. The parallel ones run together, then the serial ones one by one, in order. A failed
    call is an outcome and no error."""
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
