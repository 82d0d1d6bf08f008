"""Waiting at the low level: sleeps and signals under keys of the caller's own.

Invariant: a wait's due time is fixed when it is first opened, so after a crash only the rest is waited for. Nothing
that stops a worker cancels a wait.
"""

from __future__ import annotations

import asyncio
from typing import Any

from wakeline.body.execution.facts import Facts
from wakeline.body.signals import check_served, signal_known_as, signal_names
from wakeline.effects.envelope import Envelope, envelope_hash, replay_key
from wakeline.errors import (
    ProcessEventContextMismatch,
    SignalWaitCancelled,
    SignalWaitTimeout,
    SleepCancelled,
    WaitCancelled,
    WaitTimeout,
)
from wakeline.names import check_key
from wakeline.run.run import Run
from wakeline.run.waits import WaitCall, WaitFor, schema_of_answer, settle
from wakeline.tools.tool import Duration
from wakeline.values import parse_duration
from wakeline.waits.identity import ProcessSignal, Timer
from wakeline.waits.kinds import WaitKind
from wakeline.waits.resolutions import Cancelled, Resolution


class WaitVerbs(Facts):
    """Sleeping and waiting for signals."""

    async def sleep_process(self, scope: str, sequence: int, duration_ms: int) -> None:
        """Sleep durably under (scope, sequence). The same pair is the same sleep, which ends at the same moment.

        Raises `SleepCancelled`, and `ReplayConflict` for the same pair with another duration.
        """
        run = self.in_process("sleep_process")
        key = f"process:{check_key(scope, 'scope of a sleep')}:sleep:{sequence}"
        duration = parse_duration(duration_ms / 1000)
        target = WaitFor(Timer(f"{run.idempotency_key}:{key}"), WaitKind.TIMER.of(), for_ms=duration)
        resolution = await self._under_token(
            run, run.waits.call("wait", "sleep", {"for_ms": duration}, target, key=key)
        )
        try:
            settle(f"sleep {key}", resolution, Any)
        except WaitCancelled as error:
            raise SleepCancelled(what=str(error.fields["what"])) from error

    async def await_process_signal_event(
        self, process_id: str, signal_name: str, event_ordinal: int, *, kind: Any = Any, timeout: Duration | None = None
    ) -> Any:
        """The payload that resolves this process's wait number ``event_ordinal`` (from 1) for a signal name. The same
        number gives the same payload.

        Raises `SignalWaitTimeout`, `SignalWaitCancelled`, `WaitFailed`, and `UndeclaredEvent` for a signal that no
        sender can serve, and `ProcessEventContextMismatch` for another process: only it waits for its signals.
        """
        run = self.in_process("await_process_signal_event")
        if process_id != run.process_id:
            raise ProcessEventContextMismatch(process_id=process_id, own=run.process_id)
        signal_name, also = signal_known_as(run, signal_names(run, signal_name))
        identity = ProcessSignal(process_id, run.fence.incarnation, run.claim.generation, signal_name, event_ordinal)
        run.journal.ordinal(signal_name, event_ordinal)
        target = WaitFor(
            identity,
            WaitKind.SIGNAL.of(signal_name),
            ordinal=event_ordinal,
            for_ms=parse_duration(timeout) if timeout is not None else None,
            schema=schema_of_answer(kind),
            also=also,
        )
        # The key of `ctx.wait` for the same number: both name one wait.
        envelope = Envelope(kind="wait", name=f"wait:{signal_name}", args={"ordinal": event_ordinal})
        call = run.waits.call(
            envelope.kind,
            envelope.name,
            envelope.args,
            target,
            key=replay_key(envelope.name, envelope_hash(envelope), 1),
        )
        async with run.journal.asking():
            check_served(run, signal_name, call)
        resolution = await self._under_token(run, call)
        what = f"signal {signal_name}"
        try:
            with run.journal.reading():
                return settle(what, resolution, kind)
        except WaitTimeout as error:
            raise SignalWaitTimeout(what=what) from error
        except WaitCancelled as error:
            raise SignalWaitCancelled(what=what) from error

    async def _under_token(self, run: Run, call: WaitCall) -> Resolution:
        """The resolution of a wait. It is cancelled too if this context's own token is cancelled; then the wait is
        given up."""
        if self.cancellation_token is run.cancellation:
            [resolution] = await run.waits.for_all([call])
            return resolution
        waiting = run.life.spawn(run.waits.for_all([call]))
        token = run.life.spawn(self.cancellation_token.wait())
        try:
            await asyncio.wait([waiting, token], return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait([waiting])
            return Cancelled() if waiting.cancelled() else waiting.result()[0]
        finally:
            token.cancel()
            waiting.cancel()
