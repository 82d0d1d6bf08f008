"""Commands about sessions: sessions, session, send, wakes, why, redrive, skip."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from wakeline import errors
from wakeline.names import split_session_id
from wakeline.pages import Page
from wakeline.sessions.addresses import argument, missing, no_address, readings
from wakeline.shown import moment
from wakeline.values import MOST, to_json

from wakeline_workers.cli.confirming import confirmed_options
from wakeline_workers.cli.files import from_file, text_of
from wakeline_workers.cli.many import Meant
from wakeline_workers.cli.root import Console, command, next_page, option
from wakeline_workers.cli.watching import watched

if TYPE_CHECKING:
    from wakeline.app import App
    from wakeline.client.sessions import Session


@command("sessions")
@option("--limit", default=50, show_default=True, type=click.IntRange(1, MOST))
@option("--after", metavar="CURSOR", help="Go on behind a page: the cursor that it named.")
@watched
@click.pass_obj
def list_sessions(console: Console, limit: int, after: str | None) -> None:
    """List sessions by last activity, latest first."""
    found = console.app.sessions(limit, after=after)
    cells = [(one.id, one.status, str(one.entries), str(one.pending), one.turn or "") for one in found]
    console.table(
        ("SESSION", "STATUS", "ENTRIES", "PENDING", "TURN"),
        cells,
        [one.to_data() for one in found],
        empty="no sessions",
        ids=(4,),
    )
    if found.more:
        console.cut(limit, next_page(found))


@command("send")
@click.argument("session", metavar="AGENT/KEY")
@click.argument("text", required=False)
@option("--key", help="The same key again is the same input.")
@from_file
@click.pass_obj
def send(console: Console, session: str, text: str | None, key: str | None, file: Path | None) -> None:
    """Put a text into a session's inbox.

    TEXT may be - for stdin. The first one creates the session.
    """
    found = text_of("The text", text, file)
    if found is None:
        raise click.UsageError("Missing argument 'TEXT', or --file.")
    agent, name = split_session_id(session)
    console.app.registry.agent(agent)  # a typing error must not make a session without an agent
    body = sys.stdin.read() if text == "-" else found
    entry = console.app.session(agent, name).send(body, key=key)
    console.answer({"session": session, "entry": entry}, f"entry {entry} of {session}")


@command("wakes")
@click.argument("session", metavar="[AGENT/KEY]", required=False)
@option("--undeliverable", is_flag=True, help="Only undeliverable and failed entries.")
@option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, MOST),
    help="The most entries of a session, and the most sessions.",
)
@option("--before", type=click.IntRange(0, MOST), help="The entries of one session before this number.")
@option("--after", metavar="CURSOR", help="Go on behind a page of all sessions: the cursor that it named.")
@watched
@click.pass_obj
def wakes(
    console: Console, session: str | None, undeliverable: bool, limit: int, before: int | None, after: str | None
) -> None:
    """Show why an agent woke, or did not.

    Lists the latest inbox entries, of one session or of all, and what became of them.
    """
    from wakeline.verbs import inbox

    app = console.app
    if session is not None:
        split_session_id(session)
    elif before is not None:
        raise click.UsageError("--before is about the entries of one session: name it.")
    if session is not None and after is not None:
        raise click.UsageError("--after is about all sessions; for one, --before shows earlier entries.")
    # The pages of what came to no good end have cursors of their own, and the first one has what waits in vain too.
    listed = _listed(app, session, limit, after, only_over=undeliverable and after is not None)
    pages = {sid: app.store.run(inbox.wakes(app.caller, sid, after=None, before=before, limit=limit)) for sid in listed}
    found = [entry for page in pages.values() for entry in page]
    over = app.store.run(inbox.undeliverable(limit, session, after)) if undeliverable else None
    if over is not None:
        # Entries that wait in vain, and entries that are over. Those of a deleted session are in no list of sessions.
        found = [*(entry for entry in found if entry.waits is not None), *over]
    cells = [
        (one.session_id, str(one.n), one.kind, one.because or one.state, one.process_id or "", to_json(one.input))
        for one in found
    ]
    data = [entry.to_data() for entry in found]
    headings = ("SESSION", "N", "KIND", "STATE", "PROCESS", "INPUT")
    console.table(headings, cells, data, empty="no entries", keep=2, ids=(4,))
    if listed.more:
        console.cut(limit, next_page(listed) if over is None else "--limit shows more", of="sessions")
    if over is not None and over.more:
        console.cut(limit, next_page(over) if session is None else "--limit shows more")
    for sid, page in pages.items():
        if page.more and (over is None or any(entry.waits is not None for entry in page)):
            way = f"`wakeline wakes {argument(sid)} --before {page[0].n}` shows them"
            console.note(f"wakeline: {sid} has entries before {page[0].n}; {way}")


def _listed(app: App, session: str | None, limit: int, after: str | None, *, only_over: bool) -> Page[str]:
    if session is not None:
        return Page([session])
    if only_over:
        return Page()
    found = app.sessions(limit, after=after)
    return Page([one.id for one in found], more=found.more, following=found.next)


@command("session")
@click.argument("session", metavar="AGENT/KEY")
@option("--create", is_flag=True, help="Create it if it does not exist.")
@option("--delete", is_flag=True, help="Delete it permanently: its id is never used again.")
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
    view = target.inspect()
    data = view.to_data()
    shown = {name: value for name, value in data.items() if value is not None and name not in ("because", "why")}
    lines = [
        f"{name.removesuffix('_ms')}: {moment(value) if name.endswith('_ms') else value}"
        for name, value in shown.items()
    ]
    console.answer(data, *lines, view.why)


@command("redrive")
@click.argument("address", metavar="[AGENT/KEY[#N]]", required=False)
@option(
    "--state", type=click.Choice(["undeliverable", "failed", "blocked"]), help="In place of one: all of this state."
)
@option("--agent", help="In place of one: all of this agent.")
@confirmed_options
@click.pass_obj
def redrive(console: Console, /, address: str | None, state: str | None, agent: str | None, **confirmed: Any) -> int:
    """Offer an entry again that failed or was undeliverable.

    Without a number it is the entry that blocks its session. With --state, --agent or --all it is all of these.
    """
    meant = Meant({name: one for name, one in (("state", state), ("agent", agent)) if one is not None}, **confirmed)
    if meant.instead_of(address, "AGENT/KEY[#N]"):
        act = partial(console.app.many.redrive, state, agent=agent, everything=meant.everything)
        return meant.run(console, "redrive", "offered again", act, noun="entry")
    session, n = _address(console, str(address))
    entry = _session(console, session).redrive(n)
    console.answer({"session": session, "entry": entry}, f"entry {entry} of {session}")
    return 0


@command("skip")
@click.argument("session", metavar="AGENT/KEY")
@click.pass_obj
def skip(console: Console, session: str) -> None:
    """Give up on the entry that blocks a session."""
    entry = _session(console, session).skip()
    console.answer({"session": session, "entry": entry}, f"skipped entry {entry} of {session}")


def _address(console: Console, address: str) -> tuple[str, int | None]:
    """A session, and the number of its entry: the first reading of the address that exists."""
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
        console.app.registry.agent(agent)  # a typing error must not make a session without an agent
    return console.app.session(agent, key)
