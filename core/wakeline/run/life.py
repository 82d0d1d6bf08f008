"""Whether a run may still act: its state, what stops it, and what it has under way.

Invariant: from its end on (a park, a hand-back, a lost lease), every effect of the run raises and does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from wakeline.cancellation import CancellationToken
from wakeline.errors import Parked, ProcessExecutionUnavailable, Stopped
from wakeline.processes.misfit import MisfitKind
from wakeline.run.boundary import CarriedCode, begun
from wakeline.run.host import RunState
from wakeline.run.in_flight import InFlight
from wakeline.run.pacing import Pacing

T = TypeVar("T")


class Life:
    """State, tasks and work in flight of one run. It calls ``changed`` when something begins or ends that keeps the run
    from parking, and ``ended`` once, when the run is over."""

    def __init__(self, changed: Callable[[], None], ended: Callable[[RunState], None]) -> None:
        self.state = RunState.RUNNING
        self.stopping = False
        """Whether no new effect may begin."""
        self.refused = False
        """Whether a write of the run was refused: another run has the process, or the store lacks what this one was
        answered."""
        self.denied = False
        """Whether code was refused something new because the worker leaves. What the body ends with may follow from
        that, even if the body waits for its tasks and reads none of them, so it is no outcome."""
        self.swallowed = False
        """Whether the body went on after its run was parked."""
        self.misfit: tuple[MisfitKind, BaseException] | None = None
        """Why this code cannot go on with the process."""
        self.cancellation = CancellationToken()
        self.in_flight = InFlight(changed)
        self.pacing = Pacing()
        """The tasks of the body, and which of them wait for their turn on the loop."""
        self.pacing.changed = changed
        self.tasks: set[asyncio.Task[Any]] = set()
        """The tasks that the run itself made beside its body."""
        self.body: asyncio.Task[Any] | None = None
        """The body's own task, once it exists."""
        self.parking: asyncio.Task[None] | None = None
        """The park that is under way."""
        self._changed, self._ended = changed, ended
        self._over: asyncio.Future[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the run goes on; an ended run never runs again."""
        return self.state is RunState.RUNNING

    @property
    def is_used_up(self) -> bool:
        """Whether the body has ended. What asks for something from then on has kept the context of the run."""
        return self.body is not None and self.body.done()

    def check_in_use(self, verb: str) -> None:
        """Raises `ProcessExecutionUnavailable` for a verb of a context that was kept after its run."""
        if self.body is not None and self.body.done():  # `is_used_up` in place: each step comes here
            raise ProcessExecutionUnavailable(verb=verb)

    def check(self, *, is_new: bool = True) -> None:
        """Raises if this run may do nothing any more. ``is_new``: raises also if it may begin nothing, because its
        worker leaves. The body is told by control flow, which ends it, and other code by an error."""
        if self.body is not None and self.body.done():
            raise ProcessExecutionUnavailable(verb="A context")
        if self.state is RunState.PARKED:
            self.swallowed = True
            self._leave_quietly()
            raise Parked
        if not self.is_running or (is_new and self.stopping):
            self.denied = True
            self._leave_quietly()
            raise Stopped

    def _leave_quietly(self) -> None:
        """Reads, at its end, what control flow makes of this task. A body that ends with it reads no tasks beside it,
        and the loop would log each as an exception that was never retrieved."""
        task = asyncio.current_task()
        if task is not None and task is not self.body:
            task.add_done_callback(_read)

    async def settled(self) -> None:
        """Lets an effect that is issued during a park wait for the answer of the park script."""
        while self.parking is not None:
            await asyncio.wait([self.parking])

    def unfit(self, kind: MisfitKind, error: BaseException) -> Stopped:
        """Notes that this code does not fit what is stored. No effect begins any more, and the run is over once those
        under way are recorded."""
        self.misfit = self.misfit or (kind, error)
        self.stopping = True
        self._changed()
        self._leave_quietly()
        return Stopped()

    def has_looked(self) -> None:
        """Notes that a look at the journal is over. The hold may have run out meanwhile, and the body may ask for
        nothing more, so the hold begins anew."""
        self._changed()

    def at_work(self) -> InFlight:
        """Surrounds work during which the run does not park."""
        return self.in_flight

    def stop(self) -> None:
        """The worker leaves. A body that waits parks at once. Any other goes on to its next effect or its end, which
        may be near."""
        self.stopping = True
        self._changed()

    def hand_back(self) -> None:
        """The share of the shutdown is over: the run does not wait for what the body does now. A park under way goes
        on."""
        if self.parking is None:
            self.end(RunState.RELEASED)

    def lost(self) -> Stopped:
        """A write was refused; the run is over."""
        self.refused = self.refused or self.is_running
        self.end(RunState.LOST)
        self._leave_quietly()
        return Stopped()

    def end(self, state: RunState) -> None:
        """This run is over. The first end counts."""
        if self.is_running:
            self.state = state
            self._ended(state)
            self._tell()

    def begin(self, body: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """The task of the body, which may be done when this returns (`boundary.begun`)."""
        return begun(body, asyncio.get_running_loop(), self.pacing, self._tell)

    async def over(self, body: asyncio.Task[Any]) -> None:
        """Returns when the run is over, or the body that it has begun. A run that does not fit is over when what it has
        under way is recorded."""
        while self.state is RunState.RUNNING and (self.misfit is not None or not body.done()):
            self._over = asyncio.get_running_loop().create_future()
            await self._over

    def _tell(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that belongs to this run and is cancelled with it."""
        carried: Coroutine[Any, Any, T] = CarriedCode(coroutine, self.pacing)
        task = asyncio.Task(carried, loop=asyncio.get_running_loop())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


def _read(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
