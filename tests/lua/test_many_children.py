"""A look at a process with many children and waits shows the first of them in order, and says how many there are; all
of its children are listed in pages."""

from __future__ import annotations

import pytest
from wakeline.observe.processes import process_of
from wakeline.observe.query import ProcessQuery
from wakeline.store import processes
from wakeline.store.processes import StoredProcess
from wakeline.verbs import looks
from wakeline_workers.cli.processes import lines_of

from tests.lua.world import World

NAMES = [f"kid-{n:04}" for n in range(700)]


@pytest.fixture
def many(world: World) -> World:
    """A parent of 700 children and as many waits, which were made in another order than that of their ids."""
    world.start("p")
    world.start("other")
    for n in range(700):
        world.redis.sadd(world.key("children:p"), NAMES[n * 37 % 700])
        world.redis.sadd(world.key("waits:p"), f"w{n * 37 % 700:04}")
    return world


def test_a_look_shows_the_first_children_and_waits_in_order_and_says_how_many_there_are(many: World) -> None:
    for n in range(256):
        many.redis.hset(many.key(f"slot:w{n:04}"), "k", "s:go")
    stored: StoredProcess = many.do(processes.read("p", count=1, tail=True, detail=True))
    assert (list(stored.children), stored.children_count) == (NAMES[:256], 700)
    assert (list(stored.slots), stored.waits_count) == ([f"w{n:04}" for n in range(256)], 700)
    lines = list(lines_of(process_of(stored)))
    assert lines[-2:] == [
        "waits for        444 more of these",
        "more children    444; `wakeline ps --parent p` lists all",
    ]


def test_the_processes_that_a_process_started_are_listed_in_pages(world: World) -> None:
    world.start("p")
    for pid in ("a", "b", "c"):
        world.start(pid, parent="p")
        world.pass_ms(1)
    world.start("of-another")
    first = world.store.run(looks.listed(ProcessQuery(parent="p"), limit=2))
    assert ([one.id for one in first], first.more) == (["c", "b"], True)
    rest = world.store.run(looks.listed(ProcessQuery(parent="p"), limit=2, after=first.next))
    assert ([one.id for one in rest], rest.more) == (["a"], False)
