"""Commands about approvals: approvals, answer."""

from __future__ import annotations

import json

import click
from wakeline.errors import ApprovalAnswered
from wakeline.shown import moment
from wakeline.values import MOST

from wakeline_workers.cli.root import Console, command, next_page, option, payload, saying_that_none_was_given
from wakeline_workers.cli.watching import watched


@command("approvals")
@option("--after", metavar="CURSOR", help="Go on behind this approval: the cursor of the last one of a page.")
@option("--limit", default=50, show_default=True, type=click.IntRange(1, MOST), help="So many approvals.")
@watched
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
    console.table(headings, cells, data, empty="no approval is open", ids=(1,))
    if page.more:
        console.cut(limit, next_page(page))


def _in_a_line(question: object) -> str:
    return question if isinstance(question, str) else json.dumps(question, ensure_ascii=False)


@command("answer")
@click.argument("approval", metavar="ID")
@click.argument("text", metavar="[JSON]", required=False)
@click.pass_obj
def answer(console: Console, approval: str, text: str | None) -> None:
    """Answer an open approval by the id that `approvals` shows.

    JSON is the answer, null unless given, or - for stdin. The first answer stands: a later one exits 5. Exits 3 for an
    approval that cannot be answered any more.
    """
    with saying_that_none_was_given(text):
        first = console.app.answer(approval, payload("The value", text if text is not None else "null"))
    if not first:
        raise ApprovalAnswered(approval=approval, answered_at_ms=None)
    console.answer({"accepted": True}, "accepted")
