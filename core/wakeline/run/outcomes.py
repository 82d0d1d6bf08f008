"""What became of a run: the outcome that follows from what its body returned or raised.

Invariant: any exception of user code becomes one of these. What is not the body's fault (a lost lease, Redis away)
never ends its process.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from wakeline.attachments.attachment import MARK
from wakeline.errors import (
    ControlFlow,
    FailureClass,
    LeaseLost,
    Parked,
    PayloadTooLarge,
    StepFailed,
    StoreError,
    ToolFailed,
)
from wakeline.fixed import fixed
from wakeline.processes.failures import described
from wakeline.processes.inputs import SessionTurn
from wakeline.processes.misfit import MisfitKind
from wakeline.processes.outputs import AwaitOutput, CancelledOutput, Failure, Success
from wakeline.processes.outputs import to_json as output_json
from wakeline.run.groups import follows_cancel
from wakeline.run.host import RunState
from wakeline.run.run import Run
from wakeline.run.setbacks import about_failure
from wakeline.run.traces import trace_of
from wakeline.shown import Lines, logger
from wakeline.store.ends import TurnCommit
from wakeline.telemetry.phases import Phase
from wakeline.values import MAX_PAYLOAD, check_size, to_json

log = logger("wakeline.runner")


class ContinueAsNew(ControlFlow):
    """Raised by `AsyncCtx.continue_as_new`: the next generation of the process begins with this payload."""

    def __init__(self, payload: dict[str, Any], version: str | None = None) -> None:
        super().__init__()
        self.payload = payload
        self.version = version


@fixed
class Ended:
    """The process ends with this output. ``text`` is the output as JSON. ``commit`` is what the session of a successful
    turn gets, and ``about`` what the event of a failure says beside the output (`about_failure`)."""

    output: AwaitOutput
    text: str
    commit: TurnCommit | None = None
    about: str | None = None

    @classmethod
    def of(cls, run: Run, output: AwaitOutput, about: str | None = None) -> Ended:
        """The end of a run with an output; raises `InvalidPayload` or `PayloadTooLarge` if it cannot be stored."""
        text = output_json(output)
        check_size(f"the result of {run.process_id}", text, MAX_PAYLOAD)
        commit = run.turn.commit(output.value) if run.turn is not None and isinstance(output, Success) else None
        return cls(output, text, commit, about)

    @property
    def status(self) -> str:
        """The status that the process ends with."""
        return (
            "completed"
            if isinstance(self.output, Success)
            else "cancelled"
            if isinstance(self.output, CancelledOutput)
            else "failed"
        )

    @property
    def has_attachments(self) -> bool:
        """Whether the output may hold references to attachments."""
        return MARK in self.text

    def wake_text(self, name: str) -> str:
        """The text that a session gets if the end of the process wakes it."""
        match self.output:
            case Success(value=value):
                return f"{name} completed: {to_json(value)}"
            case Failure(code=code, message=message):
                return f"{name} failed: {code}: {message}"
            case _:
                return f"{name} ended: {self.text}"


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """An attempt of a turn failed. The next one follows after a back-off, or the process ends if its attempts are used
    up."""

    failure: Failure
    about: str | None = None


@dataclass(frozen=True, slots=True)
class NextGeneration:
    """The process goes on as a new generation, with another engine version if one is given."""

    payload: dict[str, Any]
    version: str | None


@dataclass(frozen=True, slots=True)
class Unfit:
    """This code does not fit what is stored: the process waits for code that does."""

    kind: MisfitKind
    error: BaseException


@dataclass(frozen=True, slots=True)
class HandedBack:
    """The process goes back to its queue, as at the end of a worker; no attempt is counted."""


@dataclass(frozen=True, slots=True)
class Swallowed:
    """The body caught the exception that ended it, and went on after its run was parked. The process fails, because
    nothing of that is recorded."""


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing is left to write: the park script wrote it, or another worker has the process."""

    state: RunState


Outcome = Ended | TurnFailed | NextGeneration | Unfit | HandedBack | Swallowed | Over


async def outcome_of(run: Run, body: asyncio.Task[Any]) -> Outcome:
    """The outcome of a run whose body is over; raises `StoreError` if the store failed."""
    if body.cancelled():
        return await _outcome_of_error(run, asyncio.CancelledError())
    error = body.exception()
    if error is None:
        try:
            return Ended.of(run, Success(value=body.result()))
        except Exception as unusable:  # noqa: BLE001 - what the body returned is no JSON, or too large: its own fault
            error = unusable
    return await _outcome_of_error(run, error)


async def _outcome_of_error(run: Run, error: BaseException) -> Outcome:
    match error:
        case ContinueAsNew():
            return NextGeneration(error.payload, error.version)
        case ControlFlow() | asyncio.CancelledError() if run.life.is_running and not run.life.stopping:
            # Nothing asked the body to leave. If it were handed back, it would do so again, without an end.
            return await _outcome_of_raised(run, error)
        case Parked():
            return Over(RunState.PARKED)
        case ControlFlow() | asyncio.CancelledError():
            return Over(RunState.LOST) if run.life.state is RunState.LOST else left_over(run)
        case LeaseLost():
            return Over(RunState.LOST)
        case StoreError():
            raise error
        case _:
            return await _outcome_of_raised(run, error)


def left_over(run: Run) -> Outcome:
    """The outcome of a run that stopped before its body was over."""
    if run.instruments.points:
        run.instruments.point(Phase.handing_back, run.process_id)
    return Unfit(*run.life.misfit) if run.life.misfit is not None else HandedBack()


async def _outcome_of_raised(run: Run, error: BaseException) -> Outcome:
    may_be_cancelled = follows_cancel(error)
    if may_be_cancelled and not run.cancelled:
        await run.waits.look()  # the cancel may answer a wait before its hint arrives
    if may_be_cancelled and run.cancelled:
        return cancelled(run)
    return failed(run, error)


def cancelled(run: Run) -> Ended:
    """The end of a run that followed a cancel."""
    return Ended.of(run, CancelledOutput(message=run.life.cancellation.reason))


def failed(run: Run, error: BaseException) -> Ended | TurnFailed:
    """The end of a run whose body failed; a turn may be tried again. The log gets the user's lines."""
    failure = failure_of(error)
    if run.seen is not None:
        run.raised = error
    log.warning("%s failed: %s%s", run.process_id, failure.message, Lines(trace_of(error)))
    log.debug("%s failed", run.process_id, exc_info=error)
    about = about_failure(error)
    is_turn = isinstance(run.registration.input, SessionTurn)
    return TurnFailed(failure, about) if is_turn else Ended.of(run, failure, about)


def failure_of(error: BaseException) -> Failure:
    """The failure that is stored for an error."""
    code, message = described(error)
    match error:
        case ToolFailed():
            return Failure(
                cast("FailureClass", error.failure_class), error.failure_code, error.failure_message, error.raw
            )
        case StepFailed():
            return Failure(failure_class="execution", code=error.failure_code, message=message)
        case PayloadTooLarge():
            return Failure(failure_class="resource_limit", code=code, message=message)
        case _:
            return Failure(failure_class="execution", code=code, message=message)
