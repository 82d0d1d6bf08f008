"""Commands about sessions: sessions, session, send, wakes, why, redrive, skip."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from wakeline import errors
from wakeline.names import split_session_id
from wakeline.observe.sessions import status_of
from wakeline.pages import Page, first_of
from wakeline.sessions.addresses import argument, missing, no_address, readings
from wakeline.sessions.life import InboxEntry
from wakeline.shown import moment
from wakeline.store import entries, sessions
from wakeline.store.fields import SessionHead
from wakeline.values import MOST, to_json

from wakeline_workers.cli.root import Console, command, option

if TYPE_CHECKING:
    from wakeline.app import App
    from wakeline.client.sessions import Session


@command("sessions")
@option("--limit", default=50, show_default=True, type=click.IntRange(1, MOST))
@click.pass_obj
def list_sessions(console: Console, limit: int) -> None:
    """List sessions by last activity, latest first."""
    rows = first_of(console.app.store.execute(sessions.list_sessions(limit + 1)), limit)
    data = [_row(sid, SessionHead(head), pending) for sid, head, pending in rows]
    cells = [
        (str(row["id"]), str(row["status"]), str(row["entries"]), str(row["pending"]), str(row["turn"] or ""))
        for row in data
    ]
    console.table(("SESSION", "STATUS", "ENTRIES", "PENDING", "TURN"), cells, data, empty="no sessions")
    if rows.more:
        console.cut(limit)


def _row(sid: str, head: SessionHead, pending: int) -> dict[str, str | int | None]:
    counts = {"entries": head.entries, "pending": pending, "revision": head.revision}
    return {"id": sid, "agent": head.agent, "status": status_of(head), **counts, "turn": head.turn}


@command("send")
@click.argument("session", metavar="AGENT/KEY")
@click.argument("text")
@option("--key", help="The same key again is the same input.")
@click.pass_obj
def send(console: Console, session: str, text: str, key: str | None) -> None:
    """Put a text into a session's inbox.

    TEXT may be - for stdin. The first one creates the session.
    """
    agent, name = split_session_id(session)
    console.app.registry.agent(agent)  # a typing error must not make a session that nobody serves
    body = sys.stdin.read() if text == "-" else text
    entry = console.app.session(agent, name).send(body, key=key)
    console.answer({"session": session, "entry": entry}, f"entry {entry} of {session}")


@command("wakes")
@click.argument("session", metavar="[AGENT/KEY]", required=False)
@option("--undeliverable", is_flag=True, help="Only what came to no good end: undeliverable and failed entries.")
@option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, MOST),
    help="So many entries of a session, and so many sessions.",
)
@option("--before", type=click.IntRange(0, MOST), help="Of one session: the entries before this number.")
@click.pass_obj
def wakes(console: Console, session: str | None, undeliverable: bool, limit: int, before: int | None) -> None:
    """Show why an agent woke, or did not.

    The latest inbox entries, of one session or of all, and what became of them.
    """
    app = console.app
    if session is not None:
        split_session_id(session)
    elif before is not None:
        raise click.UsageError("--before is about the entries of one session: name it.")
    found = (
        [session] if session is not None else [row[0] for row in app.store.execute(sessions.list_sessions(limit + 1))]
    )
    listed = first_of(found, limit)
    pages = {
        sid: app.store.run(app.service.sessions.wakes(sid, after=None, before=before, limit=limit)) for sid in listed
    }
    rows = [row for sid, page in pages.items() for row in _rows(app, sid, page)]
    over = app.store.run(app.service.sessions.undeliverable(limit, session)) if undeliverable else None
    if over is not None:
        # What waits in vain, and what is over; that of a deleted session is in no list of sessions.
        rows = [
            *(row for row in rows if row["state"] == "delivered" and row["reason"]),
            *(_shown(entry, _error(entry)) for entry in over),
        ]
    cells = [
        (
            row["session"],
            str(row["n"]),
            row["kind"],
            row["reason"] or row["state"],
            row["process_id"] or "",
            to_json(row["input"])[:80],
        )
        for row in rows
    ]
    console.table(("SESSION", "N", "KIND", "STATE", "PROCESS", "INPUT"), cells, rows, empty="no entries")
    if listed.more:
        console.cut(limit, of="sessions")
    if over is not None and over.more:
        console.cut(limit)
    for sid, page in pages.items():
        if page.more and over is None:
            console.note(
                f"wakeline: {sid} has entries before {page[0].n}; `wakeline wakes {argument(sid)} --before {page[0].n}`"
                " shows them"
            )


def _rows(app: App, session: str, page: Page[InboxEntry]) -> Iterator[dict[str, Any]]:
    view = app.store.execute(entries.look(session, limit=0))
    agent, waits = view.head.agent, None
    if agent is None and view.head.deleted_ms is None:
        waits = "the session was never opened: send to it, or start something with wake="
    elif agent not in app.registry.agents:
        waits = f"no code here for agent {agent}"
    for entry in page:
        yield _shown(entry, waits if entry.state == "delivered" else _error(entry))


def _error(entry: InboxEntry) -> str | None:
    return f"failed: {entry.error['message']}" if entry.error and "message" in entry.error else entry.reason


def _shown(entry: InboxEntry, reason: str | None) -> dict[str, Any]:
    """An entry as a row; ``reason`` says why nothing good became of it, where that is so."""
    row = asdict(entry)
    return {"session": row.pop("session_id")} | row | {"reason": reason}


@command("session")
@click.argument("session", metavar="AGENT/KEY")
@option("--create", is_flag=True, help="Create it where it does not exist.")
@option("--delete", is_flag=True, help="Delete it, for ever: its id is never used again.")
@click.pass_obj
def session_command(console: Console, session: str, create: bool, delete: bool) -> None:
    """Show, create or delete a session."""
    if create and delete:
        raise click.UsageError("--create and --delete exclude each other.")
    target = _session(console, session, known=create)
    if create:
        target.create()
    if delete:
        done = target.delete()
        told = f"deleted {session}" if done.deleted else f"{session} was not there, or deleted before"
        console.answer({"session": session} | asdict(done), told)
        return
    report = target.inspect()
    said = {
        name.removesuffix("_ms"): moment(value) if name.endswith("_ms") else value
        for name, value in asdict(report).items()
        if value is not None
    }
    lines = [f"{name}: {value}" for name, value in said.items()]
    console.answer(asdict(report) | {"why": target.why()}, *lines, target.why())


@command("why")
@click.argument("address", metavar="AGENT/KEY[#N]|PROCESS#SEQUENCE")
@click.pass_obj
def why(console: Console, address: str) -> None:
    """Say why an agent woke, or did not.

    Of a session, of entry N of it, or of the event of a process that should have woken one.
    """
    told = console.app.why(address)
    console.answer({"address": address, "why": told}, told)


@command("redrive")
@click.argument("address", metavar="AGENT/KEY[#N]")
@click.pass_obj
def redrive(console: Console, address: str) -> None:
    """Offer an entry again that failed or was undeliverable.

    Without a number: the one that blocks its session.
    """
    session, n = _address(console, address)
    entry = _session(console, session).redrive(n)
    console.answer({"session": session, "entry": entry}, f"entry {entry} of {session}")


@command("skip")
@click.argument("session", metavar="AGENT/KEY")
@click.pass_obj
def skip(console: Console, session: str) -> None:
    """Give up on the entry that blocks a session."""
    entry = _session(console, session).skip()
    console.answer({"session": session, "entry": entry}, f"skipped entry {entry} of {session}")


def _address(console: Console, address: str) -> tuple[str, int | None]:
    """A session, and the number of an entry of it: of the readings of an address the first that is there."""
    first: errors.WakelineError | None = None
    for meant in readings(address):
        if meant.session is not None:
            try:
                _session(console, meant.session).why(meant.n)
            except (errors.SessionNotFound, errors.EntryNotFound) as error:
                first = first or error
            else:
                return meant.session, meant.n
    raise missing(address, first or no_address(address))


def _session(console: Console, session: str, *, known: bool = False) -> Session:
    agent, key = split_session_id(session)
    if known:
        console.app.registry.agent(agent)  # a typing error must not make a session that nobody serves
    return console.app.session(agent, key)
