"""journal_list: what a process has recorded, read a part at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wakeline.errors import ProcessNotFound
from wakeline.store import claims, journal
from wakeline.store.journal import RecordedKey, Row

from tests.lua.world import World

BIG = "x" * 100_000


def row(n: int, outcome: Any = 1, **over: Any) -> str:
    return json.dumps(
        {"n": n, "o": outcome, "k": "step", "h": "0f", "at": 5, "f": f"s{n}"} | over, separators=(",", ":")
    )


def all_keys(world: World, pid: str = "p") -> list[RecordedKey]:
    """All keys, and that no part of them was larger than a script may touch."""
    found: dict[str, RecordedKey] = {}
    cursor = "0"
    while True:
        cursor, keys = world.do(journal.list_keys(pid, cursor))
        assert len(keys) <= 600
        found |= {one.key: one for one in keys}
        if cursor == "0":
            return sorted(found.values(), key=lambda one: one.n)


def test_every_key_comes_with_the_number_and_the_kind_of_its_row_and_marks_of_the_run_do_not(world: World) -> None:
    fence = world.running()
    world.do(journal.record(fence, [Row("b", row(2, k="tool_call")), Row("a", row(1)), Row("@gone:a", "12")]))
    assert all_keys(world) == [RecordedKey("a", 1, "step", "0f"), RecordedKey("b", 2, "tool_call", "0f")]


def test_a_long_journal_is_read_in_parts(world: World) -> None:
    fence = world.running()
    for first in range(1, 1_201, 200):
        world.do(journal.record(fence, [Row(f"key-{n}", row(n)) for n in range(first, first + 200)]))
    assert [one.n for one in all_keys(world)] == list(range(1, 1_201))


def test_rows_come_in_the_order_asked_for_and_one_that_is_gone_is_empty(world: World) -> None:
    fence = world.running()
    world.do(journal.record(fence, [Row("a", row(1)), Row("b", row(2))]))
    read = world.do(journal.list_rows("p", ["b", "gone", "a"]))
    assert [(one.key, one.text, one.sizes) for one in read] == [("b", row(2), ()), ("gone", "", ()), ("a", row(1), ())]


def test_a_reply_holds_as_many_rows_as_fit_and_one_at_least(world: World) -> None:
    fence = world.running()
    rows = [Row(f"k{n}", row(n, "x" * 30_000)) for n in range(1, 5)]
    world.do(journal.record(fence, rows))
    keys = [one.key for one in rows]
    assert [one.key for one in world.do(journal.list_rows("p", keys))] == ["k1", "k2"]
    assert [one.key for one in world.do(journal.list_rows("p", keys[2:]))] == ["k3", "k4"]


def test_a_large_outcome_stays_where_it_is_and_its_size_is_told(world: World) -> None:
    fence = world.running()
    world.do(journal.record(fence, [Row("a", row(7, {"picture": BIG}))]))
    assert all_keys(world) == [RecordedKey("a", 7, "step", "0f")]
    [read] = world.do(journal.list_rows("p", ["a"]))
    kept = json.loads(read.text)
    assert (len(read.text) < 200, kept["n"], kept["f"], list(kept["o"])) == (True, 7, "s7", ["__claim__"])
    assert read.sizes == (len(json.dumps({"picture": BIG}, separators=(",", ":"))),)


def test_a_run_is_given_the_whole_row_as_it_was_recorded(world: World) -> None:
    fence = world.running()
    texts = {
        "large": row(1, {"picture": BIG}, e=["a", 1.5, None]),
        "failed": '{"n":2,"x":{"code":"c","message":"' + BIG + '"},"k":"step","h":"0f","at":5,"f":"s2"}',
        "marked": row(3, {"__claim__": "sha256:" + "0" * 64}),
        "no parts": json.dumps({"outcome": BIG}, separators=(",", ":")),
        "no object": json.dumps([BIG]),
        "long name": row(4, f=BIG),
        "short": row(5),
    }
    world.do(journal.record(fence, [Row(key, text) for key, text in texts.items()]))
    assert world.do(journal.read_journal(fence))[0] == texts
    stored = world.journal()
    assert stored["short"] == texts["short"]
    assert {key: len(text) < 300 for key, text in stored.items()} == dict.fromkeys(texts, True)
    assert [stored[key].startswith('{"__claim__"') for key in ("no parts", "no object", "long name")] == [True] * 3
    assert [stored[key].startswith('{"n":') for key in ("large", "failed", "marked")] == [True] * 3


def test_another_owner_claims_a_large_row_whole(world: World) -> None:
    fence = world.running()
    text = row(1, {"picture": BIG})
    world.do(journal.record(fence, [Row("a", text)]))
    world.lose()
    world.worker("o2")
    [claim] = world.take("o2")
    assert world.store.run(claims.made_whole(world.store.blobs, claim)).journal == {"a": text}


def test_a_process_that_is_not_there_is_an_error(world: World) -> None:
    with pytest.raises(ProcessNotFound):
        world.do(journal.list_keys("nobody"))
    with pytest.raises(ProcessNotFound):
        world.do(journal.list_rows("nobody", ["a"]))
    world.start()
    assert all_keys(world) == []
