"""One run of a process under its fence: its life, its journal, its waits, and the moment it lets go.

Invariant: the process parks only while only unresolved waits are outstanding. From then on the run does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import cached_property, partial
from typing import Any, NoReturn

from wakeline.cancellation import CancellationToken
from wakeline.causality import ExecutionScope, ProcessScope
from wakeline.clock import Clock
from wakeline.effects.journal import JournalRow
from wakeline.engines.engine import Engine
from wakeline.engines.registry import Registry
from wakeline.environments.spec import EMPTY, EnvironmentSpec
from wakeline.errors import LeaseLost, Parked, Stopped, StoreError
from wakeline.names import child_id
from wakeline.processes.events import Terminal
from wakeline.processes.registration import Registration
from wakeline.run.activity import Activities
from wakeline.run.asides import Asides
from wakeline.run.boundary import CarriedCode, invoked
from wakeline.run.bridge import Bridge
from wakeline.run.defers import Defers
from wakeline.run.dispatch import ToolDispatch
from wakeline.run.fitting import Fitting
from wakeline.run.hold import Hold
from wakeline.run.host import CommittingTurn, Host, RunState
from wakeline.run.identity import log_facts
from wakeline.run.journal import Journal
from wakeline.run.life import Life
from wakeline.run.open_waits import OpenWaits
from wakeline.run.passing import Passing
from wakeline.run.patches import Patches
from wakeline.run.replay import replay_of
from wakeline.run.started import StartedProcesses
from wakeline.run.waits import Waits
from wakeline.shown import logger
from wakeline.store.awaited import AsyncStore
from wakeline.store.claims import Claim
from wakeline.store.waits import Met, park
from wakeline.telemetry.headers import Headers
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import RunEnd, RunSeen, SendingSeen, Verb
from wakeline.tools.hooks import Hooks
from wakeline.verbs.caller import Caller

log = logger("wakeline.run")
PARK_AGAIN_S, PARK_AGAIN_MOST_S = 1.0, 60.0


class Run:
    """A running process: what was claimed, and what this code makes of it.

    `life` says whether the run may still act. `journal` is what the process did, and records what it does. `waits` is
    what it waits for. The run itself holds them together, and parks the process when nothing but waits is left.
    """

    def __init__(
        self,
        store: AsyncStore,
        claim: Claim,
        host: Host,
        rows: dict[str, JournalRow],
        *,
        clock: Clock,
        bridge: Bridge | None = None,
        environment: EnvironmentSpec = EMPTY,
        dispatch: ToolDispatch | None = None,
        fitting: Fitting | None = None,
    ) -> None:
        self.store = store
        self.claim = claim
        self.process_id = claim.process_id
        """The id of the process that runs."""
        self.fence = claim.fence
        self.host = host
        self.clock = clock
        self.bridge = bridge
        """The bridge to the thread of a blocking body; None for a body on the loop."""
        self.captured = environment
        """The environment that its starts hand on; the runs of this worker share it."""
        self.dispatch = dispatch or ToolDispatch.of(Registry())
        self.instruments = self.dispatch.registry.instruments
        """Told what this run does."""
        self.seen: RunSeen | None = None
        """What they see of it, where one of them wants to."""
        self.end: RunEnd | None = None
        """What instruments see that want its end alone."""
        self.told_in: Context | None = None
        """The context variables within what is around it."""
        self.raised: BaseException | None = None
        """What its body failed with, for them, until its outcome is written."""
        self.fitting = fitting or Fitting(claim)
        self.life = Life(self._arm, self._ended)
        if bridge is not None:
            bridge.is_used_up = lambda: self.life.is_used_up
        if claim.cancel_requested:
            self.life.cancellation.cancel(claim.cancel_reason)
        asides = Asides(self.life.tasks, blocking=bridge is not None)
        replay = replay_of(
            claim,
            rows,
            asides,
            self.life.cancellation,
            hold_ms=host.hold_ms,
            mode=self.dispatch.replay_mode,
        )
        self.journal = Journal(
            store,
            claim,
            self.life,
            replay,
            asides,
            self.fitting,
            clock=clock,
            instruments=self.instruments,
            blocking=bridge is not None,
        )
        replay.note, replay.pacing = self.journal.note, self.life.pacing
        self._waits: Waits | None = None
        self.awaits_children = claim.awaits_children
        """Whether it ever started a child that its end has to wait for."""
        self.has_deferred = False
        """Whether its body deferred something to its end."""
        self._park_again_s = PARK_AGAIN_S
        self.engine: Engine[..., Any] | None = None
        self.turn: CommittingTurn | None = None
        self.context: object = None
        """The context that its body got, once it is called."""
        self._hold: Hold | None = None

    # -- its parts that most runs do without: made when they are first used, which saves a no-op a tenth

    @property
    def waits(self) -> Waits:
        """What it waits for."""
        if self._waits is None:
            self._waits = Waits(
                self.store,
                self.claim,
                self.life,
                self.journal,
                OpenWaits(self.claim.slots),
                self.passing,
                scope=self.scope,
                instruments=self.instruments,
                timer=self.host.timer,
                changed=self._arm,
            )
        return self._waits

    @property
    def is_waiting(self) -> bool:
        """Whether some wait of its body is open."""
        return self._waits is not None and bool(self._waits)

    @cached_property
    def scope(self) -> ExecutionScope:
        """What its waits belong to."""
        return ProcessScope(self.claim.process_id)

    @cached_property
    def passing(self) -> Passing:
        """Passes attachments on."""
        return Passing(self.store, self.claim)

    @cached_property
    def patches(self) -> Patches:
        """Which path it takes where its code was changed."""
        return Patches(self.journal, self.claim.process_id)

    @cached_property
    def started(self) -> StartedProcesses:
        """The children that it started."""
        return StartedProcesses()

    @cached_property
    def defers(self) -> Defers:
        """What its body deferred to its end."""
        self.has_deferred = True
        return Defers()

    @cached_property
    def activities(self) -> Activities:
        """What it tells followers of its session."""
        return Activities(self.store, self.claim.session_id)

    # -- what it is

    @property
    def namespace(self) -> str:
        """The namespace it runs in."""
        return self.store.address.namespace

    @property
    def name(self) -> str:
        """Its name for people: its label, or its kind."""
        identity = self.registration.identity
        return identity.label or identity.kind

    @property
    def registry(self) -> Registry:
        """The code of this worker's release."""
        return self.dispatch.registry

    @property
    def hooks(self) -> Hooks:
        """The hooks that every call of a tool goes through."""
        return self.dispatch.hooks

    @property
    def cancellation(self) -> CancellationToken:
        """Cancelled once this run has seen that a cancel was requested."""
        return self.life.cancellation

    @property
    def registration(self) -> Registration:
        """The registration of the process."""
        return self.claim.registration

    @cached_property
    def environment(self) -> EnvironmentSpec:
        """The environment for code of the run: a copy, made when it is first asked for, so that a change stays in this
        run."""
        return self.captured.model_copy(deep=True)

    @cached_property
    def caller(self) -> Caller:
        """Who asks for the verbs of its body."""
        return Caller(
            self.namespace,
            grace_ms=self.host.grace_ms,
            now_ms=self.clock.now_ms,
            environment=self.captured,
            registry=self.registry,
        )

    @property
    def cancelled(self) -> bool:
        """Whether this run has seen that a cancel was requested."""
        return self.life.cancellation.cancelled

    @property
    def idempotency_key(self) -> str:
        """The key that is the same over attempts and hand-backs, and differs between generations."""
        return f"{self.claim.process_id}:{self.fence.incarnation}:{self.claim.generation}"

    def named(self, verb: str) -> str:
        """How the body writes a verb of its context: ``await ctx.call(…)``."""
        return f"{'await ' if self.bridge is None else ''}{'turn' if self.turn is not None else 'ctx'}.{verb}"

    @property
    def is_replaying(self) -> bool:
        """Whether the body has not come to the end of what it did before."""
        return self.journal.is_replaying

    def facts(self) -> dict[str, Any]:
        """What a log entry says of the run: the facts of its claim, and the effect whose code runs here."""
        return log_facts(self.claim)

    def carried(self, code: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """The coroutine of a task that its body makes."""
        return CarriedCode(code, self.life.pacing)

    def child_id(self, key: str) -> str:
        """The id of the child that this run starts under a replay key."""
        return child_id(self.claim.process_id, self.fence.incarnation, self.claim.generation, key)

    async def invoke(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls user code. A coroutine runs on the loop, and a plain function in the body's own thread (sync body) or
        in a thread of the pool."""
        return await invoked(partial(function, *args, **kwargs), self.bridge)

    def owns(self, task: asyncio.Task[Any]) -> bool:
        """Whether a task is that of its body, or one that it made itself. Safe to ask from another thread."""
        return task is self.journal.asides.body or task in self.life.tasks

    def tell_also(self, instrument: Instrument) -> None:
        """Tells one more instrument what this run does from now on."""
        self.instruments = self.journal.instruments = self.instruments.with_also(instrument)

    def ended_by(self, end: Terminal) -> NoReturn:
        """An event that it wrote has ended its process."""
        for told in (self.seen, self.end):
            if told is not None:
                told.ended(end.state)
        self.life.end(RunState.ENDED)
        raise Stopped

    def headers_for(self, verb: Verb) -> Headers | None:
        """What instruments give what follows from this run: what it wakes, the run that goes on, or code that runs in a
        child process."""
        name = self.registration.identity.kind
        sending = SendingSeen(self.process_id, name, verb, self.process_id, self.claim.queue)

        def given() -> Headers | None:
            with self.instruments.sending(sending) as headers:
                return headers

        # A park is decided in a task of its own, which may know nothing of the run's context variables.
        return given() if self.told_in is None or verb != "leave" else self.told_in.copy().run(given)

    # -- parking

    def _arm(self) -> None:
        """Starts the hold (again): the time that a body may stay in memory while it only waits."""
        if self._hold is not None:
            self._hold.stop()
        life = self.life
        if self._waits is None and life.misfit is None:
            return  # as at most effects
        if life.misfit is not None and not life.in_flight:
            life.end(RunState.RELEASED)
        if not life.is_running or life.misfit is not None or not self.waits.are_all:
            return
        # There is no hold in four cases: a sync body holds a thread, a full worker needs the slot, the worker leaves,
        # or others wait for the place under a limit.
        goes = self.bridge is not None or self.host.full or life.stopping or self.claim.is_limited
        self._begin_hold(0 if goes else self.host.hold_ms / 1000)

    def _begin_hold(self, for_s: float) -> None:
        if self._hold is None:
            self._hold = Hold(self._park_soon, lambda: self.waits.are_all)
        self._hold.begin(for_s)

    def _park_soon(self) -> None:
        if self.life.parking is None and self.life.is_running:
            self.life.parking = asyncio.get_running_loop().create_task(self._park())

    async def _park(self) -> None:
        if not self.waits.are_all:
            # A hint came after the hold ran out, so the body is about to go on. The script would not look for the
            # resolution of its wait.
            self.life.parking = None
            return
        if self.instruments.points:
            self.instruments.point(Phase.parking, self.claim.process_id)
        unwritten, waits = self.journal.unwritten.take(), self.waits.open
        try:
            seen = self.seen is not None
            parking = park(self.fence, waits.unmet_groups, waits.shown, unwritten, early=waits.early, seen=seen)
            if self.instruments.sendings:
                parking = parking.with_headers(self.headers_for("leave"))
            answer = await self.store.execute(parking)
        except LeaseLost:
            self.life.lost()
            return
        except StoreError as error:
            log.warning(
                "%s could not be parked, which is tried again in %g s: %s",
                self.claim.process_id,
                self._park_again_s,
                error,
            )
            self.journal.unwritten.put_back(unwritten)
            self._begin_hold(self._park_again_s)
            self._park_again_s = min(self._park_again_s * 2, PARK_AGAIN_MOST_S)
            return
        finally:
            self.life.parking = None
        if isinstance(answer, Met):
            await self.waits.look()
            self._arm()
            return
        if self.seen is not None:
            self.seen.parked(self.waits.open.kinds)
        if self.instruments.points:
            self.instruments.point(Phase.parked, self.claim.process_id)
        self.life.end(RunState.PARKED)

    def _ended(self, state: RunState) -> None:
        """Called when the run is over. Open waits of a sync body raise in its thread; the runner cancels an async
        body."""
        if self._hold is not None:
            self._hold.stop()
        if self.bridge is not None and self._waits is not None:
            self._waits.open.fail(self._waits.open.slots, Parked() if state is RunState.PARKED else Stopped())
