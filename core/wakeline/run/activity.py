"""Turn activity on its way to the followers of the session.

Invariant: telemetry never fails or delays work. An activity that cannot be sent at once is dropped and counted.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from wakeline.errors import WakelineError
from wakeline.sessions.activity import ActivityEvent
from wakeline.shown import logger
from wakeline.store import feed
from wakeline.store.awaited import AsyncStore

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
    """What one run says of itself, to the followers of its session or to the sender of a context."""

    def __init__(self, store: AsyncStore, session_id: str | None) -> None:
        self.sender: TurnEventSender | None = to_session(store, session_id) if session_id is not None else None
        """The outlet into the feed of the turn's session."""
        self.followed = False
        """Whether the session had a follower when the turn was admitted. Only then the run says by itself what it
        does."""
        self._outlets: dict[TurnEventSender, ActivityOutlet] = {}

    def outlet_to(self, sender: TurnEventSender) -> ActivityOutlet:
        """The outlet of a sender. Each sender has one, so that each is bounded by itself."""
        return self._outlets.setdefault(sender, ActivityOutlet(sender))

    def tell(self, correlation_id: str, event_of: Callable[[], ActivityEvent]) -> None:
        """Says what the run does by itself, if the session has a follower. Otherwise the event is not even made."""
        if self.followed and self.sender is not None:
            self.outlet_to(self.sender).tell(correlation_id, event_of())


def to_session(store: AsyncStore, session_id: str) -> TurnEventSender:
    """A sender into the feed of a session. Nothing is written for a session without followers."""

    async def send(own_id: str, correlation_id: str, event: ActivityEvent) -> None:
        await store.execute(
            feed.tell(session_id, own_id, correlation_id, event.model_dump_json(exclude_defaults=False))
        )

    return send
