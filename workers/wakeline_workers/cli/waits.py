"""Commands about what processes wait for: waits, resolve."""

from __future__ import annotations

from dataclasses import asdict

import click
from wakeline import errors
from wakeline.observe.waits import WaitView, waits_of
from wakeline.shown import moment
from wakeline.store import processes
from wakeline.values import MOST

from wakeline_workers.cli.root import Console, command, option, payload

NOT_FIRST = 5


def sentence(wait: dict[str, str | int | None]) -> str:
    """An open wait (as JSON data) in words."""
    name = f" {wait['name']}" if wait["name"] else ""
    due = wait["due_ms"]
    return f"{wait['kind']}{name}" + (f" until {moment(int(due))}" if due is not None else "")


@command("waits")
@option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, MOST),
    help="So many processes, the latest to wait first.",
)
@click.pass_obj
def waits(console: Console, limit: int) -> None:
    """List what waiting processes wait for.

    Signals, timers, children, approvals, and completions of tools that answered "pending".
    """
    rows: list[tuple[str, str, WaitView]] = []
    waiting = console.app.processes("waiting", limit=limit)
    for status in waiting:
        try:
            view = console.app.store.execute(processes.read(status.id, detail=True))
        except (errors.ProcessNotFound, errors.ProcessNoLongerRetained):
            continue  # it ended and went between the two looks
        rows.extend((status.id, status.kind, wait) for wait in waits_of(view))
    cells = [
        (pid, kind, wait.kind, wait.name or "", moment(wait.due_ms) if wait.due_ms is not None else "")
        for pid, kind, wait in rows
    ]
    data = [{"process_id": pid, "process_kind": kind} | asdict(wait) for pid, kind, wait in rows]
    console.table(("ID", "KIND", "WAITS FOR", "NAME", "UNTIL"), cells, data, empty="nothing waits")
    if waiting.more:
        console.cut(limit, of="processes")


@command("resolve")
@click.argument("token")
@click.argument("text", metavar="[JSON]", default="null")
@click.pass_obj
def resolve(console: Console, token: str, text: str) -> int:
    """Answer an approval by its bearer token.

    JSON is the answer, or - for stdin. The first answer stands; a later one exits 5.
    """
    first = console.app.resolve(token, payload("The value", text))
    console.answer({"accepted": first}, *(["accepted"] if first else []))
    if not first:
        console.note("wakeline: This token was answered before, and the first answer stands.")
    return 0 if first else NOT_FIRST
