"""One attempt of a call: the tool's code runs once, says things on the way, and its outcome goes through the hooks.

Invariant: what the code said is written before its outcome is. Code that goes on after its try says nothing any more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any, cast

from wakeline.body.attachments import attachments_for_tool
from wakeline.body.hooks import HookedCall, replaced, run_after
from wakeline.body.messages import emitted, woken_by
from wakeline.body.timed import TimedTry
from wakeline.effects.journal import NEVER, PENDING, TRIGGERS
from wakeline.errors import (
    ControlFlow,
    InvalidArguments,
    InvalidPayload,
    IsolationUnavailable,
    NonRetryable,
    OccurrenceConflict,
    RetryAfter,
    ToolFailed,
    WakelineError,
    WrongVerb,
)
from wakeline.processes.failures import described, leaves_of
from wakeline.processes.inputs import ToolCall as StoredCall
from wakeline.processes.outputs import Success
from wakeline.run.boundary import contained, contained_on_loop
from wakeline.run.groups import deciding
from wakeline.run.isolation import IsolatedCall, NotReady, Returned
from wakeline.run.recorder import OfATool
from wakeline.run.run import Run
from wakeline.tools.outcome import ToolOutcome, is_outcome, outcome_of, value_of
from wakeline.tools.tool import CurrentCall, Pending, Tool, current_call, outside_body
from wakeline.triggers.occurrence import Occurrence
from wakeline.values import parse_duration
from wakeline.verbs.events import NewEvent, append
from wakeline.verbs.triggers import emit, occurrence_of, receipt_from
from wakeline.waits.identity import ToolCompletion


def told_of(run: Run, outcome: Any) -> Any:
    """The outcome itself. Its receipts of triggers are left for the body."""
    if not isinstance(outcome, dict) or TRIGGERS not in outcome:
        return cast("Any", outcome)
    kept = cast("dict[str, Any]", outcome)
    for receipt in kept[TRIGGERS]:
        run.dispatch.leave_receipt(receipt_from(receipt))
    return kept["outcome"]


class Attempt:
    """Runs the tool's code once."""

    def __init__(
        self,
        run: Run,
        tool: Tool[..., Any],
        hooked: HookedCall,
        base: str,
        call_key: str,
        attempt: int,
        before: TimedTry | None,
    ) -> None:
        self._run, self._tool, self._hooked, self._base, self._call_key, self._attempt = (
            run,
            tool,
            hooked,
            base,
            call_key,
            attempt,
        )
        self._events: list[NewEvent] = []
        self._occurrences: list[Occurrence] = []
        self._before = before
        self._is_over = False
        self.timed: TimedTry | None = None
        """Its code, if it has a timeout."""

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
            prepared=self._hooked.prepared,
            leave_note=self._note,
            tell_trigger=partial(self._tell, self._call_key),
            attachments_of=partial(attachments_for_tool, run, asyncio.get_running_loop(), is_async=tool.is_async),
        )
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
            return await self._after(outcome_of(failure), failure)
        finally:
            current_call.reset(mark)
        await self._send_events()
        if isinstance(result, Pending):
            # This decides whether hooks will see its completion. A later release, or a replay, keeps to it.
            outcome: Any = {PENDING: {"timeout_ms": result.timeout_ms} | ({"hooked": True} if run.hooks.after else {})}
        else:
            value = result.value if isinstance(result, Returned) else tool.signature.dump_result(result)
            outcome = await self._after(Success(value), None)
        if not self._occurrences:
            return outcome
        try:
            return {
                TRIGGERS: [asdict(await run.store.run(emit(run.caller, one))) for one in self._occurrences],
                "outcome": outcome,
            }
        except OccurrenceConflict as conflict:
            # This is the failure of the call, so that one call of a batch does not end the others.
            raise replaced(self._failure(conflict), final=True) from conflict

    def next_ms(self, error: WakelineError) -> int:
        """The decision about this failed attempt, by the present declaration of the tool: the delay (ms) before the
        next one, or `NEVER`."""
        if not isinstance(error, ToolFailed) or not self._is_tried_again(error):
            return NEVER
        return self._tool.retry.delay_ms(self._attempt, error.retry_after_ms, random.random)

    def _is_tried_again(self, failure: ToolFailed) -> bool:
        return not failure.final and self._attempt <= self._tool.retry.retries

    async def _after(self, outcome: ToolOutcome, failure: ToolFailed | None) -> Any:
        """The value of an attempt, or its failure, after the hooks. A failure that is tried again is no outcome yet, so
        hooks do not see it."""
        if failure is not None:
            failure = failure if self._attempt == 1 else replaced(failure, attempts=self._attempt)
            if self._is_tried_again(failure):
                raise failure
        changed = await run_after(self._run, self._tool.name, self._hooked, outcome)
        if changed is outcome and failure is not None:
            raise failure
        if changed is outcome:
            return cast("Success", outcome).value
        return self._tool.signature.dump_result(value_of(self._tool.name, changed))

    async def _perform(self, call: CurrentCall) -> Any:
        tool = self._tool
        try:
            code = tool.signature.call(tool.function, self._hooked.args)
        except (InvalidArguments, InvalidPayload) as unreadable:
            # In a separate process the call is the stored one. In a body only the answer of a hook is stored, perhaps
            # by an earlier release.
            if isinstance(self._run.registration.input, StoredCall) or self._run.claim.of_several_releases:
                raise self._run.life.unfit("unreadable", unreadable) from unreadable
            raise
        if tool.isolation is not None:
            return await self._apart(call)
        if tool.timeout_ms is None:
            return await (contained_on_loop(code) if tool.is_async else self._run.invoke(code))
        # A thread cannot be interrupted. With a timeout the code runs in the pool, so that the caller can go on without
        # it.
        work = contained_on_loop(code) if tool.is_async else asyncio.to_thread(contained(code))
        what = f"{call.process_id}: try {self._attempt} of tool {tool.name}"
        self.timed = TimedTry(what, work, limit_ms=tool.timeout_ms, is_async=tool.is_async, token=call.run_token)
        return await self.timed.outcome()

    def _kept_off(self) -> ToolFailed:
        """Only one try runs at a time, so this one cannot begin, and no later one could."""
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
            self._hooked.args,
            call.process_id,
            call.idempotency_key,
            call.attempt,
            call.token,
            call.prepared,
            run.environment.text,
            run.passing.owner,
            run.passing.givers,
            run.headers_for("isolate") if run.instruments.sendings else None,
        )
        try:
            return await isolation.call(
                facts, say, run.cancellation, grace_ms=run.host.grace_ms, timeout_ms=self._tool.timeout_ms
            )
        except NotReady as why:
            # No attempt was made. Its process waits, like one whose code is missing here.
            unavailable = IsolationUnavailable(tool=call.tool, reason=str(why))
            raise run.life.unfit("missing", unavailable) from why

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
        # Checked when the tool's code calls it, so that the code gets the error.
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
                self._run.caller,
                self._run.process_id,
                event,
                key=replay_key,
                wakes=woken_by(self._run),
                compared=False,
                effect=recorder,
            )
            await self._run.store.run(told)
            if event.end is not None:
                self._run.ended_by(event.end)

    def _failure(self, error: BaseException) -> ToolFailed:
        final, retry_after, reason = False, None, "execution"
        code, message = described(error)
        if isinstance(error, ToolFailed):
            return error  # an outcome that the tool returned, or a failure of its own call
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
