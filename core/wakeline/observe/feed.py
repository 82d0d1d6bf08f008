"""What followers of a session are told, as JSON data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from wakeline.sessions.feed import Committed, EntryChanged, FeedItem, Gap, SessionGone, TurnActivity

ITEMS = {EntryChanged: "entry", Committed: "commit", TurnActivity: "activity", Gap: "gap", SessionGone: "deleted"}
"""The word for each kind of item."""


def item_data(item: FeedItem) -> dict[str, Any]:
    """An item as JSON data: what it is, and its fields by name."""
    data: dict[str, Any] = {"item": ITEMS[type(item)]}
    match item:
        case Committed():
            return data | {
                "cursor": item.cursor,
                "at_ms": item.at_ms,
                "revision": item.revision,
                "turn": item.turn,
                "messages": list(item.messages),
            }
        case TurnActivity():
            return data | {
                "cursor": item.cursor,
                "at_ms": item.at_ms,
                "id": item.id,
                "correlation_id": item.correlation_id,
                "event": item.event.model_dump(mode="json"),
            }
        case _:
            return data | asdict(item)
