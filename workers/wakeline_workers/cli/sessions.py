"""Commands about sessions: sessions, send, wakes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import click
from wakeline.app import App
from wakeline.names import split_session_id
from wakeline.store import sessions
from wakeline.store.sessions import SessionView
from wakeline.values import from_json, to_json

from wakeline_workers.cli.root import Console, command, option


@command("sessions")
@option("--limit", default=50, show_default=True, type=click.IntRange(1))
@click.pass_obj
def list_sessions(console: Console, limit: int) -> None:
    """List sessions by last activity, latest first."""
    rows = console.app.store.execute(sessions.list_sessions(limit))
    data = [_session(sid, head, pending) for sid, head, pending in rows]
    cells = [(str(row["id"]), str(row["entries"]), str(row["pending"]), str(row["turn"] or "")) for row in data]
    console.table(("SESSION", "ENTRIES", "PENDING", "TURN"), cells, data, empty="no sessions")


def _session(sid: str, head: Mapping[str, str], pending: int) -> dict[str, str | int | None]:
    counts = {"entries": int(head.get("n", "0")), "pending": pending, "revision": int(head.get("rev", "0"))}
    # Without an agent only wakes were addressed to it so far; nobody opened it.
    return {"id": sid, "agent": head.get("ag"), **counts, "turn": head.get("turn")}


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


@dataclass(frozen=True, slots=True)
class WakeRow:
    """An inbox entry and what became of it; ``reason`` says why it is undeliverable, where it is."""

    session: str
    n: int
    kind: str
    state: str
    turn: str | None
    process_id: str | None
    event_type: str | None
    swallowed: int
    at_ms: int | None
    reason: str | None
    input: Any


@command("wakes")
@click.argument("session", metavar="[AGENT/KEY]", required=False)
@option("--undeliverable", is_flag=True, help="Only what no turn can take.")
@option("--limit", default=50, show_default=True, type=click.IntRange(1), help="So many entries of a session, and so many sessions.")
@click.pass_obj
def wakes(console: Console, session: str | None, undeliverable: bool, limit: int) -> None:
    """Show why an agent woke, or did not.

    The latest inbox entries, of one session or of all, and what became of them.
    """
    app = console.app
    if session is not None:
        split_session_id(session)
    wanted = [session] if session is not None else [row[0] for row in app.store.execute(sessions.list_sessions(limit))]
    rows = [row for sid in wanted for row in _rows(app, app.store.execute(sessions.read(sid, count=0, entries=limit)))]
    shown = [row for row in rows if row.reason is not None] if undeliverable else rows
    cells = [(row.session, str(row.n), row.kind, row.reason or row.state, row.process_id or "", to_json(row.input)[:80]) for row in shown]
    console.table(("SESSION", "N", "KIND", "STATE", "PROCESS", "INPUT"), cells, [asdict(row) for row in shown], empty="no entries")


def _rows(app: App, view: SessionView) -> Iterator[WakeRow]:
    agent = view.head.get("ag")
    for entry in view.entries:
        body = from_json(entry.body)
        state, _, rest = entry.state.partition(" ")
        # "admitted|settled|failed <turn> <ms>"; "undeliverable <reason>"
        reason = rest or "undeliverable" if state == "undeliverable" else None
        if state == "delivered" and agent is None:
            reason = "the session was never opened: send to it, or start something with wake="
        elif state == "delivered" and agent not in app.registry.agents:
            reason = f"no code here for agent {agent}"
        yield WakeRow(
            session=view.session_id,
            n=entry.n,
            kind=body["kind"],
            state=state,
            turn=rest.split(" ")[0] if state in ("admitted", "settled", "failed") and rest else None,
            process_id=body.get("process_id"),
            event_type=body.get("event_type"),
            swallowed=entry.swallowed,
            at_ms=body.get("at_ms"),
            reason=reason,
            input=body.get("input"),
        )
