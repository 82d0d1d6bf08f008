"""Writes the outcome of a run: each kind by its own script, under the run's fence.

Invariant: an outcome becomes an event only through a fenced script. A run that has lost its lease writes nothing.
"""

from __future__ import annotations

from typing import TypeVar, assert_never

from wakeline.attachments.attachment import owner_of_session
from wakeline.errors import HeadConflict, LeaseLost, ParkSwallowed
from wakeline.processes.outputs import Failure
from wakeline.processes.outputs import to_json as output_json
from wakeline.run.host import RunState
from wakeline.run.journal import AT_ONCE
from wakeline.run.misfits import Misfits
from wakeline.run.outcomes import Ended, HandedBack, NextGeneration, Outcome, Over, Swallowed, TurnFailed, Unfit
from wakeline.run.run import Run
from wakeline.run.setbacks import said_of
from wakeline.shown import logger
from wakeline.store import ends, waits
from wakeline.store.calls import Call
from wakeline.store.stand_ins import is_large
from wakeline.telemetry.phases import Phase
from wakeline.values import to_json

T = TypeVar("T")
log = logger("wakeline.runner")
RETRY_BASE_MS, RETRY_MAX_MS = 1_000, 60_000


async def commit(run: Run, outcome: Outcome, misfits: Misfits) -> str:
    """Writes an outcome. Returns the word for what became of the run: 'finished', 'parked', 'released', 'continued' or
    'lost'."""
    try:
        match outcome:
            case Ended():
                return await _end(run, outcome)
            case TurnFailed(failure, about):
                return await _try_again(run, failure, about)
            case NextGeneration():
                return await _continue(run, outcome)
            case Unfit(kind, error):
                return await misfits.hand_back(run.claim, kind, error, acted=run.journal.has_acted)
            case HandedBack():
                leaving = _left(run, ends.release(run.fence, consumed=run.journal.unwritten.take()))
                return await run.store.execute(leaving)
            case Swallowed():
                return await _fail_swallowed(run)
            case Over(RunState.LOST):
                return await given_back(run)
            case Over(state):
                return state.value
            case _:
                assert_never(outcome)
    except LeaseLost:
        run.life.refused = True
        return await given_back(run)


async def given_back(run: Run) -> str:
    """Gives back what a run that was refused may still hold. If the store went back and lacks what the run was
    answered, no other run has its process. The next one goes on from what is there, and neither an attempt nor a loss
    counts. Owner-bound work, which has acted, is left to its lease."""
    if not run.life.refused or run.claim.owner_bound:
        return "lost"
    try:
        word = await run.store.execute(ends.release(run.fence.of_the_claim, refused=True))
    except LeaseLost:
        return "lost"
    log.warning(
        "%s: the store went back and lacks what this run had done; it goes on from what is there", run.process_id
    )
    return word


async def _end(run: Run, ended: Ended) -> str:
    session = run.claim.wake_session
    if session is not None and ended.has_attachments:
        await run.passing.pass_on(ended.text, owner_of_session(session), partly=True)
    if run.instruments.points:
        run.instruments.point(Phase.finishing, run.process_id)
    text = ended.wake_text(f"{run.name} ({run.process_id})") if session is not None else None
    call = ends.finish(
        run.process_id,
        ended.status,
        ended.text,
        fence=run.fence,
        text=text,
        consumed=run.journal.unwritten.take(),
        turn=ended.commit,
        about=ended.about,
    )
    if run.instruments.sendings:
        call = call.with_headers(run.headers_for("wake"))
    if not is_large(ended.text):
        # A large result is stored first, so a take that leaves with the call would overtake it.
        run.host.leaving(run.fence.claim_id)
    try:
        await run.store.execute(call)
    except HeadConflict:
        return await _try_again(
            run, Failure(failure_class="internal", code="head_conflict", message="another turn committed first")
        )
    if run.instruments.points:
        run.instruments.point(Phase.finished, run.process_id)
    return "finished"


async def _try_again(run: Run, failure: Failure, about: str | None = None) -> str:
    """A failed attempt: the next one after a back-off, or the end once attempts are used up."""
    tries = run.claim.failed_attempts
    delay = min(RETRY_BASE_MS * 2**tries, RETRY_MAX_MS)
    leaving = ends.release(
        run.fence, delay_ms=delay, attempt=True, output=output_json(failure), said=said_of(failure), about=about
    )
    word = await run.store.execute(_left(run, leaving))
    if word == "released":
        told = "%s: attempt %d failed: %s; the next one comes in %.3f s"
        log.warning(told, run.process_id, tries + 1, failure.code, delay / 1000)
    return word


def _left(run: Run, call: Call[T]) -> Call[T]:
    """The call that lets its process go, with what instruments give the run that goes on."""
    return call.with_headers(run.headers_for("leave")) if run.instruments.sendings else call


async def _continue(run: Run, next_one: NextGeneration) -> str:
    payload, asked = to_json(next_one.payload), sorted(run.waits.asked)
    while len(asked) > AT_ONCE:
        await run.store.execute(waits.close_waits(run.fence, asked[:AT_ONCE]))
        del asked[:AT_ONCE]
    while True:
        continuing = ends.continue_as_new(
            run.fence, payload, run.journal.unwritten.take(), version=next_one.version, asked=asked
        )
        answer = await run.store.execute(_left(run, continuing))
        if isinstance(answer, int):
            return "continued"
        await run.store.execute(waits.close_waits(run.fence, answer))


async def _fail_swallowed(run: Run) -> str:
    """Ends a process whose body went on after its run was parked, because what it did then is not recorded."""
    swallowed = ParkSwallowed(process_id=run.process_id)
    output = Failure(failure_class="execution", code=swallowed.code, message=str(swallowed))
    await run.store.execute(ends.finish(run.process_id, "failed", output_json(output), fence=run.fence, swallowed=True))
    return "finished"
