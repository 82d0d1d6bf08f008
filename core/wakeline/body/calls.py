"""Calls a tool inside a run: attempts, durable backoff, pending completion. ``ctx.call`` and a tool that runs as a
process use it.

Invariant: all attempts have one idempotency key, and a recorded attempt never runs again.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Protocol, cast

from wakeline.body.attempts import Attempt, told_of
from wakeline.body.completions import completion
from wakeline.body.hooks import HookedCall, through_hooks
from wakeline.body.timed import TimedTry
from wakeline.effects.envelope import Envelope
from wakeline.effects.journal import NEVER, PENDING
from wakeline.errors import ToolFailed
from wakeline.processes.inputs import PreparedCall
from wakeline.run.run import Run
from wakeline.run.waits import WaitFor
from wakeline.telemetry.seen import Try
from wakeline.tools.outcome import value_of
from wakeline.tools.tool import Tool
from wakeline.values import content_hash
from wakeline.waits.identity import Timer
from wakeline.waits.kinds import WaitKind
from wakeline.waits.resolutions import Cancelled

PATIENCE_MS = 10_000
"""How long the next try waits at least for the code of an abandoned one, in seconds. The timeout and the grace make it
longer."""


class Carrier(Protocol):
    """Carries out a call, or what is left of it, in a separate process."""

    def key_of(self, base: str, attempt: int) -> str | None:
        """The replay key of the start of the process that carries the call from this attempt on; None if it runs in the
        body's own run."""
        ...

    async def result(self, key: str, base: str, attempt: int = 1, hooked: HookedCall | None = None) -> Any:
        """The result of the process that was started under the key. ``hooked`` is the call, if it
        already went through hooks here."""
        ...


def attempt_key(base: str, attempt: int) -> str:
    """The replay key of one attempt of a call. The key of the call is that of its first attempt."""
    return base if attempt == 1 else f"{base}~{attempt}"


def idempotency_key(run: Run, base: str) -> str:
    """The idempotency key of a call of a run. It follows from the call alone, and not from the declaration of its
    tool."""
    return content_hash(run.process_id, run.fence.incarnation, str(run.claim.generation), base)[:32]


async def call_tool(
    run: Run,
    tool: Tool[..., Any],
    given: dict[str, Any],
    *,
    key: str | None = None,
    last_write: bool = False,
    started: PreparedCall | None = None,
    carrier: Carrier | None = None,
) -> Any:
    """The tool's JSON result. Raises `ToolFailed`.

    ``last_write``: its success may be recorded with the end of the process. ``started`` is the call as its starter
    prepared it, if it is a process. ``carrier`` carries it, or what is left of it, out in a process.
    """
    known = run.journal.known_as(tool.name, tool.was)
    envelope = Envelope(kind="tool_call", name=f"call:{known}", args=given)
    base = key or run.journal.key_of(envelope)
    apart = carrier.key_of(base, 1) if carrier is not None else None
    if carrier is not None and apart is not None and f"{base}~admit" not in run.journal.rows:
        return await carrier.result(apart, base)
    carried = run.registration.carried if started is not None else None
    call_key = idempotency_key(run, base) if carried is None else carried.key
    if started is not None and carried is not None and carried.hooked:
        hooked = HookedCall(given, started.prepared)
    else:
        hooked = await through_hooks(run, tool, given, base, started)
    if hooked.outcome is not None:
        return value_of(tool.name, hooked.outcome)
    before: TimedTry | None = None
    for attempt in count(1 if carried is None else carried.attempt):
        if carrier is not None and attempt > 1:
            apart = carrier.key_of(base, attempt)
        if carrier is not None and apart is not None:
            return await carrier.result(apart, base, attempt, hooked)
        row_key = attempt_key(base, attempt)
        code = Attempt(run, tool, hooked, base, call_key, attempt, before)
        try:
            outcome = await run.journal.effect(
                envelope.kind,
                envelope.name,
                given,
                code,
                key=row_key,
                lazily=last_write,
                next_ms=code.next_ms,
                tried=Try(tool.name, attempt, call_key, tool.isolation is not None),
            )
        except ToolFailed as failure:
            # The next attempt has its own row. The row of this one has its error, and what was decided then.
            delay = _decided(run, base, attempt)
            if delay is None:
                delay = code.next_ms(failure)
            if delay == NEVER:
                raise
            before = await _left_behind(run, tool, code)
            await _back_off(run, f"{base}~{attempt}~backoff", delay)
            continue
        outcome = told_of(run, outcome)
        pending = cast("dict[str, Any]", outcome).get(PENDING) if isinstance(outcome, dict) else None
        return cast("Any", outcome) if pending is None else await completion(run, tool, hooked, base, call_key, pending)
    raise AssertionError("a call has an attempt that is its last")


def _decided(run: Run, base: str, attempt: int) -> int | None:
    """The decision that was taken when an attempt failed: the delay (ms) before the next one, or `NEVER`; None if it is
    not taken yet.

    The release before recorded no decision. The next act of its run shows it: it opened the wait for the next attempt,
    or went on without one.
    """
    rows, backoff = run.journal.rows, f"{base}~{attempt}~backoff"
    row = rows[attempt_key(base, attempt)]
    if row.next_ms is not None:
        return row.next_ms
    if (
        backoff in rows
        or attempt_key(base, attempt + 1) in rows
        or run.waits.slot_of(_backoff_timer(run, backoff)) in run.claim.slots
    ):
        return 0  # its wait exists, and ends at the decided time
    return NEVER if run.claim.slots or any(other.n > row.n for other in rows.values()) else None


async def _left_behind(run: Run, tool: Tool[..., Any], code: Attempt) -> TimedTry | None:
    """The try, if its code still runs after all patience; otherwise None. The run is at work meanwhile, because a
    parked process could go on elsewhere beside that code."""
    timed = code.timed
    if timed is None:
        return None
    patience_ms = max(PATIENCE_MS, tool.timeout_ms or 0, run.host.grace_ms)
    with run.life.at_work():
        return None if await timed.is_over(patience_ms / 1000, run.cancellation) else timed


def _backoff_timer(run: Run, key: str) -> Timer:
    return Timer(f"{run.fence.incarnation}:{run.claim.generation}:{key}")


async def _back_off(run: Run, key: str, delay_ms: int) -> None:
    target = WaitFor(_backoff_timer(run, key), WaitKind.TIMER.of(), for_ms=delay_ms)
    # The delay is jittered, so it is no part of the envelope. The due time is fixed when the wait is first opened.
    [resolution] = await run.waits.for_all([run.waits.call("wait", "backoff", None, target, key=key)])
    if isinstance(resolution, Cancelled):
        raise ToolFailed(
            tool=key,
            failure_class="execution",
            failure_code="cancelled",
            failure_message="cancelled between attempts",
            final=True,
            retry_after_ms=None,
        )
