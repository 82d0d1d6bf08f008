"""What a body awaits beside other things: a child it started, an approval it asked for. One resume for all of them.

Invariant: a child is awaited as the process it was when it was started; its end is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, overload

from wakeline.body import signals
from wakeline.body.approvals import AsyncApproval, answer_of, wait_for
from wakeline.body.children import awaiting
from wakeline.body.messages import request_cancel
from wakeline.errors import InvalidArguments
from wakeline.names import called
from wakeline.processes.outputs import from_data, raise_for
from wakeline.run.run import Run
from wakeline.run.setbacks import mark
from wakeline.run.waits import WaitCall, settle
from wakeline.tools.tool import Duration
from wakeline.values import parse_duration
from wakeline.verbs.options import MISSING
from wakeline.waits.resolutions import Resolution

R = TypeVar("R")
D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class AsyncChild(Generic[R]):
    """A process that this body started. Await it for its result."""

    id: str
    incarnation: str
    run: Run = field(repr=False)
    load: Callable[[Any], R]

    def __await__(self) -> Generator[Any, None, R]:
        return self.result().__await__()

    @overload
    async def result(self, timeout: Duration | None = None) -> R: ...
    @overload
    async def result(self, timeout: Duration | None = None, *, default: D) -> R | D: ...
    async def result(self, timeout: Duration | None = None, *, default: Any = MISSING) -> Any:
        """Waits for its end, parked if need be, and returns its result. Raises `ProcessFailed`, `ProcessCancelled`,
        `ProcessAbandoned`, `WaitTimeout` (unless ``default`` is given)."""
        [value] = await gather(self.run, [self], timeout=timeout, default=default)
        return value

    async def signal(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Send it a signal, once, even after a crash. Returns the sequence of the event there."""
        return (await signals.send_signal(self.run, self.id, name, payload, key)).sequence

    async def cancel(self, reason: str = "requested by its parent") -> str:
        """Ask it to end. Returns its status."""
        return await request_cancel(self.run, self.id, reason)


Gathered = AsyncChild[R] | AsyncApproval[R]
"""What `AsyncCtx.gather` takes."""


def check_awaited(verb: str, awaited: Sequence[Any], kinds: tuple[type, ...] = ()) -> None:
    """Raises `InvalidArguments` for a list that has anything else than children and approvals (or the given ones)."""
    wanted = kinds or (AsyncChild, AsyncApproval)
    if isinstance(awaited, str | bytes) or not isinstance(awaited, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArguments(
            name=verb, reason=f"it takes a list of what start() and approval() gave, not {awaited!r}"
        )
    for one in awaited:
        if not isinstance(one, wanted):
            raise InvalidArguments(name=verb, reason=f"it takes what start() and approval() gave, not {one!r}")


def process_named(target: AsyncChild[Any] | str) -> str:
    """The id of a process that a body names by its id or as its child; raises `InvalidId` for anything else."""
    return target.id if isinstance(target, AsyncChild) else called(target)


async def gather(run: Run, awaited: Sequence[Gathered[Any]], *, timeout: Duration | None, default: Any) -> list[Any]:
    """The results of all children and the answers to all approvals, in order."""
    limit = parse_duration(timeout) if timeout is not None else None
    check_awaited("gather", awaited)
    calls = await run.waits.asked_in_parts(awaited, lambda one: _wait_for(one, limit))

    def answer(i: int, resolution: Resolution) -> tuple[Any, BaseException | None]:
        try:
            return _answer_of(awaited[i], resolution, default), None
        except BaseException as error:  # noqa: BLE001 - raised once all are recorded
            return None, error

    answers = await run.waits.for_all(calls, answer) if calls else []
    for call, (_, error) in zip(calls, answers, strict=True):
        if error is not None:
            mark(error, call.envelope, call.key)
            raise error
    return [value for value, _ in answers]


def _wait_for(one: Gathered[Any], limit_ms: int | None) -> WaitCall:
    if isinstance(one, AsyncApproval):
        return wait_for(one, limit_ms)
    return awaiting(one.run, one.id, one.incarnation, limit_ms)


def _answer_of(one: Gathered[Any], resolution: Resolution, default: Any) -> Any:
    if isinstance(one, AsyncApproval):
        return answer_of(one, resolution, default)
    data = settle(f"process {one.id}", resolution, Any, default)
    with one.run.journal.reading(of_a_child=True):
        return data if data is default else one.load(raise_for(one.id, from_data(data)))
