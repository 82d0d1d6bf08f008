"""``handle.children()``: the processes that a process started itself, in pages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from wakeline.app import App
from wakeline.body.context import AsyncCtx
from wakeline.errors import InvalidArguments, ProcessNoLongerRetained, ProcessNotFound

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World


@pytest.fixture
def app(world: World) -> App:
    return app_of(world)


def family(world: World) -> None:
    """``p`` started c1 to c5, a second apart; c1 started a child itself, and ``other`` has one, too."""
    for pid in ("p", "other"):
        world.start(pid, kind="external")
    for pid, parent in [("c1", "p"), ("g1", "c1"), ("c2", "p"), ("c3", "p"), ("o1", "other"), ("c4", "p"), ("c5", "p")]:
        world.clock.advance("1s")
        world.start(pid, kind="external", parent=parent)


def test_its_own_children_come_newest_first_and_no_grandchild(world: World, app: App) -> None:
    family(world)
    found = app.handle("p").children()
    assert [(one.id, one.status) for one in found] == [
        ("c5", "running"),
        ("c4", "running"),
        ("c3", "running"),
        ("c2", "running"),
        ("c1", "running"),
    ]
    assert (found.more, found.next) == (False, None)


def test_pages_of_children_follow_each_other_and_leave_none_out(world: World, app: App) -> None:
    family(world)
    world.finish("c4")
    pages = [app.handle("p").children(limit=2)]
    while pages[-1].more:
        pages.append(app.handle("p").children(limit=2, after=pages[-1].next))
    assert [[one.id for one in page] for page in pages] == [["c5", "c3"], ["c2", "c1"], ["c4"]]


def test_children_are_narrowed_by_the_words_for_statuses(world: World, app: App) -> None:
    family(world)
    world.finish("c2")
    of = app.handle("p").children
    assert [one.id for one in of("completed")] == ["c2"]
    assert [one.id for one in of("live")] == ["c5", "c4", "c3", "c1"]
    assert [one.id for one in of("failed")] == []
    with pytest.raises(InvalidArguments, match="status is live, any, or one of"):
        of("asleep")


def test_a_process_that_started_none_has_an_empty_page(world: World, app: App) -> None:
    world.start("alone", kind="external")
    found = app.handle("alone").children()
    assert (list(found), found.more, found.next) == ([], False, None)


def test_children_of_a_process_that_never_was_are_not_found(app: App) -> None:
    with pytest.raises(ProcessNotFound):
        app.handle("never").children()


def test_children_of_a_pruned_process_say_so_also_while_some_of_them_live(world: World, app: App) -> None:
    world.start("p", kind="external")
    world.start("child", kind="external", parent="p")
    world.finish("p")
    world.clock.advance("8d")
    assert world.tick().pruned == 1
    with pytest.raises(ProcessNoLongerRetained):
        app.handle("p").children()
    assert [one.id for one in app.processes(parent="p")] == ["child"]


@pytest.mark.parametrize("after", ["", "c3", "1700000000000:c3", "running:c3", "asleep:1:c3", "running:x:c3", 3])
def test_a_cursor_of_another_list_is_refused(world: World, app: App, after: str) -> None:
    family(world)
    with pytest.raises(InvalidArguments, match=r"is no place in the list; give the \.next of a page"):
        app.handle("p").children(after=after)


def test_children_of_a_body_are_those_that_it_started_and_the_awaited_verb_gives_the_same(
    world: World, app: App
) -> None:
    @app.tool(name="one")
    def one() -> int:
        return 1

    @app.engine(name="parent")
    async def parent(ctx: AsyncCtx) -> int:
        first = await ctx.using(id="kid-1").start(one)
        second = await ctx.using(id="kid-2").start(one)
        return await first + await second

    app.using(id="p").start(parent)
    work(world, app)

    async def awaited() -> list[tuple[str, str]]:
        try:
            return [(kid.id, kid.status) for kid in await app.aio.handle("p").children("completed", limit=5)]
        finally:
            await app.aio.close()

    assert sorted(asyncio.run(awaited())) == [("kid-1", "completed"), ("kid-2", "completed")]
    assert sorted(kid.id for kid in app.handle("p").children()) == ["kid-1", "kid-2"]
