"""How a tree of processes is drawn: who belongs to whom, and what is left out."""

from __future__ import annotations

from wakeline.observe import Status, TreeNode, TreeView, WaitView
from wakeline_workers.cli.tables import table
from wakeline_workers.cli.tree import rows_of


def status(pid: str, status: str = "running", error: str | None = None) -> Status:
    return Status(pid, status, "crawl", None, 0, 0, 1, (), None, error=error)


def node(pid: str, *children: TreeNode, more: int = 0, at_least: bool = False, said: str = "running") -> TreeNode:
    return TreeNode(status(pid, said), (), children, more, at_least)


def first_cells(tree: TreeView) -> list[str]:
    return [row[0] for row in rows_of(tree)]


def test_each_process_is_joined_to_the_one_that_started_it() -> None:
    below = node("it", node("a", node("a1"), node("a2")), node("b", node("b1")))
    assert first_cells(TreeView((), None, False, below)) == [
        "it",
        "├─ a",
        "│  ├─ a1",
        "│  └─ a2",
        "└─ b",
        "   └─ b1",
    ]


def test_parents_stand_above_the_process_that_was_asked_for_which_is_marked() -> None:
    tree = TreeView((status("root"), status("mid")), None, False, node("it", node("a")))
    assert first_cells(tree) == ["root", "└─ mid", "   └▶ it", "      └─ a"]


def test_a_parent_that_is_gone_and_one_that_is_too_far_up_are_named() -> None:
    gone = list(rows_of(TreeView((), "old", True, node("it"))))
    assert gone == [("old", "gone", "", "no longer retained"), ("└▶ it", "running", "crawl", "")]
    far = list(rows_of(TreeView((status("p4"),), "p3", False, node("it"))))
    assert far[0] == ("p3", "", "", "and its parents")
    assert [row[0] for row in far] == ["p3", "└─ p4", "   └▶ it"]


def test_what_is_left_out_has_a_row_of_its_own() -> None:
    below = node("it", node("a", more=3), node("b"), more=1998, at_least=True)
    assert first_cells(TreeView((), None, False, below)) == [
        "it",
        "├─ a",
        "│  └─ 3 children",
        "├─ b",
        "└─ and at least 1,998 more",
    ]


def test_the_first_waits_are_named_and_the_others_counted() -> None:
    waits = tuple(WaitView("signal", f"s{n}", None) for n in range(5))
    [row] = rows_of(TreeView((), None, False, TreeNode(status("it", "waiting"), waits, (), 0, False)))
    assert row == ("it", "waiting", "crawl", "signal s0; signal s1; signal s2; and 2 more")


def test_a_failed_one_says_its_error_and_nothing_is_wider_than_80_cells() -> None:
    failed = TreeNode(status("broke", "failed", error="card: " + "no card " * 40), (), (), 0, False)
    rows = list(rows_of(TreeView((), None, False, node("it", failed))))
    assert rows[1][3].startswith("card: no card")
    lines = table(("PROCESS", "STATUS", "KIND", "WAITS FOR, ERROR"), rows, 80).lines
    assert [len(line) for line in lines if len(line) > 80] == []
    assert lines[2].startswith("└─ broke") and lines[2].endswith("…")
