"""A signal that a release renames: a sender reaches the process under either name, whichever release started
it and waits for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from wakeline import AsyncCtx, Ctx, Signal
from wakeline.app import App
from wakeline.errors import BodyInvalid, InvalidId, PayloadSchemaMismatch, ReplayConflict, UndeclaredEvent

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World


def old(world: World, *, declared: bool = True) -> App:
    """The release before: the signal is ``verdict``."""
    release = app_of(world)

    @release.engine(signals={"verdict": bool, "tick": int} if declared else None)
    def order(ctx: Ctx) -> list[Any]:
        return [ctx.wait("verdict", bool), ctx.wait("verdict", bool)]

    return release


def new(world: World) -> App:
    """The release that calls it ``decision``."""
    release = app_of(world)

    @release.engine(signals={"decision": Signal(bool, was=["verdict"]), "tick": int})
    def order(ctx: Ctx) -> list[Any]:
        return [ctx.wait("decision"), ctx.wait("decision")]

    return release


def started(release: App) -> None:
    release.using(id="p").start(release.registry.engines["order"])


def result(world: World) -> Any:
    assert world.status() == "completed"
    return json.loads(world.log()[-1].payload)["await_output"]["value"]


STARTERS = {
    "the old release": old,
    "the new release": new,
    "the old release, without a declaration": lambda world: old(world, declared=False),
}


@pytest.mark.parametrize("waits", ["old", "new"])
@pytest.mark.parametrize("starter", STARTERS)
def test_a_wait_is_answered_under_either_name(world: World, starter: str, waits: str) -> None:
    before, after = old(world), new(world)
    started(STARTERS[starter](world))
    work(world, {"old": before, "new": after}[waits])
    assert world.status() == "waiting"
    before.handle("p").signal("verdict", True)
    after.handle("p").signal("decision", False)
    work(world, {"old": before, "new": after}[waits], "w_2")
    assert result(world) == [True, False]


@pytest.mark.parametrize("waits", ["old", "new"])
@pytest.mark.parametrize("starter", STARTERS)
def test_what_came_before_anything_waited_is_taken_under_either_name_in_the_order_of_sending(
    world: World, starter: str, waits: str
) -> None:
    before, after = old(world), new(world)
    started(STARTERS[starter](world))
    after.handle("p").signal("decision", True)
    before.handle("p").signal("verdict", False)
    work(world, {"old": before, "new": after}[waits])
    assert result(world) == [True, False]


def test_a_sender_without_either_code_reaches_a_process_of_the_new_release_by_the_old_name(world: World) -> None:
    started(new(world))
    app_of(world).handle("p").signal("verdict", True)
    work(world, new(world))
    app_of(world).handle("p").signal("verdict", False)
    work(world, new(world))
    assert result(world) == [True, False]


def test_a_sender_that_knows_only_the_old_name_reaches_the_wait_of_a_process_that_does_not_declare_it(
    world: World,
) -> None:
    before, release = app_of(world), app_of(world)

    @release.engine(signals={"decision": bool})
    def order(ctx: Ctx) -> bool:
        return ctx.wait("decision", bool, was="verdict")

    started(release)
    with pytest.raises(UndeclaredEvent):
        before.handle("p").signal("verdict", True)
    work(world, release)
    before.handle("p").signal("verdict", True)
    work(world, release)
    assert result(world) is True


def test_the_same_key_under_either_name_is_the_same_signal(world: World) -> None:
    before, after = old(world), new(world)
    started(after)
    first = after.handle("p").signal("decision", True, key="click-1")
    assert before.handle("p").signal("verdict", True, key="click-1") == first
    second = before.handle("p").signal("verdict", False, key="click-2")
    assert after.handle("p").signal("decision", False, key="click-2") == second
    with pytest.raises(ReplayConflict):
        after.handle("p").signal("decision", True, key="click-2")
    work(world, after)
    assert result(world) == [True, False]


def test_it_has_its_type_under_either_name(world: World) -> None:
    started(new(world))
    for name in ("decision", "verdict"):
        with pytest.raises(PayloadSchemaMismatch, match="boolean"):
            new(world).handle("p").signal(name, "perhaps")


def test_a_rename_of_a_rename_is_found_by_all_three_names(world: World) -> None:
    release = app_of(world)

    @release.engine(signals={"choice": Signal(int, was=["verdict", "decision"])})
    def order(ctx: Ctx) -> list[int]:
        return [ctx.wait("choice", int) for _ in range(4)]

    started(release)
    for n, name in enumerate(("decision", "verdict", "choice")):
        app_of(world).handle("p").signal(name, n)
    work(world, release)
    app_of(world).handle("p").signal("verdict", 3)
    work(world, release)
    assert result(world) == [0, 1, 2, 3]


def sending(world: World, name: str) -> App:
    """A release whose body sends the signal under this name, parks, and sends it once more."""
    release = old(world) if name == "verdict" else new(world)

    @release.engine(signals={"go": bool})
    def clerk(ctx: Ctx) -> None:
        ctx.signal("p", name, True)
        ctx.wait("go")
        ctx.signal("p", name, True)

    return release


@pytest.mark.parametrize("starter", STARTERS)
def test_a_body_that_has_sent_it_under_the_old_name_has_sent_it(world: World, starter: str) -> None:
    before, after = sending(world, "verdict"), sending(world, "decision")
    before.using(id="clerk").start(before.registry.engines["clerk"])
    started(STARTERS[starter](world))
    work(world, before)
    before.handle("clerk").signal("go", True)
    work(world, after, "w_2")
    assert world.status("clerk") == "completed"
    assert result(world) == [True, True]
    assert len([event for event in world.log() if event.type.startswith("signal.")]) == 2


def test_a_body_of_the_new_release_reaches_the_wait_that_the_old_one_opened(world: World) -> None:
    started(old(world))
    work(world, old(world))
    after = sending(world, "decision")
    after.using(id="clerk").start(after.registry.engines["clerk"])
    work(world, after, "w_2")
    after.handle("clerk").signal("go", True)
    work(world, after, "w_2")
    assert result(world) == [True, True]


def test_the_low_level_wait_has_the_names_of_the_declaration_too(world: World) -> None:
    release = app_of(world)

    @release.engine(signals={"decision": Signal(bool, was=["verdict"])})
    async def order(ctx: AsyncCtx) -> Any:
        return await ctx.execution.await_process_signal_event(ctx.id, "decision", 1)

    started(release)
    work(world, release)
    app_of(world).handle("p").signal("verdict", True)
    work(world, release)
    assert result(world) is True


def test_lists_find_the_process_by_either_name(world: World) -> None:
    started(new(world))
    work(world, new(world))
    assert [[row.id for row in new(world).processes(waiting=name)] for name in ("decision", "verdict", "tick")] == [
        ["p"],
        ["p"],
        [],
    ]


def test_an_old_name_belongs_to_one_signal(world: World) -> None:
    release = app_of(world)
    wrong: list[dict[str, Any]] = [
        {"a": Signal(int, was="b"), "b": int},
        {"a": Signal(int, was="c"), "b": Signal(int, was=["c"])},
    ]
    for signals in wrong:
        with pytest.raises(BodyInvalid, match="another signal"):
            release.engine(name="order", signals=signals)(_nothing)
    with pytest.raises(InvalidId):
        release.engine(name="order", signals={"a": Signal(int, was="a")})(_nothing)


def _nothing(ctx: Ctx) -> None:
    """Ends at once."""
