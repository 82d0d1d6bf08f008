"""Subscriptions and schedules, as JSON data."""

from __future__ import annotations

from typing import Any

from wakeline.store.triggers import ScheduleView, SubscriptionView
from wakeline.triggers.schedule import SOURCE


def subscription_data(view: SubscriptionView) -> dict[str, Any]:
    """A subscription: its source, what it starts, and its standing."""
    of = view.subscription
    return {
        "source": of.source,
        "name": of.name,
        "id": view.id,
        "starts": of.target.name,
        "enabled": view.enabled,
        "revision": view.revision,
        "owner": of.owner,
        "source_key": of.source_key,
    }


def schedule_data(view: ScheduleView) -> dict[str, Any]:
    """A schedule: what it starts, when it is due next, and the process that its latest moment started."""
    of = view.schedule
    return {
        "source": SOURCE,
        "name": view.name,
        "starts": of.subscription.target.name,
        "expression": of.expression,
        "timezone": of.timezone,
        "missed": of.missed,
        "overlap": of.overlap,
        "due_ms": view.due_ms,
        "last": view.last,
    }
