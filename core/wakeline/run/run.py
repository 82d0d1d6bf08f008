"""One run of a process: its fence, its effects, its waits, and the moment it lets go.

Invariant: from the park (or a hand-back, or a lost lease) on, every effect of this run raises and does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import cached_property, partial
from typing import Any, TypeVar

from wakeline.attachments.attachment import MARK
from wakeline.cancellation import CancellationToken
from wakeline.causality import ExecutionScope, ProcessScope
from wakeline.clock import Clock
from wakeline.effects.envelope import Envelope, envelope_hash
from wakeline.effects.journal import JournalRow
from wakeline.engines.engine import Engine
from wakeline.engines.registry import Registry
from wakeline.environments.spec import EMPTY, EnvironmentSpec
from wakeline.errors import LeaseLost, Parked, Stopped, StoreError, WakelineError
from wakeline.names import child_id
from wakeline.phases import NullProbe, Phase, Probe
from wakeline.processes.misfit import MisfitKind
from wakeline.processes.registration import Registration
from wakeline.run.activity import Activities
from wakeline.run.asides import Asides, giving_up, inside_effect
from wakeline.run.bridge import Bridge
from wakeline.run.containing import current_run, invoked
from wakeline.run.dispatch import ToolDispatch
from wakeline.run.host import Host, RunState, Turn
from wakeline.run.in_flight import InFlight
from wakeline.run.misfits import replaying
from wakeline.run.numbering import Numbering
from wakeline.run.open_waits import OpenWaits
from wakeline.run.passing import take_over
from wakeline.run.patches import Patches
from wakeline.run.replay import replay_of
from wakeline.run.started import StartedProcesses
from wakeline.run.waits import WaitCall, WaitFor, child_read
from wakeline.shown import logger
from wakeline.store import processes, runs
from wakeline.store.calls import Call
from wakeline.store.claims import holds_claims
from wakeline.store.client import AsyncStore
from wakeline.store.processes import Effect, Row
from wakeline.store.runs import Claim
from wakeline.values import MAX_PAYLOAD, check_size, from_json
from wakeline.waits.identity import WaitIdentity, key_id
from wakeline.waits.resolutions import Resolution, resolution_of

T = TypeVar("T")
Writing = Callable[[Callable[[Any], Row]], Awaitable[Any]]
"""A store verb that writes the row of its effect itself: of what makes a row of an outcome, the outcome."""
log = logger("wakeline.run")
AT_ONCE = 256
"""How many waits or rows one script is given at most."""
PARK_AGAIN_S = 1.0


class Run:
    """The low-level face of a running process; `Ctx` and `AsyncCtx` speak through it."""

    def __init__(self, store: AsyncStore, claim: Claim, host: Host, *, clock: Clock, probe: Probe | None = None, bridge: Bridge | None = None,
                 environment: EnvironmentSpec = EMPTY, dispatch: ToolDispatch | None = None) -> None:  # fmt: skip
        self.store = store
        self.claim = claim
        self.fence = claim.fence
        self.host = host
        self.clock = clock
        self.probe = probe or NullProbe()
        self.bridge = bridge
        self.captured = environment
        """What its starts hand on; shared by the runs of this worker."""
        self.dispatch = dispatch or ToolDispatch.of(Registry())
        self.state = RunState.RUNNING
        self._over: asyncio.Future[None] | None = None
        self.cancellation = CancellationToken()
        if claim.cancel_requested:
            self.cancellation.cancel(claim.cancel_reason)
        self.stopping = False
        self.scope: ExecutionScope = ProcessScope(claim.process_id)
        self._waits = OpenWaits(claim.slots)
        self.tasks: set[asyncio.Task[Any]] = set()
        self.asides = Asides(self.tasks, blocking=bridge is not None)
        self.replay = replay_of(claim, self._waits, self.asides, self.cancellation, self.note, hold_ms=host.hold_ms, mode=self.dispatch.registry.replay)
        self.swallowed = False
        self.misfit: tuple[MisfitKind, BaseException] | None = None  # why this code cannot go on with the process
        self.side_by_side = 0
        """Batches under way: while one is, a sync body too has more than one call to issue."""
        self.started = StartedProcesses()
        self.awaits_children = "aw" in claim.fields
        """Whether a process was ever started that its end has to wait for."""
        self.numbers = Numbering()
        self.patches = Patches(self)
        self._consumed: list[Row] = []
        self.in_flight = InFlight(self._arm)
        self._timer: asyncio.TimerHandle | None = None
        self._parking: asyncio.Task[None] | None = None
        self.defers: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self.signal_kinds: dict[str, Any] = {}
        self.engine: Engine[..., Any] | None = None
        self.turn: Turn | None = None
        self.activities = Activities(store, claim.session_id)

    @property
    def registration(self) -> Registration:
        """What was started."""
        return self.claim.registration

    @cached_property
    def environment(self) -> EnvironmentSpec:
        """The environment as code of the run sees it: a copy, so that what one changes in its own is no other's. Made when somebody looks."""
        return self.captured.model_copy(deep=True)

    @property
    def cancelled(self) -> bool:
        """Whether this run has seen that a cancel was requested."""
        return self.cancellation.cancelled

    @property
    def idempotency_key(self) -> str:
        """Stable over attempts and hand-backs; differs between generations."""
        return f"{self.claim.process_id}:{self.fence.incarnation}:{self.claim.generation}"

    def key_of(self, envelope: Envelope, digest: str | None = None) -> str:
        """The replay key of the body's next call of this envelope."""
        return self.replay.key_of(self.numbers.key_of(envelope, digest), envelope)

    def named(self, verb: str) -> str:
        """A verb of its context, as the body writes it: ``await ctx.call(…)``."""
        return f"{'await ' if self.bridge is None else ''}{'turn' if self.turn is not None else 'ctx'}.{verb}"

    def child_id(self, key: str) -> str:
        """The id of the child that this run starts under a replay key."""
        return child_id(self.claim.process_id, self.fence.incarnation, self.claim.generation, key)

    # -- effects -----------------------------------------------------------------------------------------------------------------

    def check(self, *, is_new: bool = True) -> None:
        """Raises when this run may do nothing any more; ``is_new``: when it may begin nothing, as its worker leaves."""
        if self.state is RunState.PARKED:
            self.swallowed = True
            raise Parked
        if self.state is not RunState.RUNNING or (is_new and self.stopping):
            raise Stopped

    def unfit(self, kind: MisfitKind, error: BaseException) -> Stopped:
        """This code does not fit what is stored. No effect begins any more, and the run is over once those under way are recorded."""
        self.misfit = self.misfit or (kind, error)
        self.stopping = True
        self._arm()
        return Stopped()

    async def record_of(self, key: str, envelope: Envelope, digest: str, slot: str = "") -> JournalRow | None:
        """The record of a call, in its turn; None when it is new and may run. Raises where this run may do nothing any more, as after a mismatch."""
        if self.stopping and current_run.get() is self:
            # What this raises ends the body, and with it what runs beside: that is recorded first. Inside of a step it would wait for itself.
            await self.in_flight.over()
        self.check()
        await self._settle()
        self.check()
        return await replaying(self, self.replay.lookup(key, envelope, digest, alone=self.bridge is not None and not self.side_by_side, slot=slot))

    async def effect(
        self,
        kind: str,
        name: str,
        args: Any,
        perform: Callable[[str], Awaitable[Any]],
        *,
        key: str | None = None,
        write: Writing | None = None,
        lazily: bool = False,
        next_ms: Callable[[WakelineError], int] | None = None,
        asks: str | None = None,
    ) -> Any:
        """One recordable action. Recorded: its outcome. Else ``perform(replay key)`` runs and its JSON outcome is recorded, fenced.

        ``write`` instead of ``perform``: the store verb that writes the row itself, in its own script. ``lazily``: a success is recorded
        with the run's next write. A `WakelineError` that is final is recorded and raised again on replay; any other exception is no outcome.
        ``next_ms``: of an attempt, what is recorded with its error of the next one (`JournalRow.next_ms`). ``asks`` as in `Envelope`.
        """
        envelope = Envelope(kind, name, args, asks)
        digest = envelope_hash(envelope)
        key = key or self.key_of(envelope, digest)
        place = self.asides.place()

        def row_of(outcome: Any, error: WakelineError | None = None) -> Row:
            again_ms = next_ms(error) if next_ms is not None and error is not None else None
            n = self.replay.n_of(key)
            return self.replay.made(key, JournalRow.of(n, envelope, digest, outcome, error, self.clock.now_ms(), again_ms, place=place))

        with giving_up(self, key):
            row = await self.record_of(key, envelope, digest)
            if row is not None:
                return row.deliver()
            self.check()
            with self.in_flight.one():
                try:
                    return await self._new_effect(key, name, perform, write, row_of, lazily=lazily)
                except LeaseLost:
                    self.end(RunState.LOST)
                    raise Stopped from None

    async def _new_effect(
        self, key: str, name: str, perform: Callable[[str], Awaitable[Any]], write: Writing | None, row_of: Callable[..., Row], *, lazily: bool
    ) -> Any:
        try:
            if write is not None:
                outcome = await write(row_of)
                row_of(outcome)
                return outcome
            self.probe.reach(Phase.effect_before_run, self.claim.process_id)
            with inside_effect():
                outcome = await perform(key)
            self.probe.reach(Phase.effect_after_run, self.claim.process_id)
            made = row_of(outcome)
            check_size(f"The outcome of {name}", made.text, MAX_PAYLOAD)
        except WakelineError as error:
            if error.retryable or isinstance(error, LeaseLost | StoreError):
                raise
            await self.record(row_of(None, error))
            raise
        if lazily:
            self._consumed.append(made)
        else:
            await self.record(made)
        return outcome

    def note(self, row: Row) -> None:
        """A row that travels with the run's next write."""
        self._consumed.append(row)

    async def record(self, row: Row, asks: Sequence[tuple[str, tuple[str, str]]] = ()) -> None:
        """Writes a row, and the ones consumed before it; ``asks`` as `runs.record` has it."""
        rows = [*self.take_consumed(), row]
        await self.store.execute(runs.record(self.fence, rows, asks))
        self.probe.reach(Phase.effect_recorded, self.claim.process_id)

    def take_consumed(self) -> list[Row]:
        """Rows consumed since the last write; whoever takes them writes them."""
        rows, self._consumed = self._consumed, []
        return rows

    def remember(self, key: str, kind: str, name: str, value: Any) -> None:
        """Records a value with the run's next write (``patched``, a race's winner): no round trip of its own."""
        envelope = Envelope(kind=kind, name=name, args=None)
        row = JournalRow.of(self.replay.next_n, envelope, envelope_hash(envelope), value, None, self.clock.now_ms(), place=self.asides.place())
        self._consumed.append(self.replay.made(key, row))

    def effect_of(self, row: Row | None) -> Effect:
        """The fence, row and consumed rows a store verb writes with itself."""
        return Effect(self.fence, row, self.take_consumed())

    async def send(self, effect: Effect, call: Call[T]) -> T:
        """A verb that writes an effect. Refused, it wrote nothing: what was consumed travels with the next write."""
        try:
            return await self.store.execute(call)
        except (WakelineError, LookupError):
            self._consumed = [*effect.consumed, *self._consumed]
            raise

    # -- waits -------------------------------------------------------------------------------------------------------------------

    def slot_of(self, identity: WaitIdentity) -> str:
        return key_id(self.scope, identity)

    def call(self, kind: str, name: str, args: Any, target: WaitFor, *, key: str | None = None) -> WaitCall:
        """One wait of a `wait_all`."""
        envelope = Envelope(kind=kind, name=name, args=args)
        digest = envelope_hash(envelope)
        return WaitCall(key or self.key_of(envelope, digest), envelope, digest, target, self.slot_of(target.identity))

    async def wait_all(self, calls: Sequence[WaitCall]) -> list[Resolution]:
        """Waits for all (one group: one resume); resolutions in order. Parks the process when nothing else is going on.

        Given up (its task is cancelled while the run goes on), it closes its slots: an abandoned wait swallows no signal.
        """
        place = self.asides.place()
        self.replay.waits_for([c.slot for c in calls])
        rows = await asyncio.gather(*(self.record_of(c.key, c.envelope, c.digest, c.slot) for c in calls))
        missing = [c for c, row in zip(calls, rows, strict=True) if row is None]
        texts: dict[str, str] = {}
        if missing:
            self.check()
            try:
                texts = await self._open_and_wait(missing)
            except asyncio.CancelledError:
                if self.state is RunState.RUNNING and not self.stopping:
                    self._give_up(self._waits.abandoned([c.slot for c in missing]))
                raise
            for call in missing:
                if MARK in texts[call.slot]:
                    await take_over(self, texts[call.slot], call.target.kind)
        out: list[Resolution] = []
        for call, row in zip(calls, rows, strict=True):
            if row is None:
                # The row travels with the run's next write: until then the slot keeps its resolution, so nothing can be lost.
                value = from_json(texts[call.slot])
                made = JournalRow.of(self.replay.next_n, call.envelope, call.digest, value, None, self.clock.now_ms(), place=place)
                self._consumed.append(self.replay.made(call.key, made, (call.slot,)))
                out.append(resolution_of(value))
                self._consumed += child_read(call, out[-1])
            else:
                out.append(resolution_of(row.deliver()))
        await self._write_ahead()
        return out

    async def _write_ahead(self) -> None:
        """Rows beyond what one script may touch are written before the verb that would carry them."""
        try:
            while len(self._consumed) > AT_ONCE:
                rows = self._consumed[:AT_ONCE]
                await self.store.execute(runs.record(self.fence, rows))
                written = {row.key for row in rows}
                self._consumed = [row for row in self._consumed if row.key not in written]
        except LeaseLost:
            self.end(RunState.LOST)
            raise Stopped from None

    async def _open_and_wait(self, calls: Sequence[WaitCall]) -> dict[str, str]:
        """A slot that another task of the body waits for already is shared: opened once, given up by the last."""
        known = self._waits.known([c.slot for c in calls])
        fresh = [c for c in calls if c.slot not in self._waits and c.slot not in known]
        futures = self._waits.enter([c.slot for c in calls if c.slot not in known])
        if fresh:
            self.in_flight.begin()
            self.spawn(self._open_group(fresh))
        try:
            return known | {slot: await asyncio.shield(future) for slot, future in futures.items()}
        finally:
            self._waits.leave(list(futures))
            self._arm()

    async def _open_group(self, calls: Sequence[WaitCall]) -> None:
        """A task of the run, not of who waits: when that one gives up, the reply is still for whoever shares a slot with it."""
        groups = self._waits.group([c.slot for c in calls])
        waits = [c.wire(groups[c.slot]) for c in calls]
        try:
            for start in range(0, len(waits), AT_ONCE):
                part = [wait for wait in waits[start : start + AT_ONCE] if wait.slot in self._waits]  # not what was given up meanwhile
                if not part:
                    continue
                found = await self.store.execute(runs.open_waits(self.fence, part, self.take_consumed()))
                for wait, opened in zip(part, found, strict=True):
                    due_ms = self._waits.told(wait, opened)
                    if due_ms is not None:
                        self.host.timer(due_ms)
            self.probe.reach(Phase.wait_opened, self.claim.process_id)
        except asyncio.CancelledError:
            raise
        except LeaseLost:
            self.end(RunState.LOST)
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it
            self._waits.fail([wait.slot for wait in waits], error)
        finally:
            self.in_flight.end()

    def _give_up(self, ids: list[str]) -> None:
        async def close() -> None:
            try:
                for start in range(0, len(ids), AT_ONCE):
                    await self.store.execute(runs.close_waits(self.fence, ids[start : start + AT_ONCE], self.take_consumed()))
            except LeaseLost:
                self.end(RunState.LOST)
            finally:
                self.in_flight.end()

        self._waits.forget(ids)
        self.in_flight.begin()
        self.tasks.add(asyncio.get_running_loop().create_task(close()))

    def hinted(self, slot: str, claim_id: str, text: str) -> bool:
        """Takes the resolution (JSON) that a hint brought to a run. False where it is not to be relied on: then somebody has to look."""
        mine = claim_id == self.fence.claim_id and self.state is RunState.RUNNING
        return mine and not holds_claims(text) and self._waits.hinted(slot, text)

    async def look(self) -> None:
        """Reads the open slots and the cancel mark: after a hint, and once in a while because a hint may be lost."""
        ids = self._waits.slots
        if self.state is not RunState.RUNNING:
            return
        try:
            reason, texts = await self.store.execute(runs.read_slots(self.fence, ids[:4096]))
        except LeaseLost:
            self.end(RunState.LOST)
            return
        if reason is not None:
            self.cancellation.cancel(reason)
        for slot, text in zip(ids, texts, strict=False):
            if text is not None:
                self._waits.resolve(slot, text)

    @property
    def waiting(self) -> bool:
        """True while some wait is open."""
        return bool(self._waits)

    @property
    def only_waits(self) -> bool:
        """True when nothing but unresolved waits is outstanding."""
        return bool(self._waits) and not self.in_flight and self.replay.idle and self._waits.all_unresolved

    def _arm(self) -> None:
        """(Re)starts the hold: the time a body may stay in memory while it only waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.misfit is not None and not self.in_flight:
            self.end(RunState.RELEASED)
        if self.state is not RunState.RUNNING or self.misfit is not None or not self.only_waits:
            return
        # A sync body holds a thread, a full worker needs the slot, a stopping one wants to go, others may wait for the place under a limit: no hold.
        goes = self.bridge is not None or self.host.full or self.stopping or "lm" in self.claim.fields
        self._timer = asyncio.get_running_loop().call_later(0 if goes else self.host.hold_ms / 1000, self._park_soon)

    def _park_soon(self) -> None:
        self._timer = None
        if self._parking is None and self.state is RunState.RUNNING and self.only_waits:
            self._parking = asyncio.get_running_loop().create_task(self._park())

    async def _settle(self) -> None:
        """An effect issued while the park script is under way waits for its answer."""
        while self._parking is not None:
            await asyncio.wait([self._parking])

    async def _park(self) -> None:
        if not self.only_waits:
            # A hint came since the hold ran out: the body is about to go on. Its wait would not be among those whose resolution the script looks for.
            self._parking = None
            return
        self.probe.reach(Phase.parking, self.claim.process_id)
        consumed = self.take_consumed()
        try:
            answer = await self.store.execute(processes.park(self.fence, self._waits.unmet_groups, self._waits.shown, consumed, early=self._waits.early))
        except LeaseLost:
            self.end(RunState.LOST)
            return
        except StoreError as error:
            log.warning("%s could not be parked, which is tried again: %s", self.claim.process_id, error)
            self._consumed = [*consumed, *self._consumed]
            self._timer = asyncio.get_running_loop().call_later(PARK_AGAIN_S, self._park_soon)
            return
        finally:
            self._parking = None
        if isinstance(answer, processes.Met):
            await self.look()
            self._arm()
            return
        self.probe.reach(Phase.parked, self.claim.process_id)
        self.end(RunState.PARKED)

    def end(self, state: RunState) -> None:
        """This run is over; open waits of a sync body raise in its thread, an async body is cancelled by the runner."""
        if self.state is not RunState.RUNNING:
            return
        self.state = state
        if self._timer is not None:
            self._timer.cancel()
        if self.bridge is not None:
            self._waits.fail(self._waits.slots, Parked() if state is RunState.PARKED else Stopped())
        self._is_over()

    async def until_over(self, body: asyncio.Task[Any]) -> None:
        """Returns when the run is over, or its body is; of a run that does not fit, when what it has under way is recorded."""
        while self.state is RunState.RUNNING and (self.misfit is not None or not body.done()):
            self._over = asyncio.get_running_loop().create_future()
            body.add_done_callback(self._is_over)
            await self._over
            body.remove_done_callback(self._is_over)

    def _is_over(self, _: object = None) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def stop(self) -> None:
        """Shutdown: a body that waits parks at once; any other goes on to its next effect or its end, which may be a moment away."""
        self.stopping = True
        self._arm()

    def hand_back(self) -> None:
        """The shutdown's share is over: what the body does now is not waited for. A park that is under way is."""
        if self._parking is None:
            self.end(RunState.RELEASED)

    async def invoke(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls user code: a coroutine on the loop, a plain function in the body's own thread (sync body) or a thread of the pool."""
        return await invoked(partial(function, *args, **kwargs), self.bridge)

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that belongs to this run and is cancelled with it."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task
