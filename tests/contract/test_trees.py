"""The tree of a process: its parents, its children and what each waits for, within bounds that are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from wakeline.errors import InvalidArguments, ProcessNoLongerRetained, ProcessNotFound
from wakeline.observe import TreeNode, TreeView
from wakeline.store import waits
from wakeline.store.waits import Wait
from wakeline.verbs import processes, trees

if TYPE_CHECKING:
    from tests.contract.conftest import World


def started(world: World, pid: str, parent: str | None = None) -> None:
    """Each a second after the one before."""
    world.clock.advance("1s")
    world.start(pid, kind="external", **({} if parent is None else {"parent": parent}))


def family(world: World, *pairs: str) -> None:
    """A process for each ``parent>child``."""
    for pair in pairs:
        parent, _, child = pair.rpartition(">")
        started(world, child, parent or None)


def of(world: World, pid: str, depth: int = 4, width: int = 12) -> TreeView:
    found: TreeView = world.go(trees.tree(pid, depth=depth, width=width))
    return found


def drawn(node: TreeNode) -> Any:
    """The ids below a node, and how many are not shown."""
    below = [drawn(child) for child in node.children]
    return (node.process.id, below, node.more) if below or node.more else node.process.id


def test_parents_stand_above_and_children_below_the_latest_first(world: World) -> None:
    family(world, "root", "root>mid", "root>beside", "mid>it", "it>a", "it>b", "b>c")
    found = of(world, "it")
    assert [one.id for one in found.parents] == ["root", "mid"]
    assert (found.above, found.above_is_gone) == (None, False)
    assert drawn(found.root) == ("it", [("b", ["c"], 0), "a"], 0)


def test_what_lives_comes_first_then_what_ended_otherwise_than_completed(world: World) -> None:
    family(world, "it", "it>done", "it>lives", "it>broke", "it>lives-too")
    world.finish("done")
    world.go(processes.fail_external("broke", "card", "no card"))
    found = of(world, "it")
    assert drawn(found.root) == ("it", ["lives-too", "lives", "broke", "done"], 0)
    assert found.root.children[2].process.error == "card: no card"


def test_children_beyond_the_width_are_counted(world: World) -> None:
    family(world, "it", *(f"it>k{n:03}" for n in range(300)), "k299>g1", "k299>g2")
    found = of(world, "it", width=2)
    assert drawn(found.root) == ("it", [("k299", ["g2", "g1"], 0), "k298"], 298)
    assert found.root.more_at_least is False


def test_more_than_a_thousand_children_are_counted_to_a_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "COUNTED", 20)
    monkeypatch.setattr(trees, "AT_ONCE", 8)
    family(world, "it", *(f"it>k{n:03}" for n in range(40)))
    found = of(world, "it", width=2)
    assert (len(found.root.children), found.root.more, found.root.more_at_least) == (2, 22, True)


def test_what_is_deeper_is_counted_where_the_depth_ends(world: World) -> None:
    family(world, "it", "it>a", "a>b", "a>b2", "b>c")
    assert drawn(of(world, "it", depth=1).root) == ("it", [("a", [], 2)], 0)
    assert drawn(of(world, "it", depth=0).root) == ("it", [], 1)


def test_all_processes_below_are_bounded_and_each_generation_is_shown_before_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "MOST", 5)
    family(world, "it", "it>a", "it>b", *(f"a>a{n}" for n in range(4)), *(f"b>b{n}" for n in range(4)))
    assert drawn(of(world, "it").root) == ("it", [("b", ["b3", "b2", "b1"], 1), ("a", [], 4)], 0)


def test_a_parent_that_was_pruned_is_named_as_gone(world: World) -> None:
    family(world, "old", "old>it")
    world.finish("old")
    world.clock.advance("8d")
    assert world.tick().pruned == 1
    found = of(world, "it")
    assert (found.parents, found.above, found.above_is_gone) == ((), "old", True)
    with pytest.raises(ProcessNoLongerRetained):
        of(world, "old")


def test_a_long_chain_of_parents_says_who_is_above(world: World) -> None:
    family(world, "p0", *(f"p{n}>p{n + 1}" for n in range(12)))
    found = of(world, "p12")
    assert [one.id for one in found.parents] == ["p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11"]
    assert (found.above, found.above_is_gone) == ("p3", False)


def test_each_waiting_process_has_its_waits_of_every_kind(world: World) -> None:
    fence = world.running("it")
    started(world, "child", "it")
    for slot, kind in (("s1", "s:go"), ("s2", "c:child"), ("s3", "t")):
        world.open(fence, Wait(slot, f"wait-{slot}", slot, kind, 1))
    world.do(waits.park(fence, ["s1", "s2", "s3"], "{}"))
    assert sorted((one.kind, one.name) for one in of(world, "it").root.waits) == [
        ("child", "child"),
        ("signal", "go"),
        ("timer", None),
    ]


def test_a_tree_of_a_process_that_never_was_is_not_found(world: World) -> None:
    with pytest.raises(ProcessNotFound):
        of(world, "never")


@pytest.mark.parametrize(("depth", "width"), [(-1, 1), (17, 1), (1, 0), (1, 257), (True, 1), (1, "2")])
def test_bounds_of_a_tree_are_bounded(world: World, depth: int, width: int) -> None:
    started(world, "it")
    with pytest.raises(InvalidArguments, match="it has to be"):
        of(world, "it", depth, width)
