"""Subscriptions and schedules as views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wakeline.observe.view import View
from wakeline.store.triggers import StoredSchedule, StoredSubscription
from wakeline.triggers.schedule import SOURCE, Schedule
from wakeline.triggers.subscription import Subscription


@dataclass(frozen=True, slots=True)
class SubscriptionView(View):
    """A subscription, with its revision, and whether it takes occurrences."""

    id: str
    revision: int
    enabled: bool
    subscription: Subscription

    def to_data(self) -> dict[str, Any]:
        """As JSON data: its source, what it starts, and its state."""
        of = self.subscription
        return {
            "source": of.source,
            "name": of.name,
            "id": self.id,
            "starts": of.target.name,
            "enabled": self.enabled,
            "revision": self.revision,
            "owner": of.owner,
            "source_key": of.source_key,
        }


@dataclass(frozen=True, slots=True)
class ScheduleView(View):
    """A schedule, when it is due next (server ms), and the process that its latest moment started."""

    name: str
    due_ms: int | None
    last: str | None
    schedule: Schedule

    def to_data(self) -> dict[str, Any]:
        """As JSON data: what it starts and when, and its state."""
        of = self.schedule
        return {
            "source": SOURCE,
            "name": self.name,
            "starts": of.subscription.target.name,
            "expression": of.expression,
            "timezone": of.timezone,
            "missed": of.missed,
            "overlap": of.overlap,
            "due_ms": self.due_ms,
            "last": self.last,
        }


def subscription_view(stored: StoredSubscription) -> SubscriptionView:
    """A stored subscription as a view."""
    return SubscriptionView(stored.id, stored.revision, stored.enabled, stored.subscription)


def schedule_view(stored: StoredSchedule) -> ScheduleView:
    """A stored schedule as a view."""
    return ScheduleView(stored.name, stored.due_ms, stored.last, stored.schedule)
