"""The command that shows what started a process, and what it started: tree.

Invariant: it is bounded. Where something is left out, a row of its own says how much.
"""

from __future__ import annotations

from collections.abc import Iterator

import click
from wakeline.observe.processes import Status
from wakeline.observe.trees import TreeNode, TreeView
from wakeline.observe.waits import WaitView

from wakeline_workers.cli.lookup import complete_process, process_id
from wakeline_workers.cli.processes import awaited, what
from wakeline_workers.cli.root import Console, command, option
from wakeline_workers.cli.waits import sentence
from wakeline_workers.cli.watching import watched

Row = tuple[str, str, str, str]
NAMED = 3
"""How many waits of a process are named; the others are counted."""
BESIDE, LAST, ASKED, PAST, BELOW = "├─ ", "└─ ", "└▶ ", "│  ", "   "
"""How a row is joined to the one that it belongs to: others follow, the last one, the one that was asked for; and what
stands below these."""


@command("tree")
@click.argument("given", metavar="ID", shell_complete=complete_process)
@option("--depth", default=4, show_default=True, type=click.IntRange(0, 16), help="Generations below it.")
@option("--width", default=12, show_default=True, type=click.IntRange(1, 256), help="Children of each process.")
@watched
@click.pass_obj
def tree(console: Console, given: str, depth: int, width: int) -> None:
    """Show a process with its parents and what it started.

    Above it stand its parents up to the first, without their other children. Below it stand its children and what they
    started, each with what it waits for; what lives comes first.
    """
    from wakeline.verbs import trees

    app = console.app
    found = app.run("app.tree", trees.tree(process_id(app, given), depth=depth, width=width))
    headings = ("PROCESS", "STATUS", "KIND", "WAITS FOR, ERROR")
    console.table(headings, list(rows_of(found)), found.to_data(), empty="no processes")
    if any(_counts(found.root)):
        console.note("wakeline: more are counted than shown; --width, --depth, or `wakeline ps --parent ID` list them")


def rows_of(tree: TreeView) -> Iterator[Row]:
    """The tree as rows, each joined to the one above it to which it belongs."""
    joined, below = "", ""
    if tree.above is not None:
        is_gone = tree.above_is_gone
        yield tree.above, "gone" if is_gone else "", "", "no longer retained" if is_gone else "and its parents"
        joined, below = LAST, BELOW
    for parent in tree.parents:
        yield _row(joined, parent, ())
        joined, below = below + LAST, below + BELOW
    yield from _below(tree.root, f"{joined.removesuffix(LAST)}{ASKED}" if joined else "", below)


def _below(node: TreeNode, joined: str, below: str) -> Iterator[Row]:
    yield _row(joined, node.process, node.waits)
    for number, child in enumerate(node.children, 1):
        is_last = number == len(node.children) and not node.more
        yield from _below(child, below + (LAST if is_last else BESIDE), below + (BELOW if is_last else PAST))
    if node.more:
        count = f"{'at least ' if node.more_at_least else ''}{node.more:,}"
        told = f"and {count} more" if node.children else f"{count} {'child' if count == '1' else 'children'}"
        yield f"{below}{LAST}{told}", "", "", ""


def _row(joined: str, process: Status, waits: tuple[WaitView, ...]) -> Row:
    named = [sentence(wait) for wait in waits[:NAMED]]
    if len(waits) > NAMED:
        named.append(f"and {len(waits) - NAMED} more")
    return joined + process.id, process.status, what(process), "; ".join(named) or awaited(process)


def _counts(node: TreeNode) -> Iterator[bool]:
    yield node.more > 0
    for child in node.children:
        yield from _counts(child)
