"""What one script touches is bounded: above 256 waits the rest is another call's, or the tick's."""

from __future__ import annotations

from wakeline.processes.lease import Fence
from wakeline.store import ends, waits

from tests.lua.world import World, wait

MANY = 600


def opened(world: World, count: int = MANY, kind: str = "s:go") -> tuple[Fence, list[str]]:
    fence = world.running("p")
    ids = [f"w{number:04}" for number in range(count)]
    for start in range(0, count, 256):
        world.open(fence, *(wait(slot, kind if kind != "x:" else f"x:{slot}") for slot in ids[start : start + 256]))
    return fence, ids


def test_continuing_asks_for_waits_to_be_closed_first_where_there_are_too_many(world: World) -> None:
    fence, ids = opened(world)
    asked = world.do(ends.continue_as_new(fence, "{}"))
    assert isinstance(asked, list)
    assert (len(asked), set(asked) <= set(ids), world.status()) == (256, True, "running")
    while isinstance(asked, list):
        world.do(waits.close_waits(fence, asked))
        asked = world.do(ends.continue_as_new(fence, "{}"))
    assert (asked, world.status()) == (2, "queued")
    assert world.signal("p").taken_by == "mail"


def test_a_process_with_thousands_of_waits_ends_and_the_tick_removes_the_rest(world: World) -> None:
    fence, _ = opened(world, 9_000)
    world.finish("p", fence)
    assert [field for field in world.redis.hkeys(world.key("proc:p")) if field[:2] in ("o:", "n:")] == []
    for _ in range(40):
        world.tick()
    assert world.redis.keys(world.key("slot:*")) == []
    assert world.redis.exists(world.key("waits:p"), world.key("todo")) == 0


def test_closed_tokens_are_not_among_the_waits_that_a_resume_reads_and_go_with_their_process(world: World) -> None:
    fence, ids = opened(world, kind="x:")
    for start in range(0, MANY, 256):
        world.do(waits.close_waits(fence, ids[start : start + 256]))
    assert world.redis.exists(world.key("waits:p")) == 0
    assert world.redis.scard(world.key("closed:p")) == MANY
    assert world.do(waits.resolve("p", fence.incarnation, ids[0], '{"status":"ok","value":1}')).unknown
    world.finish("p", fence)
    for _ in range(4):
        world.tick()
    assert world.redis.keys(world.key("slot:*")) == []
    assert world.redis.exists(world.key("closed:p"), world.key("todo")) == 0
