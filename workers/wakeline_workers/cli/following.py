"""The command that follows a session.

Invariant: it prints one line for each item, flushed at once. With --json it is one object, and its cursor says where to
go on.
"""

from __future__ import annotations

import json

import click
from wakeline.names import split_session_id
from wakeline.observe.feed import item_data
from wakeline.sessions.feed import Committed, EntryChanged, FeedItem, Gap, SessionGone, TurnActivity
from wakeline.shown import moment

from wakeline_workers.cli.root import Console, command, option


@command("follow")
@click.argument("session", metavar="AGENT/KEY")
@option("--after", metavar="CURSOR", help="Go on behind this cursor instead of from now on.")
@option("--most", type=click.IntRange(1), help="End after this many items.")
@click.pass_obj
def follow(console: Console, session: str, after: str | None, most: int | None) -> None:
    """Print what changes in a session.

    Entries, commits and what its turns do, until the session is deleted. A gap says that items may be missing.
    """
    for number, item in enumerate(console.app.session(*split_session_id(session)).follow(after), 1):
        console.answer(item_data(item), line_of(item))
        if number == most:
            return


def line_of(item: FeedItem) -> str:
    """An item as text for people."""
    match item:
        case EntryChanged():
            what = f"entry {item.entry} {item.state} {item.reason or item.turn or ''}"
        case Committed():
            what = f"commit {item.revision} with {len(item.messages)} messages {item.turn or ''}"
        case TurnActivity():
            what = (
                f"{item.event.type}"
                f" {json.dumps(item.event.model_dump(mode='json', exclude={'type'}), ensure_ascii=False)}"
                f" {item.correlation_id}"
            )
        case Gap():
            return "gap: something was missed"
        case SessionGone():
            what = "deleted"
    return f"{moment(item.at_ms, exact=True)}  {what}".rstrip()
