"""Races 7, 15, 16, 19, 20, 23 and 30: how processes end, what is left of them, and what many ends at once do."""

from __future__ import annotations

import pytest
from wakeline.errors import ProcessConflict, ProcessNoLongerRetained
from wakeline.processes.lease import Fence
from wakeline.store import ends, journal, owners, processes, sessions, ticks
from wakeline.store.journal import Effect, Row

from tests.lua.world import START_MS, WEEK_MS, World, wait
from tests.races.rules import fails_without

BOUND = 256
DAY_MS = 86_400_000

# -- 7: an operator's cancel, the grace timer, attempts or a deadline end a turn: its session stays active without an
# end

SETTLES = (
    "every end of a turn settles its entries and frees its session",
    "lib/ends.lua",
    "  if p.sid then turns.settle(pid, p, status, output) end\n",
)


@fails_without(*SETTLES)
def test_race_07_a_turn_that_is_cancelled_frees_its_session(world: World) -> None:
    turn = a_turn(world)
    world.cancel(turn.process_id)
    world.pass_ms(10_000)
    world.tick()
    the_next_turn_follows(world, turn, "settled")


@fails_without(*SETTLES)
def test_race_07_a_turn_whose_attempts_are_used_up_frees_its_session(world: World) -> None:
    turn = a_turn(world)
    for _ in range(4):
        assert world.do(ends.release(turn, attempt=True)) == "released"
        [claim] = world.take("o1")
        turn = claim.fence
    assert world.do(ends.release(turn, attempt=True)) == "exhausted"
    the_next_turn_follows(world, turn)


@fails_without(*SETTLES)
def test_race_07_a_turn_whose_deadline_passes_frees_its_session(world: World) -> None:
    turn = a_turn(world)
    world.redis.zadd(world.key("timers"), {f"e:{turn.process_id}": START_MS + 5_000})
    world.pass_ms(5_000)
    world.tick()
    the_next_turn_follows(world, turn)


@fails_without(*SETTLES)
def test_race_07_a_turn_that_is_lost_too_often_frees_its_session(world: World) -> None:
    turn = a_turn(world)
    for n in range(11):
        world.do(owners.reap(turn.owner))
        if world.status(turn.process_id) == "queued":
            world.pass_ms(60_000)  # what ends its worker alone is offered later each time
            world.tick()
            [claim] = world.take(world.worker(f"w{n}"))
            turn = claim.fence
    assert world.status(turn.process_id) == "abandoned"
    the_next_turn_follows(world, turn)


def a_turn(world: World) -> Fence:
    """A turn that runs with one entry; a second one came meanwhile."""
    world.do(sessions.send(world.session("bot/1"), "{}"))
    world.worker("o1")
    [claim] = world.take("o1")
    world.do(sessions.admit(claim.fence, "bot/1", 256))
    world.do(sessions.send(world.session("bot/1"), "{}"))
    return claim.fence


def the_next_turn_follows(world: World, ended: Fence, became: str = "failed") -> None:
    """The first entry went with its turn, the second has a turn of its own."""
    assert [state for state, _, _ in world.entries("bot/1")] == [became, "delivered"]
    [claim] = world.take(world.worker("next"))
    assert claim.process_id != ended.process_id
    assert [entry.n for entry in world.do(sessions.admit(claim.fence, "bot/1", 256)).entries] == [2]


# -- 15: a resend after a deploy is no conflict


@fails_without(
    "content is id, input and identity kind; the rest is kept from the first start",
    "wakeline.processes.registration:Registration.content_hash",
    'content_json(self._content, "The input"), self.identity.kind',
    "self.to_json()",
    raises=ProcessConflict,
)
def test_race_15_a_start_sent_again_by_the_next_release_is_no_conflict(world: World) -> None:
    world.start("p", max_attempts=5, labels={"release": "1"})
    again = world.start(
        "p", max_attempts=9, labels={"release": "2"}, incarnation="inc00002", env_ref="process-env:sha256:" + "1" * 64
    )
    assert (again.created, again.incarnation) == (False, "inc00001")
    assert len(world.take(world.worker("o1"))) == 1


# -- 16: a start is sent again after its process was pruned


@fails_without(
    "a tombstone is left behind",
    "lib/pruning.lua",
    "call('SET', ns .. 'tomb:' .. pid, tombstone, 'PX', int(a.tombstone_ms))",
)
@fails_without(
    "a start looks for a tombstone",
    "process_register.lua",
    "if tomb then return { 'pruned', tomb } end",
)
def test_race_16_a_start_sent_again_after_the_pruning_starts_nothing(world: World) -> None:
    fence = world.running("p")
    world.finish("p", fence)
    world.pass_ms(WEEK_MS)
    assert world.tick().pruned == 1
    with pytest.raises(ProcessNoLongerRetained):
        world.start("p")
    assert world.take("o1") == ()


# -- 19: a cancel with no worker, or of an external process

GRACE = (
    "a cancel sets a grace timer in every state",
    "lib/cancel.lua",
    "call('ZADD', ns .. 'timers', int(now + grace), TIMER.grace .. pid)",
)


@fails_without(*GRACE)
@pytest.mark.parametrize("state", ["queued", "delayed", "running", "waiting", "external"])
def test_race_19_a_cancel_ends_a_process_that_no_worker_looks_after(world: World, state: str) -> None:
    match state:
        case "queued":
            world.start("p")
        case "delayed":
            world.start("p", delay_ms=DAY_MS)
        case "running":
            world.running("p")
        case "waiting":
            world.parked("p")
        case _:
            world.start("p", kind="external")
    world.cancel("p")
    world.pass_ms(9_999)
    world.tick()
    assert world.status("p") != "cancelled"
    world.pass_ms(1)
    world.tick()
    assert world.status("p") == "cancelled"
    assert (world.do(processes.read("p")).fields.get("ow"), world.timers()) == (None, [])


@fails_without(
    "an operator's prune takes the process that was seen, and no later one with its id",
    "lib/retention.lua",
    "if time and tonumber(time) == tonumber(at) then",
    "if time then",
)
def test_race_16_an_id_that_is_used_again_is_not_pruned_for_the_one_before(world: World) -> None:
    world.start("p", kind="external")
    world.finish("p")
    first = ("p", "completed", str(world.now()))
    assert world.do(ticks.prune_these([first], tombstone_ms=1)).stayed == ()
    world.redis.delete(world.key("tomb:p"))
    world.pass_ms(1)
    world.start("p", kind="external")
    world.finish("p")
    assert world.do(ticks.prune_these([first], tombstone_ms=1)).stayed == (("p", "changed"),)
    assert world.status("p") == "completed"


# -- 20: a child is pruned before its parent awaits it


@fails_without(
    "a child stays until its living parent has journaled its result",
    "lib/pruning.lua",
    "if parent.st and not ENDED[parent.st] and",
    "if false and",
)
def test_race_20_a_child_is_kept_until_its_parent_has_its_result(world: World) -> None:
    parent = world.running("parent")
    child = a_child(world, parent, "child")
    world.finish("child", child)
    world.pass_ms(WEEK_MS)
    assert world.tick().pruned == 0
    [opened] = world.open(parent, wait("w", "c:child"))
    assert opened.text == '{"status":"ok","value":{"type":"success","value":1}}'
    world.do(journal.record(parent, [Row("result:child", "1", ("w",))]))
    world.pass_ms(3_600_001)
    assert world.tick().pruned == 1


@fails_without(
    "a parent that ended keeps no child",
    "lib/pruning.lua",
    "if parent.st and not ENDED[parent.st] and",
    "if parent.st and",
)
def test_race_20_a_child_whose_parent_ended_is_pruned_with_its_time(world: World) -> None:
    parent = world.running("parent")
    child = a_child(world, parent, "child")
    world.finish("child", child)
    world.finish("parent", parent)
    world.pass_ms(WEEK_MS)
    # A tick that has no time left leaves the rest to the next.
    assert sum(world.tick().pruned for _ in range(3)) == 2


@fails_without(
    "no process awaits the children of a generation that is over",
    "process_continue.lua",
    ", ns .. 'children:' .. a.pid)",
    ")",
)
def test_race_20_a_process_that_goes_on_for_ever_does_not_keep_its_children_for_ever(world: World) -> None:
    parent = world.running("parent")
    child = a_child(world, parent, "child")
    world.finish("child", child)
    world.do(ends.continue_as_new(parent, "{}"))
    world.pass_ms(WEEK_MS)
    assert world.tick().pruned == 1


def a_child(world: World, parent: Fence, pid: str) -> Fence:
    """A child of the run, claimed by the same worker."""
    world.start(pid, parent=parent.process_id, effect=Effect(parent, Row(f"start:{pid}", "", after="")))
    return world.claim(pid, parent.owner)


# -- 23: owner-bound work at SIGTERM


@fails_without(
    "owner-bound work that began is abandoned, never handed back",
    "process_release.lua",
    "elseif p.rc == 'b' and p.fs and not a.unrun and not a.misfit then",
    "elseif false then",
)
def test_race_23_owner_bound_work_that_is_handed_back_is_not_started_twice(world: World) -> None:
    fence = world.running("p", recovery="owner_bound")
    world.do(journal.record(fence, [Row("charge", "1")]))
    assert world.do(ends.release(fence)) == "abandoned"
    assert (world.status("p"), world.take("o1")) == ("abandoned", ())
    assert '"writer":"shutdown"' in world.payload("p")


@fails_without(
    "owner-bound work whose owner is gone is abandoned",
    "lib/reap.lua",
    "if p.rc == 'b' then return abandon(pid, p, writer) end",
)
@pytest.mark.parametrize("writer", ["shutdown", "owner_lost"])
def test_race_23_owner_bound_work_is_not_started_twice_when_its_worker_leaves_or_dies(
    world: World, writer: str
) -> None:
    world.running("p", recovery="owner_bound")
    world.do(owners.reap("o1", writer))
    assert (world.status("p"), world.take(world.worker("o2"))) == ("abandoned", ())
    assert f'"writer":"{writer}"' in world.payload("p")


@fails_without(
    "only owner-bound work is",
    "process_release.lua",
    "elseif p.rc == 'b' and p.fs and not a.unrun and not a.misfit then",
    "elseif p.fs then",
)
def test_race_23_other_work_is_handed_on(world: World) -> None:
    fence = world.running("p")
    world.do(journal.record(fence, [Row("charge", "1")]))
    assert world.do(ends.release(fence)) == "released"
    assert len(world.take(world.worker("o2"))) == 1


# -- 30: a cancel of n slots, an end with n waiters or n children, deep cascades: every script is bounded, the rest
# follows


def drain(world: World) -> int:
    """Ticks until nothing is left to do; how many it took."""
    for n in range(1, 100):
        if not world.tick().more:
            return n
    raise AssertionError("a hundred ticks did not finish what one script began")


@fails_without(
    "a cancel resolves at most so many slots in one script",
    "lib/cancel.lua",
    "if cancelling <= 0 then return false end",
)
@fails_without(
    "what a cancel left is remembered", "lib/cancel.lua", "call('RPUSH', ns .. 'todo', LEFT.cancel_waits .. pid)"
)
def test_race_30_a_cancel_of_a_thousand_slots_is_bounded_and_reaches_them_all(world: World) -> None:
    fence = world.running("p")
    slots = [f"w{n}" for n in range(1_000)]
    for at in range(0, 1_000, 250):
        world.open(fence, *(wait(slot, "t:", "g", for_ms=DAY_MS) for slot in slots[at : at + 250]))
    world.park(fence, "g")

    def resolved() -> int:
        return sum(1 for slot in slots if world.resolution(slot))

    world.cancel("p", grace_ms=DAY_MS)
    assert (resolved(), world.status("p")) == (BOUND, "waiting")
    drain(world)
    assert (resolved(), world.status("p")) == (1_000, "queued")


@fails_without(
    "an end tells at most so many waiters in one script",
    "lib/ends.lua",
    "    if i > BOUND then\n",
    "    if false then\n",
)
@fails_without(
    "the waiters an end left are remembered", "lib/ends.lua", "call('RPUSH', ns .. 'todo', LEFT.tell_waiters .. pid)"
)
def test_race_30_an_end_with_a_thousand_waiters_is_bounded_and_reaches_them_all(world: World) -> None:
    world.start("child", kind="external")
    fence = world.running("p")
    slots = [f"w{n}" for n in range(1_000)]
    for at in range(0, 1_000, 250):
        world.open(fence, *(wait(slot, "c:child") for slot in slots[at : at + 250]))

    def told() -> int:
        return sum(1 for slot in slots if world.resolution(slot))

    world.finish("child")
    assert told() == BOUND
    drain(world)
    assert told() == 1_000


@fails_without(
    "an end drops at most so many waits in one script",
    "lib/ends.lua",
    "if i > BOUND then return call('RPUSH', ns .. 'todo', LEFT.drop_waits .. pid) end",
)
@fails_without(
    "the waits an end left are remembered",
    "lib/ends.lua",
    "return call('RPUSH', ns .. 'todo', LEFT.drop_waits .. pid)",
    "return",
)
def test_race_30_an_end_with_a_thousand_open_waits_is_bounded_and_leaves_none(world: World) -> None:
    fence = world.running("p")
    for at in range(0, 1_000, 250):
        world.open(fence, *(wait(f"w{n}", "t:", for_ms=DAY_MS) for n in range(at, at + 250)))
    world.finish("p", fence)
    assert world.redis.scard(world.key("waits:p")) == 1_000 - BOUND
    drain(world)
    assert (world.redis.scard(world.key("waits:p")), world.timers()) == (0, [])
    assert world.redis.exists(*(world.key(f"slot:w{n}") for n in range(1_000))) == 0


@fails_without(
    "an end asks at most so many children in a script",
    "lib/ends.lua",
    "if i > BOUND then return call('RPUSH', ns .. 'todo', LEFT.end_children .. pid) end",
)
@fails_without(
    "the children an end left are remembered",
    "lib/ends.lua",
    "return call('RPUSH', ns .. 'todo', LEFT.end_children .. pid)",
    "return",
)
def test_race_30_an_end_with_a_thousand_children_is_bounded_and_reaches_them_all(world: World) -> None:
    parent = world.running("p")
    for n in range(1_000):
        world.start(
            f"c{n}", parent="p", on_parent_end="request_cancel", effect=Effect(parent, Row(f"start:{n}", "", after=""))
        )

    def asked() -> int:
        return sum(1 for n in range(1_000) if world.field("cr", f"c{n}"))

    world.finish("p", parent)
    assert asked() == BOUND
    drain(world)
    assert asked() == 1_000


@fails_without(
    "one script asks one generation",
    "lib/ends.lua",
    'then cancel.request(child, c, \'{"reason":"parent ended"}\', 10000) end',
    'then cancel.request(child, c, \'{"reason":"parent ended"}\', 10000) end_children(child) end',
)
def test_race_30_the_end_of_a_deep_chain_goes_down_one_generation_at_a_time(world: World) -> None:
    chain = [world.running("c0")]
    for n in range(1, 4):
        parent = chain[-1]
        world.start(
            f"c{n}",
            parent=parent.process_id,
            on_parent_end="request_cancel",
            effect=Effect(parent, Row("start", "", after="")),
        )
        chain.append(world.claim(f"c{n}", "o1"))
    world.finish("c0", chain[0])
    for generation in range(1, 4):
        assert [world.field("cr", f"c{n}") is not None for n in range(1, 4)] == [n <= generation for n in range(1, 4)]
        world.pass_ms(10_000)
        world.tick()
        assert world.status(f"c{generation}") == "cancelled"
