"""Turn activity on its way to the followers of the session.

Invariant: telemetry never fails or delays work. An activity that cannot be sent at once is dropped and counted.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from wakeline.errors import WakelineError
from wakeline.sessions.activity import ActivityEvent, ToolCallCompleted, ToolCallStarted, TurnStarted
from wakeline.shown import logger
from wakeline.store import feed
from wakeline.store.awaited import AsyncStore
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import EffectSeen

MOST_ON_THE_WAY = 64
log = logger("wakeline.activity")
TurnEventSender = Callable[[str, str, ActivityEvent], Awaitable[None]]
"""Takes the id of an activity, its correlation id and the event."""


class ActivityOutlet:
    """Sends what a run says of itself, a few at a time."""

    def __init__(self, send: TurnEventSender) -> None:
        self._send = send
        self._under_way: set[asyncio.Task[None]] = set()
        self.dropped = 0
        """How many activities were not sent."""

    def tell(self, correlation_id: str, event: ActivityEvent) -> None:
        """Sends one, or drops it if too many are on their way."""
        if len(self._under_way) >= MOST_ON_THE_WAY:
            self.dropped += 1
            return
        task = asyncio.get_running_loop().create_task(self._sent(str(uuid.uuid4()), correlation_id, event))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _sent(self, own_id: str, correlation_id: str, event: ActivityEvent) -> None:
        try:
            await self._send(own_id, correlation_id, event)
        except WakelineError as error:
            self.dropped += 1
            log.debug("an activity was dropped: %s", error)
        except Exception:
            self.dropped += 1
            log.exception("a sender of activities failed; the work goes on")


class Activities:
    """What one run says of itself, to the followers of its session or to a sender of a context's own."""

    def __init__(self, store: AsyncStore, session_id: str | None) -> None:
        self.sender: TurnEventSender | None = to_session(store, session_id) if session_id is not None else None
        """Into the feed of the session whose turn this is."""
        self._outlets: dict[TurnEventSender, ActivityOutlet] = {}

    def outlet_to(self, sender: TurnEventSender) -> ActivityOutlet:
        """The outlet of a sender. Each sender has one, so that each is bounded by itself."""
        return self._outlets.setdefault(sender, ActivityOutlet(sender))

    def of_turn(self, process_id: str, attempt: int, entries: list[int]) -> TurnActivities:
        """Tells the followers of the session what a turn does by itself."""
        assert self.sender is not None, "a turn has a session"
        return TurnActivities(self.outlet_to(self.sender), process_id, TurnStarted(attempt=attempt, entries=entries))


class TurnActivities(Instrument):
    """Tells followers of a session that its turn began and which tools it calls: an instrument of that one run."""

    def __init__(self, outlet: ActivityOutlet, process_id: str, started: TurnStarted) -> None:
        self._outlet, self._process_id, self._started = outlet, process_id, started

    def point(self, phase: Phase, process_id: str) -> None:
        if phase is Phase.admitted:
            self._outlet.tell(self._process_id, self._started)

    @contextmanager
    def effect(self, effect: EffectSeen) -> Generator[None]:
        if effect.tool is None:
            yield
            return
        correlation = f"tool:{effect.idempotency_key}"
        self._outlet.tell(correlation, ToolCallStarted(tool=effect.tool, attempt=effect.attempt))
        yield
        if effect.outcome != "stopped":
            ended = ToolCallCompleted(tool=effect.tool, attempt=effect.attempt, failure=effect.code)
            self._outlet.tell(correlation, ended)


def to_session(store: AsyncStore, session_id: str) -> TurnEventSender:
    """A sender into the feed of a session. Nothing is written for a session without followers."""

    async def send(own_id: str, correlation_id: str, event: ActivityEvent) -> None:
        await store.execute(
            feed.tell(session_id, own_id, correlation_id, event.model_dump_json(exclude_defaults=False))
        )

    return send
