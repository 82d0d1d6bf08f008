"""Calls a tool inside a run: attempts, durable backoff, pending completion. Used by ``ctx.call`` and by a tool that is
a process of its own.

Invariant: one idempotency key for all attempts; a recorded attempt never runs again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import count
from typing import Any, Protocol, assert_never, cast

from wakeline.body.attachments import attachments_for_tool
from wakeline.body.hooks import Admitted, admit, replaced, run_after
from wakeline.body.messages import emitted, woken_by
from wakeline.body.timed import TimedTry
from wakeline.effects.envelope import Envelope
from wakeline.effects.journal import NEVER
from wakeline.errors import (
    ControlFlow,
    InvalidArguments,
    InvalidPayload,
    NonRetryable,
    OccurrenceConflict,
    RetryAfter,
    Stopped,
    ToolFailed,
    WakelineError,
    WrongVerb,
)
from wakeline.processes.failures import described, leaves_of
from wakeline.processes.inputs import PreparedCall
from wakeline.processes.inputs import ToolCall as StoredCall
from wakeline.processes.outputs import CancelledOutput, Failure, Success, from_data, to_data
from wakeline.run.containing import contained, contained_on_loop
from wakeline.run.groups import deciding
from wakeline.run.host import RunState
from wakeline.run.isolation import IsolatedCall, Returned
from wakeline.run.recorder import OfATool
from wakeline.run.run import Run
from wakeline.run.waits import WaitFor, schema_of_answer
from wakeline.sessions.activity import ToolCallCompleted, ToolCallStarted
from wakeline.tools.outcome import ToolOutcome, is_outcome, outcome_of, value_of
from wakeline.tools.tool import CurrentCall, Pending, Tool, current_call, outside_body
from wakeline.triggers.occurrence import Occurrence
from wakeline.values import content_hash, parse_duration
from wakeline.verbs.events import NewEvent, append
from wakeline.verbs.triggers import emit, occurrence_of, receipt_from
from wakeline.waits.identity import Timer, ToolCompletion
from wakeline.waits.resolutions import Cancelled, Err, Ok, Resolution, TimedOut

PATIENCE_MS = 10_000
"""How long the next try waits at least for the code of one that was abandoned at its time; its timeout and the grace
make it longer."""
_PENDING = "$pending"
_TRIGGERS = "$triggers"
"""Beside the outcome of an attempt that emitted to triggers: the receipts, so that a replay has them too."""


class Carrier(Protocol):
    """Carries a call, or what is left of it, out in a process of its own."""

    def key_of(self, base: str, attempt: int) -> str | None:
        """The replay key of the start of the process that carries the call from this attempt on; None where it runs in
        the body's own run."""
        ...

    async def result(self, key: str, base: str, attempt: int = 1, admitted: Admitted | None = None) -> Any:
        """The result of the process that was started under the key. ``admitted``: the call as it was already admitted
        here."""
        ...


def attempt_key(base: str, attempt: int) -> str:
    """The replay key of one attempt of a call; the call's own is that of its first."""
    return base if attempt == 1 else f"{base}~{attempt}"


def idempotency_key(run: Run, base: str) -> str:
    """The idempotency key of a call of a run: of the call alone, whatever its tool is declared as."""
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
    """The tool's JSON result. ``last_write``: its success may be recorded with the end of the process. Raises
    `ToolFailed`.

    ``started``: the call as its starter prepared it, where it is a process of its own. ``carrier``: what carries it out
    in one, or what is left of it.
    """
    known = run.journal.known_as(tool.name, tool.was)
    envelope = Envelope(kind="tool_call", name=f"call:{known}", args=given)
    base = key or run.journal.key_of(envelope)
    apart = carrier.key_of(base, 1) if carrier is not None else None
    if carrier is not None and apart is not None and f"{base}~admit" not in run.journal.rows:
        return await carrier.result(apart, base)
    carried = run.registration.carried if started is not None else None
    call_key = idempotency_key(run, base) if carried is None else carried.key
    if started is not None and carried is not None and carried.admitted:
        admitted = Admitted(given, started.prepared)
    else:
        admitted = await admit(run, tool, given, base, started)
    if admitted.outcome is not None:
        return value_of(tool.name, admitted.outcome)
    before: TimedTry | None = None
    for attempt in count(1 if carried is None else carried.attempt):
        if carrier is not None and attempt > 1:
            apart = carrier.key_of(base, attempt)
        if carrier is not None and apart is not None:
            return await carrier.result(apart, base, attempt, admitted)
        row_key = attempt_key(base, attempt)
        code = _Attempt(run, tool, admitted, base, call_key, attempt, before)
        try:
            outcome = await run.journal.effect(
                envelope.kind, envelope.name, given, code, key=row_key, lazily=last_write, next_ms=code.next_ms
            )
        except ToolFailed as failure:
            # The next attempt has its own row; what this one answered is recorded with it, and what was decided then.
            delay = _decided(run, base, attempt)
            if delay is None:
                delay = code.next_ms(failure)
            if delay == NEVER:
                raise
            before = await _left_behind(run, tool, code)
            await _back_off(run, f"{base}~{attempt}~backoff", delay)
            continue
        outcome = _told(run, outcome)
        pending = cast("dict[str, Any]", outcome).get(_PENDING) if isinstance(outcome, dict) else None
        return (
            cast("Any", outcome) if pending is None else await _completion(run, tool, admitted, base, call_key, pending)
        )
    raise AssertionError("a call has an attempt that is its last")


def _decided(run: Run, base: str, attempt: int) -> int | None:
    """What was decided when an attempt failed: after how long (ms) the next one follows, or `NEVER`; None where that is
    still to be said.

    The release before recorded no decision. What its run did next shows it: it opened the wait for the next attempt, or
    went on without one.
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
        return 0  # its wait is there, and is over when that was to be
    return NEVER if run.claim.slots or any(other.n > row.n for other in rows.values()) else None


async def _left_behind(run: Run, tool: Tool[..., Any], code: _Attempt) -> TimedTry | None:
    """The try, where its code still runs after all patience. The run is at work meanwhile: parked, it could go on
    elsewhere beside that code."""
    timed = code.timed
    if timed is None:
        return None
    patience_ms = max(PATIENCE_MS, tool.timeout_ms or 0, run.host.grace_ms)
    with run.life.at_work():
        return None if await timed.is_over(patience_ms / 1000, run.cancellation) else timed


def _told(run: Run, outcome: Any) -> Any:
    """The outcome itself; what it emitted to triggers is left for the body."""
    if not isinstance(outcome, dict) or _TRIGGERS not in outcome:
        return cast("Any", outcome)
    kept = cast("dict[str, Any]", outcome)
    for receipt in kept[_TRIGGERS]:
        run.dispatch.leave_receipt(receipt_from(receipt))
    return kept["outcome"]


class _Attempt:
    """Runs the tool's code once."""

    def __init__(
        self,
        run: Run,
        tool: Tool[..., Any],
        admitted: Admitted,
        base: str,
        call_key: str,
        attempt: int,
        before: TimedTry | None,
    ) -> None:
        self._run, self._tool, self._admitted, self._base, self._call_key, self._attempt = (
            run,
            tool,
            admitted,
            base,
            call_key,
            attempt,
        )
        self._events: list[NewEvent] = []
        self._occurrences: list[Occurrence] = []
        self._before = before
        self._is_over = False
        self.timed: TimedTry | None = None
        """Its code, where that has only so long."""

    async def __call__(self, _: str) -> Any:
        run, tool = self._run, self._tool
        if self._before is not None:
            raise self._kept_off()
        slot = run.waits.slot_of(ToolCompletion(self._call_key))
        call = CurrentCall(
            tool=tool.name,
            process_id=run.process_id,
            idempotency_key=self._call_key,
            attempt=self._attempt,
            token=(await run.store.keyring()).token(run.process_id, run.fence.incarnation, slot),
            run_token=run.cancellation if tool.timeout_ms is None else run.cancellation.child(),
            append=self._append,
            environment_of=lambda: run.environment,
            prepared=self._admitted.prepared,
            leave_note=self._note,
            tell_trigger=partial(self._tell, self._call_key),
            attachments_of=partial(attachments_for_tool, run, asyncio.get_running_loop(), is_async=tool.is_async),
        )
        correlation = f"tool:{self._call_key}"
        run.activities.tell(correlation, lambda: ToolCallStarted(tool=tool.name, attempt=self._attempt))
        mark = current_call.set(call)
        try:
            with outside_body():
                try:
                    result = await self._perform(call)
                finally:
                    self._is_over = True
                if is_outcome(result):
                    result = value_of(tool.name, result)
        except Exception as raised:
            error = deciding(raised)
            if isinstance(error, ControlFlow):
                raise error from None
            await self._send_events()
            failure = self._failure(error)
            run.activities.tell(
                correlation,
                lambda: ToolCallCompleted(tool=tool.name, attempt=self._attempt, failure=failure.failure_code),
            )
            return await self._after(outcome_of(failure), failure)
        finally:
            current_call.reset(mark)
        await self._send_events()
        run.activities.tell(correlation, lambda: ToolCallCompleted(tool=tool.name, attempt=self._attempt))
        if isinstance(result, Pending):
            # Whether hooks will see what completes it is decided here: a later release, or a replay, keeps to it.
            outcome: Any = {_PENDING: {"timeout_ms": result.timeout_ms} | ({"hooked": True} if run.hooks.after else {})}
        else:
            value = result.value if isinstance(result, Returned) else tool.signature.dump_result(result)
            outcome = await self._after(Success(value), None)
        if not self._occurrences:
            return outcome
        try:
            return {
                _TRIGGERS: [asdict(await run.store.run(emit(run.caller, one))) for one in self._occurrences],
                "outcome": outcome,
            }
        except OccurrenceConflict as conflict:
            # The call's own failure, so that one of a batch does not bring the others down.
            raise replaced(self._failure(conflict), final=True) from conflict

    def next_ms(self, error: WakelineError) -> int:
        """The decision about this attempt, which failed: after how long the next one follows, or `NEVER`, as the tool
        is declared now."""
        if not isinstance(error, ToolFailed) or not self._is_tried_again(error):
            return NEVER
        return self._tool.retry.delay_ms(self._attempt, error.retry_after_ms, random.random)

    def _is_tried_again(self, failure: ToolFailed) -> bool:
        return not failure.final and self._attempt <= self._tool.retry.retries

    async def _after(self, outcome: ToolOutcome, failure: ToolFailed | None) -> Any:
        """The value of an attempt, or its failure, as the hooks leave it; a failure that is tried again is nobody's
        outcome yet."""
        if failure is not None:
            failure = failure if self._attempt == 1 else replaced(failure, attempts=self._attempt)
            if self._is_tried_again(failure):
                raise failure
        changed = await run_after(self._run, self._tool.name, self._admitted, outcome)
        if changed is outcome and failure is not None:
            raise failure
        if changed is outcome:
            return cast("Success", outcome).value
        return self._tool.signature.dump_result(value_of(self._tool.name, changed))

    async def _perform(self, call: CurrentCall) -> Any:
        tool = self._tool
        try:
            code = tool.signature.call(tool.function, self._admitted.args)
        except (InvalidArguments, InvalidPayload) as unreadable:
            # Of a process of its own the call is what was stored; in a body only a hook's answer is, and that since an
            # earlier release.
            if isinstance(self._run.registration.input, StoredCall) or self._run.claim.of_several_releases:
                raise self._run.life.unfit("unreadable", unreadable) from unreadable
            raise
        if tool.isolation is not None:
            return await self._apart(call)
        if tool.timeout_ms is None:
            return await (contained_on_loop(code) if tool.is_async else self._run.invoke(code))
        # A thread cannot be interrupted; with a limit it runs in the pool, so that the caller can go on without it.
        work = contained_on_loop(code) if tool.is_async else asyncio.to_thread(contained(code))
        what = f"{call.process_id}: try {self._attempt} of tool {tool.name}"
        self.timed = TimedTry(what, work, limit_ms=tool.timeout_ms, is_async=tool.is_async, token=call.run_token)
        return await self.timed.outcome()

    def _kept_off(self) -> ToolFailed:
        """One try at a time: this one cannot begin, and no later one could."""
        message = (
            f"it took longer than its timeout of {self._tool.timeout_ms} ms, and its code does not end, so it is not"
            " tried again"
        )
        return ToolFailed(
            tool=self._tool.name,
            failure_class="timeout",
            failure_code="tool_timeout",
            failure_message=message,
            final=True,
            retry_after_ms=None,
            attempts=self._attempt - 1,
        )

    async def _apart(self, call: CurrentCall) -> Any:
        run, isolation = self._run, self._run.host.isolation
        assert isolation is not None, "a worker without isolation does not take it"
        verbs: dict[str, Callable[..., None] | None] = {
            "append": call.append,
            "tell_trigger": call.tell_trigger,
            "leave_note": call.leave_note,
        }

        def say(verb: str, given: list[Any]) -> None:
            told = verbs[verb]
            if told is not None:
                told(*given)

        facts = IsolatedCall(
            call.tool,
            self._admitted.args,
            call.process_id,
            call.idempotency_key,
            call.attempt,
            call.token,
            call.prepared,
            run.environment.text,
            run.passing.owner,
            run.passing.givers,
        )
        return await isolation.call(
            facts, say, run.cancellation, grace_ms=run.host.grace_ms, timeout_ms=self._tool.timeout_ms
        )

    def _check_said(self, verb: str) -> None:
        """Code that goes on after its try says nothing any more."""
        if self._is_over:
            raise WrongVerb(
                verb=f"current().{verb} after the end of its try",
                use="it before the tool returns, and within its timeout",
            )

    def _note(self, note: Any) -> None:
        self._check_said("note")
        self._run.dispatch.leave_note(note)

    def _append(self, event_type: str, payload: Any) -> None:
        self._check_said("emit")
        # Checked where the tool's code says it, so that the code sees what is wrong with it.
        self._events.append(emitted(self._run, event_type, payload))

    def _tell(self, own_key: str, source: str, payload: Any, key: str | None, source_key: str | None) -> None:
        self._check_said("trigger")
        key = key if key is not None else f"{own_key}:{len(self._occurrences)}"
        self._occurrences.append(occurrence_of(source, Any, payload, key, source_key))

    async def _send_events(self) -> None:
        recorder = OfATool(self._run.fence, self._run.passing.givers)
        for n, event in enumerate(self._events):
            replay_key = event.replay_key or f"tool:{self._base}:{self._attempt}:{n}"
            told = append(
                self._run.process_id,
                event,
                key=replay_key,
                wakes=woken_by(self._run),
                compared=False,
                effect=recorder,
            )
            await self._run.store.run(told)
            if event.end is not None:
                self._run.life.end(RunState.ENDED)
                raise Stopped

    def _failure(self, error: BaseException) -> ToolFailed:
        final, retry_after, reason = False, None, "execution"
        code, message = described(error)
        if isinstance(error, ToolFailed):
            return error  # an outcome the tool returned, or a failure of what it called
        if any(isinstance(leaf, NonRetryable) for leaf in leaves_of(error)):
            final = True
        elif isinstance(error, RetryAfter):
            retry_after = parse_duration(error.delay)
        elif isinstance(error, TimeoutError):
            reason, code = "timeout", "tool_timeout"
        if self._tool.retry.policy == "never":
            final = True
        return ToolFailed(
            tool=self._tool.name,
            failure_class=reason,
            failure_code=code,
            failure_message=message,
            final=final,
            retry_after_ms=retry_after,
        )


def _backoff_timer(run: Run, key: str) -> Timer:
    return Timer(f"{run.fence.incarnation}:{run.claim.generation}:{key}")


async def _back_off(run: Run, key: str, delay_ms: int) -> None:
    target = WaitFor(_backoff_timer(run, key), "t:", for_ms=delay_ms)
    # The delay is jittered, so it is no part of the envelope: the due time is fixed where the wait is first opened.
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


async def _completion(
    run: Run, tool: Tool[..., Any], admitted: Admitted, base: str, call_key: str, pending: dict[str, Any]
) -> Any:
    """What somebody else completed the call with: checked by the tool's result type, and seen by the hooks, like a
    result of its own."""
    known = run.journal.known_as(tool.name, tool.was)
    # An answer of another type is refused where it is given, and the token is good for another one.
    schema = schema_of_answer(tool.signature.result)
    target = WaitFor(ToolCompletion(call_key), f"x:{known}", for_ms=pending["timeout_ms"], schema=schema)
    [resolution] = await run.waits.for_all(
        [run.waits.call("wait", f"completion:{known}", None, target, key=f"{base}~completion")]
    )
    outcome = _completed(run, tool, resolution)
    if pending.get("hooked"):

        async def perform(_: str) -> Any:
            changed = await run_after(run, tool.name, admitted, outcome)
            if isinstance(changed, Success) and changed is not outcome:
                changed = Success(tool.signature.dump_result(changed.value))
            return to_data(changed)

        outcome = cast(
            "ToolOutcome",
            from_data(await run.journal.effect("after", f"after:{known}", None, perform, key=f"{base}~after")),
        )
    return value_of(tool.name, outcome)


def _completed(run: Run, tool: Tool[..., Any], resolution: Resolution) -> ToolOutcome:
    match resolution:
        case Ok(value):
            try:
                with run.journal.reading():
                    return Success(tool.signature.dump_result(tool.signature.load_result(value)))
            except InvalidPayload as broken:
                return Failure(
                    "external",
                    "invalid_tool_output",
                    f"what completed the call is no result of it: {broken.fields['reason']}",
                    value,
                )
        case Err(code, message, raw):
            return Failure("external", code, message, raw)
        case TimedOut():
            return Failure("timeout", "tool_completion_timeout", "nobody completed the call in time")
        case Cancelled():
            return CancelledOutput("the pending call was cancelled")
        case _:
            assert_never(resolution)
