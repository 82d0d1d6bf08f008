"""Commands about what processes wait for: waits, resolve."""

from __future__ import annotations

import click
from wakeline.observe.waits import WaitView
from wakeline.shown import moment
from wakeline.values import MOST

from wakeline_workers.cli.root import Console, command, option, payload

NOT_FIRST = 5


def sentence(wait: WaitView) -> str:
    """An open wait in words."""
    name = f" {wait.name}" if wait.name else ""
    return f"{wait.kind}{name}{f' until {moment(wait.due_ms)}' if wait.due_ms is not None else ''}"


@command("waits")
@option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, MOST),
    help="The most processes, those that wait latest first.",
)
@click.pass_obj
def waits(console: Console, limit: int) -> None:
    """List what waiting processes wait for.

    Signals, timers, children, approvals, and completions of tools that answered "pending".
    """
    found = console.app.waits(limit)
    cells = [
        (
            wait.process_id,
            wait.process_kind,
            wait.kind,
            wait.name or "",
            moment(wait.due_ms) if wait.due_ms is not None else "",
        )
        for wait in found
    ]
    data = [wait.to_data() for wait in found]
    console.table(("ID", "KIND", "WAITS FOR", "NAME", "UNTIL"), cells, data, empty="nothing waits")
    if found.more:
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
