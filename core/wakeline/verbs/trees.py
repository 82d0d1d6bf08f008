"""The tree of a process: its parents up to the first, and its children below it.

Invariant: it only looks, and its cost is bounded, however many children there are. What is left out is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from wakeline.errors import ProcessNoLongerRetained, ProcessNotFound
from wakeline.observe.processes import LIVE, Status, status_of
from wakeline.observe.trees import TreeNode, TreeView
from wakeline.observe.waits import WaitView, waits_of
from wakeline.store import choices, processes
from wakeline.store.calls import Program
from wakeline.store.choices import CountPage
from wakeline.store.processes import StoredProcess
from wakeline.values import check_number
from wakeline.verbs import looks

ABOVE = 8
"""How many parents, one of the other, are shown."""
DEEPEST, WIDEST = 16, 256
MOST = 256
"""How many processes are shown below the one that was asked for."""
COUNTED = 1_000
"""To how many the children of a process that are not shown are counted, and some more."""
AT_ONCE = 256
ORDER: Sequence[str] = (*LIVE, "failed", "abandoned", "cancelled", "completed")
"""What an operator looks for first: what lives, then what ended as it should not."""


@dataclass(slots=True)
class _Node:
    """A process on the way to its place in the tree."""

    process: Status
    waits: tuple[WaitView, ...] = ()
    children: list[_Node] = field(default_factory=list["_Node"])
    more: int = 0
    more_at_least: bool = False

    def done(self) -> TreeNode:
        below = tuple(child.done() for child in self.children)
        return TreeNode(self.process, self.waits, below, self.more, self.more_at_least)


def tree(process_id: str, *, depth: int, width: int) -> Program[TreeView]:
    """A process, its parents up to the eighth, and below it ``depth`` generations with ``width`` children of each, 256
    processes in all. Raises `ProcessNotFound`, `ProcessNoLongerRetained`, `InvalidArguments`."""
    check_number("depth", depth, least=0, most=DEEPEST)
    check_number("width", width, most=WIDEST)
    stored: StoredProcess = yield processes.read(process_id, detail=True, brief=True)
    [process] = yield from looks.held_up_by_queues([(status_of(stored, stored.now_ms), stored.registration.queue)])
    root = _Node(process, tuple(waits_of(stored)) if process.status == "waiting" else ())
    parents, above, is_gone = yield from _parents(stored.registration.parent)
    yield from _grow(root, depth, width)
    return TreeView(tuple(parents), above, is_gone, root.done())


def _parents(parent: str | None) -> Program[tuple[list[Status], str | None, bool]]:
    """The parents, the first one first; who is above them; and whether that one is gone."""
    found: list[Status] = []
    while parent is not None and len(found) < ABOVE:
        try:
            stored: StoredProcess = yield processes.read(parent, brief=True)
        except (ProcessNotFound, ProcessNoLongerRetained):
            return found, parent, True
        found.insert(0, status_of(stored, stored.now_ms))
        parent = stored.registration.parent
    return found, parent, False


def _grow(root: _Node, depth: int, width: int) -> Program[None]:
    """Puts the children below, one generation after the other, so that a wide one does not take all the room of those
    beside it."""
    room, generation = MOST, [root]
    for below in range(depth + 1):
        last, following = below == depth, list[_Node]()
        for node in generation:
            found = yield from looks.rows(ORDER, {"parent": node.process.id}, limit=0 if last else min(width, room))
            for status in found:
                child = _Node(status)
                if status.status == "waiting":
                    child.waits = yield from _waits(status.id)
                node.children.append(child)
            room -= len(found)
            following += node.children
            if found.more:
                counted, is_all = yield from _count(node.process.id)
                node.more, node.more_at_least = max(1, counted - len(found)), not is_all
        generation = following


def _waits(process_id: str) -> Program[tuple[WaitView, ...]]:
    with suppress(ProcessNotFound, ProcessNoLongerRetained):  # it ended and was pruned between the two looks
        stored: StoredProcess = yield processes.read(process_id, detail=True, brief=True)
        return tuple(waits_of(stored))
    return ()


def _count(parent: str) -> Program[tuple[int, bool]]:
    """How many children a process has, and whether that is all of them."""
    counted, statuses, score, member = 0, ORDER, "+inf", ""
    while counted < COUNTED:
        page: CountPage = yield choices.count(statuses, limit=AT_ONCE, score=score, member=member, parent=parent)
        counted += page.found
        if not page.score:
            return counted, True
        statuses, score, member = statuses[page.done :], page.score, page.member
    return counted, False
