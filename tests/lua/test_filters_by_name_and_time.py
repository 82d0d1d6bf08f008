"""Lists by name, label, beginning of an id and time: what they find, and that a large input costs a list nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from wakeline.errors import InvalidArguments, InvalidDuration, InvalidId, WakelineError
from wakeline.observe.query import ProcessQuery
from wakeline.store import processes, sessions
from wakeline.verbs import looks

from tests.lua.test_filters import NAPS, SETTLED_MS, TOOL, entered, in_pages, listed, many, reads, settle
from tests.lua.world import World
from tests.servers import BACKENDS

SOME: tuple[dict[str, Any], ...] = ({"name": "job"}, {"labels": {"tenant": "acme"}}, {"beginning": "order-"})


def test_a_process_is_found_by_the_name_of_its_engine_or_tool_or_agent(world: World) -> None:
    world.start("engine")
    world.start("other", **NAPS)
    world.start("tool", **TOOL)
    world.do(sessions.send(world.session("bot/1"), '{"kind":"input","input":"hello"}'))
    [turn] = listed(world, name="bot")
    for _ in range(2):
        assert [listed(world, name=name) for name in ("job", "naps", "add", "none")] == [
            ["engine"],
            ["other"],
            ["tool"],
            [],
        ]
        assert listed(world, name="bot", kind="session_turn") == [turn]
        settle(world, of="n")
    assert entered(world)["queued:n:add"] == ["tool"]


def test_a_process_is_found_by_all_of_the_labels_that_are_asked_for(world: World) -> None:
    world.start("a", labels={"tenant": "acme", "tier": "gold"})
    world.start("b", labels={"tenant": "acme"})
    world.start("c", labels={"tenant": 'a "quoted" } name'})
    world.start("d")
    for _ in range(2):
        assert listed(world, labels={"tenant": "acme"}) == ["b", "a"]
        assert listed(world, labels={"tenant": "acme", "tier": "gold"}) == ["a"]
        assert listed(world, labels={"tenant": 'a "quoted" } name'}) == ["c"]
        assert listed(world, labels={"tier": "acme"}) == []
        settle(world, of="l")
    assert entered(world)["queued:l:tier=gold"] == ["a"]


def test_a_process_is_found_by_the_beginning_of_its_id(world: World) -> None:
    for pid in ("order-17", "order-1", "orders", "refund-1"):
        world.start(pid)
    for _ in range(2):
        assert listed(world, beginning="order-") == ["order-17", "order-1"]
        assert listed(world, beginning="order-17") == ["order-17"]
        assert listed(world, beginning="refund-2") == []
        settle(world, of="i")
    assert entered(world)["queued:i:order-"] == ["order-1", "order-17"]


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
@pytest.mark.parametrize(
    ("pid", "index"),
    [("abcdeë-1", "abcde"), ("abc日本語-1", "abc日"), ("ab🦊🦊🦊🦊🦊-1", "ab🦊"), ("日本の注文-1", "日本")],
)
def test_an_index_of_beginnings_holds_no_half_of_a_character(world: World, pid: str, index: str) -> None:
    world.start(pid)
    for _ in range(2):
        assert listed(world, beginning=pid[:6]) == [pid]
        assert listed(world) == [pid]
        settle(world, of="i")
    assert entered(world)[f"queued:i:{index}"] == [pid]


def test_a_list_of_a_time_has_what_came_to_its_status_then_both_bounds_included(world: World) -> None:
    began = world.now()
    for n in range(6):
        world.start(f"p{n}", kind="external")
        world.pass_ms(1_000)
    at = [datetime.fromtimestamp((began + 1_000 * n) / 1000, UTC) for n in range(6)]
    for _ in range(2):
        assert listed(world, since=at[2], until=at[4]) == ["p4", "p3", "p2"]
        assert listed(world, since=at[5]) == ["p5"]
        assert listed(world, until=at[0]) == ["p0"]
        assert listed(world, until=at[0], kind="external") == ["p0"]
        assert listed(world, since=at[1], until=at[2], kind="external") == ["p2", "p1"]
        world.pass_ms(SETTLED_MS)
        settle(world, of="k")
    ago = world.now() - began
    assert listed(world, since=(ago - 3_000) / 1000) == ["p5", "p4", "p3"]
    assert listed(world, since=f"{ago - 2_000}ms", until=f"{ago - 3_000}ms") == ["p3", "p2"]
    assert list(in_pages(world, 2, since=at[1], until=at[4])) == [["p4", "p3"], ["p2", "p1"]]


def test_an_ended_process_is_found_by_the_time_of_its_end(world: World) -> None:
    world.start("p", kind="external")
    world.pass_ms(60_000)
    world.finish("p")
    world.pass_ms(1_000)
    assert listed(world, "completed", since="2s") == ["p"]
    assert listed(world, "completed", until="30s") == []


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
@pytest.mark.parametrize("by", SOME, ids=lambda by: next(iter(by)))
def test_a_list_that_looks_at_many_in_vain_is_a_single_call_the_next_time(world: World, by: dict[str, Any]) -> None:
    world.start("order-1", labels={"tenant": "acme"})
    world.pass_ms(1)
    many(world, 300)
    world.pass_ms(SETTLED_MS)
    assert listed(world, **by) == ["order-1"]
    world.pass_ms(SETTLED_MS)
    settle(world, of="nli")
    found, page = reads(world, **by)
    assert (found, page.score) == (["order-1"], "")


def test_a_list_brings_no_long_input_and_says_of_its_process_what_it_says_of_others(world: World) -> None:
    """The payload has the words that end an input in the text of a registration."""
    tricky = {"x": {"y": {}, "identity": {"kind": "no"}}, "fill": "z" * 20_000}
    world.start("long", input={"type": "engine", "kind": "job", "payload": tricky}, labels={"tenant": "acme"})
    world.start("short", labels={"tenant": "acme"})
    page = world.do(processes.list_page(["queued"]))
    shown = [
        (row.process_id, row.registration.identity, row.registration.labels, row.registration.unknown)
        for row in page.rows
    ]
    assert shown == [("short", *shown[1][1:]), ("long", *shown[0][1:])]
    assert all(len(row.registration.text) < 2_000 for row in page.rows)


def test_a_status_brings_no_long_input(world: World) -> None:
    world.start("p", input={"type": "engine", "kind": "job", "payload": {"fill": "z" * 20_000}})
    stored = world.do(processes.read("p", brief=True))
    assert len(stored.registration.text) < 2_000
    assert stored.registration.identity == world.do(processes.read("p")).registration.identity


@pytest.mark.parametrize(
    ("by", "error"),
    [
        ({"status": "asleep"}, InvalidArguments),
        ({"name": ""}, InvalidId),
        ({"labels": {}}, InvalidArguments),
        ({"labels": {"a": ""}}, InvalidArguments),
        ({"labels": {"a": 1}}, InvalidArguments),
        ({"labels": "a=b"}, InvalidArguments),
        ({"beginning": "order"}, InvalidArguments),
        ({"beginning": 7_000_000}, InvalidArguments),
        ({"since": datetime(2026, 12, 1)}, InvalidArguments),  # noqa: DTZ001 - it has no zone
        ({"since": "yesterday"}, InvalidDuration),
        ({"since": -1}, InvalidDuration),
        ({"since": []}, InvalidArguments),
        ({"since": "1h", "until": "2h"}, InvalidArguments),
        ({"since": datetime(2026, 12, 2, tzinfo=UTC), "until": datetime(2026, 12, 1, tzinfo=UTC)}, InvalidArguments),
    ],
)
def test_a_filter_that_means_nothing_is_refused_before_anything_is_sent(
    by: dict[str, Any], error: type[WakelineError]
) -> None:
    with pytest.raises(error):
        next(looks.listed(ProcessQuery(**by), limit=1))
