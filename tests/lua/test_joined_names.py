"""Names that scripts join of others: an id may hold any joint, two apps on one server never share a job or a list, and
the release before is still read."""

from __future__ import annotations

import json
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wakeline.causality import SessionScope
from wakeline.names import session_id, word
from wakeline.store import claims, ends, events, fleet, owners, processes, scripts, sessions
from wakeline.store.address import Address
from wakeline.store.blocking import SyncStore
from wakeline.store.connection import Backend
from wakeline.store.keys import queue_name
from wakeline.testing.clock import VirtualClock
from wakeline.testing.model.doorbells import doorbell_id, former_doorbell_id

from tests.lua.world import LEASE_MS, STALE_MS, START_MS, World

LIB = Path(__file__).parents[2] / "core/wakeline/store/lua/lib"
MADE = """
begin(ARGV)
local id = ARGV[4]
local out = { word(id), unword(word(id)), queue_of(ARGV[5]), former_name(queue_of(ARGV[5])) or '' }
for form = 1, 2 do
  local bell = doorbell.id(id, '7', int(form))
  local pid, epoch, known, whose = doorbell.read(bell)
  for _, part in ipairs({ bell, pid, epoch, known, whose or '' }) do out[#out + 1] = part end
end
return out
"""
NAMESPACES = st.from_regex(r"\A[a1][a1._-]{0,5}\Z")
QUEUES = st.from_regex(r"\A[a1][a1._-]{0,5}\Z")


def two(backend: Backend, one: str, other: str) -> tuple[World, World]:
    """Two apps that share RQ's keys, as apps on one server do."""

    def of(ns: str) -> World:
        clock = VirtualClock(START_MS)
        return World(backend, clock, ns, SyncStore(backend, Address(ns, rq_prefix="rq", clock=clock)))

    backend.sync().flushall()
    return of(one), of(other)


@given(
    namespace=NAMESPACES,
    text=st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable()),
    queue=st.none() | QUEUES,
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_scripts_make_and_read_what_python_makes(world: World, namespace: str, text: str, queue: str | None) -> None:
    code = (
        "".join(
            (LIB / f"{name}.lua").read_text(encoding="utf-8") for name in scripts.included("-- Needs: doorbell")[:-1]
        )
        + MADE
    )
    before = f"{namespace}.{queue}" if queue else namespace  # as the release before named it
    made: list[Any] = world.redis.eval(code, 0, "1", f"{{{namespace}}}:", "rq", text, before)
    assert made[:3] == [word(text), text, queue_name(namespace, queue)]
    assert made[3] == (before if "." in namespace else "")
    assert made[4:9] == [former_doorbell_id(text, 7), text, "7", "1", ""]
    assert made[9:] == [doorbell_id(namespace, text, 7), text, "7", "2", namespace]


def test_no_park_and_no_end_touches_the_log_of_an_id_that_goes_on_with_a_joint(world: World) -> None:
    for suffix in (":compact", ":copy", ":", ":1"):
        world.start(f"p{suffix}", kind="external")
        world.do(events.append(f"p{suffix}", "log", '{"line":1}'))
    world.parked("p")
    world.signal("p")
    (claim,) = world.take(world.worker("o2"))
    world.finish("p", claim.fence)
    for suffix in (":compact", ":copy", ":", ":1"):
        assert world.events(f"p{suffix}") == ["log"], suffix


def test_two_apps_with_a_process_of_one_id_have_two_jobs(backend: Backend) -> None:
    shop, bank = two(backend, "shop", "bank")
    for app in (shop, bank):
        app.start("order-7")
    assert sorted(shop.redis.keys("rq:job:*")) == ["rq:job:wl-bank-order_2d7-1", "rq:job:wl-shop-order_2d7-1"]
    bank.finish("order-7", bank.claim("order-7"))
    assert shop.redis.keys("rq:job:*") == ["rq:job:wl-shop-order_2d7-1"]
    assert [claim.process_id for claim in shop.take(shop.worker())] == ["order-7"]


def test_a_queue_and_a_namespace_that_read_alike_are_two_lists(backend: Backend) -> None:
    shop, slow = two(backend, "shop", "shop.slow")
    shop.start("a", queue=queue_name("shop", "slow"))
    slow.start("b", queue=queue_name("shop.slow", None))
    assert (shop.redis.lrange("rq:queue:shop.slow", 0, -1), shop.redis.lrange("rq:queue:shop..slow", 0, -1)) == (
        ["wl-shop-a-1"],
        ["wl-shop_2eslow-b-1"],
    )
    for app, queue, pid in ((slow, "shop..slow", "b"), (shop, "shop.slow", "a")):
        app.do(owners.register_owner("o1", [queue], lease_ms=LEASE_MS))
        taken = app.do(claims.take("o1", "r", [queue], 9, lease_ms=LEASE_MS)).claims
        assert [claim.process_id for claim in taken] == [pid]
    for app, queues in ((shop, ["shop.slow"]), (slow, ["shop..slow"])):
        assert [queue.name for queue in app.do(fleet.read_fleet(queues)).queues] == queues


def before(world: World, pid: str, queue: str, ns: str | None = None) -> str:
    """Stores a process and its doorbell as the release before did; the doorbell's id."""
    bell = former_doorbell_id(pid, 1)
    world.start(pid, queue=queue_name(ns or world.ns, None))
    world.redis.delete(*world.redis.keys(f"*job:{doorbell_id(world.ns, pid, 1)}"))
    for key in world.redis.keys("rq*:queue:*"):
        world.redis.lrem(key, 0, doorbell_id(world.ns, pid, 1))
    world.redis.hset(world.key(f"proc:{pid}"), "q", queue)
    rq = world.store.address.rq_prefix
    world.redis.hset(f"{rq}:job:{bell}", mapping={"status": "queued", "origin": queue, "wl_rung": str(world.now())})
    world.redis.rpush(f"{rq}:queue:{queue}", bell)
    return bell


def test_a_doorbell_of_the_release_before_is_taken_and_leaves_nothing_behind(world: World) -> None:
    bell = before(world, "p", world.ns)
    assert world.doorbells() == [bell] == ["wl-p-1"]
    world.worker()
    (claim,) = world.take()
    assert world.redis.zrange(world.rq(f"wip:{world.ns}"), 0, -1) == [f"wl-p-1:{claim.fence.claim_id}"]
    world.finish("p", claim.fence)
    assert [key for key in list(world.keys()) if "wl-" in key] == []


def test_a_lost_doorbell_of_the_release_before_is_rung_once_more_and_not_doubled(world: World) -> None:
    bell = before(world, "p", world.ns)
    world.pass_ms(STALE_MS + 1)
    assert (world.tick().rung, world.doorbells()) == (0, [bell])  # it lies there
    world.redis.delete(world.rq(f"queue:{world.ns}"))
    assert (world.tick().rung, world.doorbells()) == (1, [f"wl-{world.ns}-p-1"])


def test_what_lies_under_a_dotted_namespace_since_the_release_before_is_taken(backend: Backend) -> None:
    _, slow = two(backend, "shop", "shop.slow")
    before(slow, "b", "shop.slow")
    before(slow, "c", "shop.slow.eu")
    slow.do(owners.register_owner("o1", ["shop..slow", "shop..slow.eu"], lease_ms=LEASE_MS))
    taken = slow.do(claims.take("o1", "r", ["shop..slow", "shop..slow.eu"], 9, lease_ms=LEASE_MS)).claims
    assert [claim.process_id for claim in taken] == ["b", "c"]
    # What becomes of them is rung where this release listens.
    for claim in taken:
        slow.do(ends.release(claim.fence))
    assert slow.redis.lrange("rq:queue:shop..slow", 0, -1) == ["wl-shop_2eslow-b-2"]
    assert slow.redis.lrange("rq:queue:shop..slow.eu", 0, -1) == ["wl-shop_2eslow-c-2"]


def test_a_doorbell_that_may_be_another_apps_goes_back_and_is_thrown_away_after_an_hour(backend: Backend) -> None:
    shop, slow = two(backend, "shop", "shop.slow")
    bell = before(slow, "theirs", "shop.slow")
    shop.start("ours", queue="shop.slow")
    shop.worker()

    def look() -> list[str]:
        return [
            claim.process_id
            for claim in shop.do(claims.take("o1", token_hex(4), ["shop.slow"], 9, lease_ms=LEASE_MS)).claims
        ]

    assert (look(), shop.redis.lrange("rq:queue:shop.slow", 0, -1), shop.redis.exists(f"rq:job:{bell}")) == (
        ["ours"],
        [bell],
        1,
    )
    slow.worker()
    assert [
        claim.process_id for claim in slow.do(claims.take("o1", "r", ["shop..slow"], 9, lease_ms=LEASE_MS)).claims
    ] == ["theirs"]
    garbage = before(slow, "gone", "shop.slow")
    slow.redis.delete(slow.key("proc:gone"))
    assert (look(), shop.redis.lrange("rq:queue:shop.slow", 0, -1)) == ([], [garbage])
    shop.pass_ms(3_600_001)
    shop.worker()
    assert (look(), shop.redis.lrange("rq:queue:shop.slow", 0, -1), shop.redis.exists(f"rq:job:{garbage}")) == (
        [],
        [],
        0,
    )


@pytest.mark.parametrize("bell", ["wl-bank-p-1", "wl-shop-eu-p-1", "wl-"])
def test_a_doorbell_of_another_app_or_of_a_later_release_is_left_where_it_is(world: World, bell: str) -> None:
    world.redis.rpush(world.rq(f"queue:{world.ns}"), bell)
    world.redis.hset(world.rq(f"job:{bell}"), "status", "queued")
    world.start("p")
    world.worker()
    assert [claim.process_id for claim in world.take()] == ["p"]
    assert (world.doorbells(), world.redis.hgetall(world.rq(f"job:{bell}"))) == ([bell], {"status": "queued"})


def test_while_a_worker_of_the_release_before_lives_it_is_rung_so_that_it_can_read(world: World) -> None:
    world.worker("new")
    world.redis.zadd(world.key("owners"), {"old": world.now() + LEASE_MS})  # as its owner_register does
    world.tick()
    world.start("p")
    assert world.doorbells() == ["wl-p-1"]
    (claim,) = world.take("new")
    world.finish("p", claim.fence)
    assert [key for key in list(world.keys()) if "wl-" in key] == []
    world.redis.zrem(world.key("owners"), "old")
    world.tick()
    world.start("q")
    assert world.doorbells() == [f"wl-{world.ns}-q-1"]


def test_a_client_that_comes_first_with_this_release_rings_so_that_the_workers_there_can_read(backend: Backend) -> None:
    shop, _ = two(backend, "shop", "bank")
    with backend.sync() as client:
        client.zadd(shop.key("owners"), {"old": shop.now() + LEASE_MS})
    shop.start("p")
    assert shop.redis.lrange("rq:queue:shop", 0, -1) == ["wl-p-1"]


def test_a_process_whose_doorbell_is_thrown_away_again_and_again_is_rung_until_it_runs(world: World) -> None:
    world.start("p")
    for _ in range(12):
        world.redis.delete(world.rq(f"queue:{world.ns}"))
        world.pass_ms(64 * STALE_MS)
        assert world.tick().rung == 1
    world.worker()
    assert [claim.process_id for claim in world.take()] == ["p"]


@pytest.mark.parametrize("pid", ["two words", "50%", "a#1", "a%20b", "é ü#%"])
def test_a_run_is_hinted_and_taken_again_by_its_whole_id(world: World, pid: str) -> None:
    world.start(pid)
    world.worker()
    (claim,) = world.take(request="same")
    assert [again.process_id for again in world.take(request="same")] == [pid]
    world.cancel(pid)
    assert world.redis.lrange(world.key("notify:o1"), 0, -1)[-1] == f"cancel {claim.fence.claim_id} {word(pid)}"
    world.finish(pid, claim.fence)


def test_a_swallowed_wake_names_its_process_whatever_its_id_holds(world: World) -> None:
    world.start('say "hi" #1', kind="external", wake="bot/1")
    for line in (1, 2):
        world.do(events.append('say "hi" #1', "log", str(line), wake=events.WakeText(f'"{line}"', "same")))
    view = world.script("entry_list", sid="bot/1", limit=9)
    assert view[3][0][6] == 'say%20"hi"%20%231#1 '
    assert json.loads(view[3][0][2])["sequence"] == 2


def test_an_engine_is_found_behind_the_longest_id_that_its_text_can_have(world: World) -> None:
    name, longest = "e" * 128, '"' * 200
    world.start(longest, input={"type": "engine", "kind": name, "payload": None})
    page = world.do(processes.list_page(["queued"], limit=9, kind=name))
    assert [row.registration.id for row in page.rows] == [longest]


@pytest.mark.parametrize("key", ["a/b", "a%2Fb", "a%252Fb", "%", "#1", "a/frame:1"])
def test_a_handle_is_kept_under_its_session_whatever_its_key_holds(world: World, key: str) -> None:
    world.start("p")
    scope = SessionScope(session_id=session_id("bot", key), agent_frame_id="f1").scope_id
    world.do(sessions.grant(scope, "p", "{}"))
    assert world.redis.smembers(world.key(f"scopes:bot/{key}")) == {scope}
