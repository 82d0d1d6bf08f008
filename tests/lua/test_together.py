"""Calls of one script that leave in one write run as one script: replies are each caller's own, and so are errors."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import pytest
from redis import exceptions as rex
from wakeline.errors import ScriptFailed
from wakeline.store import ends, owners, scripts, waits
from wakeline.store.awaited import AsyncStore
from wakeline.store.calls import Call
from wakeline.store.journal import Effect
from wakeline.store.together import AT_ONCE, BYTES_AT_ONCE, Counter, Exchange, Prepared, Server, bundled

from tests.lua.world import BEAT_MS, SUCCESS, World, wait
from tests.servers import BACKENDS


def together(world: World, *calls: Call[Any], functions: bool = True) -> tuple[list[Any], dict[str, int]]:
    """Results or exceptions of calls that were issued in one turn of a loop, and what was sent for them."""

    async def main() -> tuple[list[Any], dict[str, int]]:
        store = AsyncStore(world.backend, world.store.address)
        try:
            await store.open()
            store._server.functions = functions
            found = await asyncio.gather(*(store.execute(call) for call in calls), return_exceptions=True)
            return list(found), dict(store.sent.counts)
        finally:
            await store.close()

    return asyncio.run(main())


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
def test_each_caller_gets_the_reply_to_its_own_call(world: World) -> None:
    world.start("known to the server by now")
    found, sent = together(world, *(world.registering(f"p{n}") for n in range(40)))
    assert [receipt.created for receipt in found] == [True] * 40
    assert sent == {"process_register": 40, "round_trips": 1}
    again, _ = together(world, world.registering("p7"), world.registering("new"), world.registering("p7", payload=1))
    assert (again[0].created, again[1].created, type(again[2]).__name__) == (False, True, "ProcessConflict")


def test_what_ends_together_is_where_it_belongs_and_counted_once_each(world: World) -> None:
    for n in range(3):
        world.start(f"p{n}")
    world.redis.hset(world.rq("worker:o1"), "state", "busy")
    world.worker("o1")
    fences = {claim.process_id: claim.fence for claim in world.take("o1")}
    calls = [
        ends.finish(pid, "failed" if pid == "p1" else "completed", SUCCESS, fence=fence)
        for pid, fence in fences.items()
    ]
    found, _ = together(world, *calls, calls[0])
    assert found == [2, 2, 2, 2]
    assert world.redis.zrange(world.key("idx:completed"), 0, -1) == ["p0", "p2"]
    assert world.redis.zrange(world.key("idx:failed"), 0, -1) == ["p1"]
    assert world.redis.zcard(world.key("idx:running")) == 0
    worker = world.redis.hgetall(world.rq("worker:o1"))
    assert (worker["successful_job_count"], worker["failed_job_count"], worker["state"]) == ("2", "1", "idle")
    assert world.redis.exists(world.rq("worker:o1:executions"), world.key("owned:o1")) == 0


def test_a_heartbeat_shows_rq_the_runs_that_outlast_it_and_their_ends_remove_them(world: World) -> None:
    world.start("p0")
    world.start("p1")
    world.worker("o1")
    first, second = (claim.fence for claim in world.take("o1"))
    runs, shown = world.rq("worker:o1:executions"), [f"wl-{world.ns}-{pid}-1" for pid in ("p0", "p1")]
    assert world.redis.exists(runs) == 0, "most runs are over before the next beat"
    world.pass_ms(BEAT_MS)
    world.do(ends.finish("p0", "completed", SUCCESS, fence=first))
    for _ in range(2):
        assert world.beat("o1", [second.claim_id]) == owners.Beaten(True)
        assert world.redis.smembers(runs) == {f"{shown[1]}:{second.claim_id}"}
        assert world.redis.hgetall(world.rq(f"execution:{shown[1]}:{second.claim_id}")) == {
            "id": second.claim_id,
            "job_id": shown[1],
            "created_at": f"{(world.now() - BEAT_MS) / 1000:.3f}",
            "last_heartbeat": f"{(world.now() - BEAT_MS) / 1000:.3f}",
            "worker_name": "o1",
        }
        assert world.redis.zrange(world.rq(f"executions:{shown[1]}"), 0, -1) == [second.claim_id]
    world.do(ends.finish("p1", "completed", SUCCESS, fence=second))
    assert [*world.redis.scan_iter(world.rq("*execution*"))] == []


def test_an_error_of_one_is_not_the_others(world: World) -> None:
    for n in range(3):
        world.start(f"p{n}")
    world.worker("o1")
    fences = [claim.fence for claim in world.take("o1")]
    world.redis.set(world.key("events:p1"), "no stream")
    found, _ = together(world, *(ends.finish(fence.process_id, "completed", SUCCESS, fence=fence) for fence in fences))
    assert isinstance(found[1], ScriptFailed)
    assert "WRONGTYPE" in found[1].reason
    assert [world.redis.hget(world.key(f"proc:p{n}"), "st") for n in range(3)] == ["completed", "running", "completed"]


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
@pytest.mark.parametrize("functions", [True, False])
def test_a_script_the_server_does_not_know_is_sent_with_its_text(world: World, functions: bool) -> None:
    world.forget_scripts()
    found, sent = together(world, world.registering("a"), world.registering("b"), functions=functions)
    assert [receipt.created for receipt in found] == [True, True]
    # With functions all are one library, which the first call of a client, that opens the namespace, brought.
    assert sent == {"process_register": 2, "round_trips": 1 if functions else 2}


def prepared(script: str, pid: str = "", length: int = 10) -> Prepared:
    """A call about a process (or about none), with arguments of that length."""
    return Prepared(Call(script, {"pid": pid or None}, lambda reply: reply, about=(pid,) if pid else ()), "x" * length)


@pytest.mark.parametrize(
    ("batch", "bundles"),
    [
        ("close B, open A, close A", "close B / open A / close A"),
        ("open B, close A, open A", "open B / close A / open A"),
        ("finish A, finish B, open C, finish C, finish D", "finish A, finish B / open C / finish C, finish D"),
        ("finish A, open B, finish C, open D", "finish A, finish C / open B, open D"),
    ],
)
def test_no_call_gets_before_an_earlier_one_about_the_same_process(batch: str, bundles: str) -> None:
    calls = [prepared(*one.split()) for one in batch.split(", ")]
    made = [", ".join(f"{one.call.script} {one.call.args['pid']}" for one in bundle) for bundle in bundled(calls)]
    assert " / ".join(made) == bundles


def test_a_wait_that_is_opened_and_given_up_in_one_write_stays_given_up(world: World) -> None:
    for pid in ("a", "b"):
        world.start(pid)
    world.worker("o1")
    fences = {claim.process_id: claim.fence for claim in world.take("o1")}
    world.open(fences["b"], wait("slot-of-b"))
    opening, closing = waits.open_waits(fences["a"], [wait("slot-of-a")]), waits.close_waits(fences["a"], ["slot-of-a"])
    found, _ = together(world, waits.close_waits(fences["b"], ["slot-of-b"]), opening, closing)
    assert [type(one) for one in found] == [type(None), list, type(None)]
    assert world.redis.hget(world.key("proc:a"), "n:go") is None
    assert world.redis.smembers(world.key("waits:a")) == set()


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
@pytest.mark.parametrize("functions", [True, False])
def test_a_script_the_server_does_not_know_yet_keeps_its_place_before_one_it_knows(
    world: World, functions: bool
) -> None:
    fence = world.running("a")
    world.forget_scripts()
    together(world, waits.close_waits(fence, ["none"]), functions=functions)
    found, _ = together(
        world,
        waits.open_waits(fence, [wait("slot-of-a")]),
        waits.close_waits(fence, ["slot-of-a"]),
        functions=functions,
    )
    assert found[1] is None
    assert world.redis.smembers(world.key("waits:a")) == set()


NOT_FOUND, NO_SUCH_COMMAND = (
    rex.ResponseError("Function not found"),
    rex.ResponseError("unknown command 'FCALL', with args beginning with: "),
)
DENIED, FULL = (
    rex.NoPermissionError("no permissions"),
    rex.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
)


@pytest.mark.parametrize(
    ("answers", "sent", "keeps_functions"),
    [
        (["reply"], "FCALL", True),
        ([NOT_FOUND, "OK", "reply"], "FCALL / FUNCTION FCALL", True),
        ([NOT_FOUND, DENIED, NOT_FOUND, "reply"], "FCALL / FUNCTION FCALL / EVAL", False),
        ([NO_SUCH_COMMAND, "reply"], "FCALL / EVALSHA", False),
        ([DENIED, rex.NoScriptError("NOSCRIPT"), "reply"], "FCALL / EVALSHA / EVAL", False),
        ([NOT_FOUND, "OK", NOT_FOUND, "reply"], "FCALL / FUNCTION FCALL / EVAL", True),
        ([FULL, "reply"], "FCALL / EVALSHA", True),
        ([FULL, FULL], "FCALL / EVALSHA", True),
        ([NOT_FOUND, FULL, NOT_FOUND, "reply"], "FCALL / FUNCTION FCALL / EVAL", True),
        (
            [NOT_FOUND, rex.ResponseError("BUSY Redis is busy running a script."), NOT_FOUND, "reply"],
            "FCALL / FUNCTION FCALL / EVAL",
            True,
        ),
        (
            [NOT_FOUND, rex.ClusterDownError("The cluster is down"), NOT_FOUND, "reply"],
            "FCALL / FUNCTION FCALL / EVAL",
            True,
        ),
        ([rex.ReadOnlyError("You can't write against a read only replica"), "reply"], "FCALL / EVALSHA", True),
        ([rex.ResponseError("MISCONF Errors writing to the AOF file"), "reply"], "FCALL / EVALSHA", True),
        ([rex.ResponseError("NOREPLICAS Not enough good replicas to write."), "reply"], "FCALL / EVALSHA", True),
        ([rex.ResponseError("WRONGTYPE")], "FCALL", True),
    ],
)
def test_a_script_is_a_function_where_the_server_keeps_functions(
    answers: list[Any], sent: str, keeps_functions: bool
) -> None:
    server, told, left, writes = Server(), list[Any](), list(answers), list[str]()
    exchange = Exchange(
        [prepared("process_park")], lambda text: [text], server, Counter({}), lambda _, reply: told.append(reply)
    )
    while commands := exchange.commands():
        writes.append(" ".join(command[0] for command in commands))
        for _ in commands:
            exchange.answered(left.pop(0))
    assert (" / ".join(writes), told, server.functions) == (sent, answers[-1:], keeps_functions)


def test_what_an_exchange_was_not_told_when_it_broke_off_is_sent_again_and_nothing_else() -> None:
    told = list[Any]()
    exchange = Exchange(
        [prepared("a"), prepared("b"), prepared("c")],
        lambda text: [text],
        Server(),
        Counter({}),
        lambda one, _: told.append(one.call.script),
    )
    with mock.patch.object(scripts, "load", lambda name: scripts.Script(name, text=name, sha=name, function=name)):
        exchange.commands()
        exchange.answered(1)
        with pytest.raises(rex.ConnectionError):
            exchange.answered(rex.ConnectionError("gone"))
        assert [command[1] for command in exchange.commands()] == ["b", "c"]
        exchange.answered(2)
        exchange.answered(3)
        assert exchange.commands() == []
    assert told == ["a", "b", "c"]


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
def test_a_worker_brings_its_functions_and_drops_other_releases_but_nobody_elses(world: World) -> None:
    for name in ("wakeline_process_park_0123456789ab", "somebody_elses"):
        world.redis.function_load(
            f"#!lua name={name}\nredis.register_function('{name}', function() return 1 end)", replace=True
        )
    world.start("p")

    async def main() -> None:
        store = AsyncStore(world.backend, world.store.address)
        await store.renew_functions()
        await store.close()

    asyncio.run(main())
    kept = {row[1] for row in world.redis.function_list()}
    assert {"somebody_elses", scripts.as_library().name} <= kept
    assert "wakeline_process_park_0123456789ab" not in kept
    world.redis.function_delete("somebody_elses")


def test_a_blocking_client_sends_many_as_an_awaited_one_does(world: World) -> None:
    world.store.execute_together([world.registering("known to the server by now")])
    before = dict(world.store.sent.counts)
    receipts = world.store.execute_together([world.registering(f"p{n}") for n in range(20)])
    assert [receipt.created for receipt in receipts] == [True] * 20
    assert world.store.sent.counts["round_trips"] - before["round_trips"] == 1
    assert world.store.execute_together([]) == []


def test_a_call_says_whom_it_is_about(world: World) -> None:
    fence = world.running("p")
    child = world.registering("child", wake="bot/1", effect=Effect(fence, None, []))
    assert child.about == ("child", "bot/1", "p")
    assert ends.finish("p", "completed", SUCCESS, fence=fence).about == ("p",)
    assert waits.close_waits(fence, ["s"]).about == ("p",)


def test_no_script_runs_for_more_than_a_few_calls_or_bytes(world: World) -> None:
    small = [prepared("a") for _ in range(AT_ONCE + 1)]
    assert [len(bundle) for bundle in bundled(small)] == [AT_ONCE, 1]
    large = [prepared("a", length=BYTES_AT_ONCE - 5), prepared("a"), prepared("b"), prepared("a")]
    assert [[one.call.script for one in bundle] for bundle in bundled(large)] == [["a"], ["a", "a"], ["b"]]


def test_a_call_alone_raises_what_its_script_raised(world: World) -> None:
    fence = world.running("p")
    world.redis.set(world.key("events:p"), "no stream")
    found, _ = together(world, ends.finish("p", "completed", SUCCESS, fence=fence))
    assert isinstance(found[0], ScriptFailed)
    assert isinstance(found[0].__cause__, rex.ResponseError) or "WRONGTYPE" in found[0].reason
