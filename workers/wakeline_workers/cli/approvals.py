"""Commands about approvals: approvals, answer."""

from __future__ import annotations

import json

import click
from wakeline.shown import moment
from wakeline.values import MOST

from wakeline_workers.cli.root import Console, command, option, payload

NOT_FIRST = 5


@command("approvals")
@option("--after", metavar="CURSOR", help="Go on behind this approval: the cursor of the last one of a page.")
@option("--limit", default=50, show_default=True, type=click.IntRange(1, MOST), help="So many approvals.")
@click.pass_obj
def approvals(console: Console, after: str | None, limit: int) -> None:
    """List approvals that can be answered.

    Those that were asked first come first. No token is shown: `wakeline answer ID` answers one.
    """
    page = console.app.approvals(after, limit)
    cells = [
        (
            view.id,
            view.process_id,
            view.label or view.process_kind,
            view.name,
            "" if view.question is None else _in_a_line(view.question),
            moment(view.since_ms),
            moment(view.due_ms) if view.due_ms is not None else "",
        )
        for view in page
    ]
    data = [view.to_data() for view in page]
    headings = ("ID", "PROCESS", "WHAT", "NAME", "QUESTION", "SINCE", "UNTIL")
    console.table(headings, cells, data, empty="no approval is open")
    if page.more:
        console.cut(limit, f"--after {page[-1].cursor} shows the next")


def _in_a_line(question: object) -> str:
    return question if isinstance(question, str) else json.dumps(question, ensure_ascii=False)


@command("answer")
@click.argument("approval", metavar="ID")
@click.argument("text", metavar="[JSON]", default="null")
@click.pass_obj
def answer(console: Console, approval: str, text: str) -> int:
    """Answer an open approval by the id that `approvals` shows.

    JSON is the answer, or - for stdin. The first answer stands. Exits 3 once the approval is no longer listed, and 5
    where another answer came at the same moment and was first.
    """
    first = console.app.answer(approval, payload("The value", text))
    console.answer({"accepted": first}, *(["accepted"] if first else []))
    if not first:
        console.note("wakeline: This approval was answered before, and the first answer stands.")
    return 0 if first else NOT_FIRST
