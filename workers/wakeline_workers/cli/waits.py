"""Commands about what processes wait for: waits, resolve."""

from __future__ import annotations

import click
from wakeline.errors import TokenUsed
from wakeline.observe.waits import WaitView
from wakeline.shown import moment
from wakeline.values import MOST

from wakeline_workers.cli.root import Console, command, next_page, option, payload, saying_that_none_was_given
from wakeline_workers.cli.watching import watched


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
@option("--after", metavar="CURSOR", help="Go on behind a page: the cursor that it named.")
@watched
@click.pass_obj
def waits(console: Console, limit: int, after: str | None) -> None:
    """List what waiting processes wait for.

    Signals, timers, children, approvals, and completions of tools that answered "pending".
    """
    found = console.app.waits(limit, after=after)
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
        console.cut(limit, next_page(found), of="processes")


@command("resolve")
@click.argument("token")
@click.argument("text", metavar="[JSON]", required=False)
@click.pass_obj
def resolve(console: Console, token: str, text: str | None) -> None:
    """Answer an approval by its bearer token.

    JSON is the answer, null unless given, or - for stdin. The first answer stands; a later one exits 5.
    """
    with saying_that_none_was_given(text):
        first = console.app.resolve(token, payload("The value", text if text is not None else "null"))
    if not first:
        raise TokenUsed()
    console.answer({"accepted": True}, "accepted")
