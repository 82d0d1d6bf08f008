"""What tailers are told: an event and an end, in the step that writes it, to those alone who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from wakeline.store import ends, events, feed, sessions, tails
from wakeline.store.awaited import AsyncStore
from wakeline.store.blocking import SyncStore
from wakeline.store.connection import UrlBackend
from wakeline.store.tails import Subject, ToldEnd, ToldItem

from tests.lua.conftest import emptied
from tests.lua.world import SUCCESS, World, wait
from tests.servers import BACKENDS

INPUT = '{"kind":"input","input":"hello"}'
END, EVENT = Subject("end", "p"), Subject("event", "p")


def said(world: World, tailer: str = "t1") -> list[str]:
    """What a tailer was told since its stream began."""
    return [item["t"] for _, item in world.redis.xrange(world.key(f"told:{tailer}"))[1:]]


def read(world: World, tailer: str = "t1") -> list[ToldItem]:
    """What a tailer reads of that."""
    return [one for _, item in world.redis.xrange(world.key(f"told:{tailer}"))[1:] for one in tails.told(item)]


def log(world: World, pid: str = "p") -> None:
    world.do(events.append(pid, "log", "{}", canonical="{}"))


def test_who_waits_for_the_end_is_told_of_the_end_alone(world: World) -> None:
    world.start("p", kind="external")
    assert world.do(tails.watch("t1", [(END, 0)])) == []
    log(world)
    assert said(world) == []
    world.do(finishing("p"))
    assert said(world) == ["end 2 p"]


def finishing(pid: str) -> Any:
    return ends.finish(pid, "completed", SUCCESS, canonical="1")


def test_who_waits_for_events_is_told_of_each_and_of_the_end(world: World) -> None:
    world.start("p", kind="external")
    world.do(tails.watch("t1", [(EVENT, 0)]))
    log(world)
    log(world)
    world.do(finishing("p"))
    assert said(world) == ["event 1 p", "event 2 p", "end 3 p"]


def test_who_waits_for_both_is_told_once_of_each(world: World) -> None:
    world.start("p", kind="external")
    for subject in (END, EVENT, END):
        world.do(tails.watch("t1", [(subject, 0)]))
    assert world.field("tl") == "t1+"
    log(world)
    world.do(finishing("p"))
    assert said(world) == ["event 1 p", "end 2 p"]


@pytest.mark.parametrize(("subject", "after", "changed"), [(END, 0, []), (EVENT, 1, []), (EVENT, 0, [EVENT])])
def test_a_waiter_that_is_behind_is_told_so_at_once(
    world: World, subject: Subject, after: int, changed: list[Subject]
) -> None:
    world.start("p", kind="external")
    log(world)
    assert world.do(tails.watch("t1", [(subject, after)])) == changed


@pytest.mark.parametrize("subject", [END, EVENT, Subject("feed", "bot/1"), Subject("entry", "bot/1#1")])
def test_what_a_look_finds_without_its_mark_has_changed_as_the_store_went_back(world: World, subject: Subject) -> None:
    world.start("p", kind="external")
    world.do(sessions.send(world.session(), INPUT))
    after = world.do(feed.follow("bot/1", None)).reached if subject.what == "feed" else 0
    assert world.do(tails.watch("t1", [(subject, after)])) == []
    assert world.do(tails.look("t1", [(subject, after)], [])) == []
    world.redis.hdel(world.key("proc:p"), "tl")
    world.redis.hdel(world.key("wakes:bot/1"), "1:t")
    world.redis.set(world.key("followed:bot/1"), "1")
    assert world.do(tails.look("t1", [(subject, after)], [])) == [subject]
    assert world.do(tails.look("t1", [(subject, after)], [])) == []


def test_a_log_that_is_shorter_than_what_a_follower_was_told_has_changed(world: World) -> None:
    world.start("p", kind="external")
    assert world.do(tails.watch("t1", [(EVENT, 3)])) == []  # once a second is enough
    assert world.do(tails.look("t1", [(EVENT, 3)], [])) == [EVENT]


def test_what_has_ended_and_what_is_not_there_is_no_wait(world: World) -> None:
    world.start("p", kind="external")
    world.do(finishing("p"))
    rows = [(END, 0), (EVENT, 9), (Subject("end", "nothing"), 0), (Subject("event", "nothing"), 0)]
    assert world.do(tails.watch("t1", rows)) == [subject for subject, _ in rows]
    assert world.field("tl") is None
    assert world.redis.exists(world.key("proc:nothing")) == 0


def test_every_script_that_writes_an_event_tells_of_it(world: World) -> None:
    """The rest of what a process goes through; each kind of event is in the log once."""
    world.start("p")
    world.do(tails.watch("t1", [(EVENT, 0)]))
    fence = world.claim("p")
    world.open(fence, wait("w1"))
    world.park(fence, "w1")
    world.signal()
    world.cancel()
    world.finish("p", world.claim("p"))
    assert [f"{'end' if one == 'process.completed' else 'event'} {n} p" for n, one in enumerate(world.events(), 1)] == [
        word for text in said(world) for word in _by_three(text)
    ]
    assert world.events() == [
        "process.started",
        "process.waiting",
        "signal.go",
        "process.resumed",
        "process.cancel_requested",
        "process.completed",
    ]


def _by_three(text: str) -> list[str]:
    words = text.split(" ")
    return [" ".join(words[at : at + 3]) for at in range(0, len(words), 3)]


def test_what_nothing_waits_for_is_told_to_no_one(world: World) -> None:
    world.start("p")
    world.finish("p", world.claim("p"))
    assert world.redis.keys(world.key("told:*")) == []


def test_a_stream_that_is_gone_is_not_made_again_by_an_end(world: World) -> None:
    world.start("p", kind="external")
    world.do(tails.watch("t1", [(END, 0)]))
    world.redis.delete(world.key("told:t1"))
    world.do(finishing("p"))
    assert world.redis.keys(world.key("told:*")) == []


def test_ends_of_one_bundle_are_one_item(world: World) -> None:
    for n in range(3):
        world.start(f"a process #{n}", kind="external")
    world.do(tails.watch("t1", [(Subject("end", f"a process #{n}"), 0) for n in range(3)]))

    async def end_all() -> None:
        store = AsyncStore(world.backend, world.store.address)
        await store.execute_together([finishing(f"a process #{n}") for n in range(3)])
        await store.close()

    asyncio.run(end_all())
    assert said(world) == ["end 1 a%20process%20%230 end 1 a%20process%20%231 end 1 a%20process%20%232"]
    assert [(one.what, one.number, one.id) for one in read(world)] == [
        ("end", 1, "a process #0"),
        ("end", 1, "a process #1"),
        ("end", 1, "a process #2"),
    ]
    assert [one.end for one in read(world)] == [
        ToldEnd(str(world.field("inc", f"a process #{n}")), {"type": "success", "value": 1}) for n in range(3)
    ]


def test_a_short_output_comes_with_its_end_and_a_long_one_or_a_stand_in_is_read(world: World) -> None:
    outputs = {
        "short": '{"type":"success","value":"' + "x" * 480 + '"}',
        "long": '{"type":"success","value":"' + "x" * 490 + '"}',
        "stand-in": '{"__claim__":"sha256:' + "0" * 64 + '"}',
    }
    for pid in outputs:
        world.start(pid, kind="external")
    world.do(tails.watch("t1", [(Subject("end", pid), 0) for pid in outputs]))
    for pid, output in outputs.items():
        world.store.execute(replace(finishing(pid), args={**finishing(pid).args, "output": output}, payloads=None))
    told = {one.id: one.end for one in read(world)}
    assert told["short"] == ToldEnd(str(world.field("inc", "short")), {"type": "success", "value": "x" * 480})
    assert (told["long"], told["stand-in"]) == (None, None)


@pytest.mark.parametrize("outputs", ["", "[", "1", '{"p":1}', '{"p":[1,{}]}', '{"p":["inc",{},1]}', '{"q":["inc",1]}'])
def test_outputs_of_a_later_release_are_left_out_if_they_have_another_form(outputs: str) -> None:
    assert list(tails.told({"t": "end 3 p", "o": outputs})) == [ToldItem("end", 3, "p")]


def test_who_follows_a_session_is_told_of_each_item_and_what_is_missed_is_seen(world: World) -> None:
    sid, items = "bot/a b", Subject("feed", "bot/a b")
    world.do(sessions.create(world.session(sid)))
    assert world.do(tails.watch("t1", [(items, 0)])) == [items]  # it is not followed yet
    page = world.do(feed.follow(sid, None))
    assert world.do(tails.watch("t1", [(items, page.reached)])) == []
    world.do(sessions.send(world.session(sid), INPUT))
    assert said(world) == [f"feed {page.reached + 1} bot/a%20b"]
    assert read(world) == [ToldItem("feed", page.reached + 1, sid)]
    assert world.do(tails.watch("t1", [(items, page.reached)])) == [items]
    world.do(tails.look("t1", [], [items]))
    assert world.redis.get(world.key(f"followed:{sid}")) == "1"
    assert 50_000 < world.redis.pttl(world.key(f"followed:{sid}")) <= 60_000
    world.do(sessions.send(world.session(sid), INPUT))
    assert len(said(world)) == 1


def test_a_session_is_followed_while_a_look_has_a_waiter_of_it(world: World) -> None:
    items, key = Subject("feed", "bot/1"), world.key("followed:bot/1")
    world.do(sessions.create(world.session()))
    reached = world.do(feed.follow("bot/1", None)).reached
    world.do(tails.watch("t1", [(items, reached)]))
    world.redis.pexpire(key, 5_000)
    assert world.do(tails.look("t1", [(items, reached)], [])) == []
    assert world.redis.pttl(key) > 50_000
    world.redis.delete(key)  # it was not: changes were told to no one
    assert world.do(tails.look("t1", [(items, reached)], [])) == [items]


def test_who_waits_for_an_entry_is_told_of_its_end_alone(world: World) -> None:
    entry = Subject("entry", "bot/1#1")
    assert world.do(tails.watch("t1", [(entry, 0)])) == [entry]  # it is not there
    world.do(sessions.send(world.session(), INPUT))
    world.do(sessions.send(world.session(), INPUT))
    assert world.do(tails.watch("t1", [(entry, 0)])) == []
    assert world.redis.hget(world.key("wakes:bot/1"), "1:t") == "t1"
    world.worker()
    [turn] = world.take()
    world.do(sessions.admit(turn.fence, "bot/1", 1))
    assert said(world) == []  # admitted: its life goes on
    world.finish(turn.process_id, turn.fence)
    assert said(world) == ["entry 1 bot/1"]
    assert [subject for one in read(world) for subject in one.subjects] == [entry]
    assert world.redis.hget(world.key("wakes:bot/1"), "1:t") is None
    assert world.do(tails.watch("t1", [(entry, 0)])) == [entry]


def test_an_item_of_a_later_release_is_read_as_far_as_it_is_known() -> None:
    said = {"t": "end 3 p later 7 x event 4 a%20b", "later": "x"}
    assert list(tails.told(said)) == [ToldItem("end", 3, "p"), ToldItem("event", 4, "a b")]
    assert list(tails.told({"t": ""})) == list(tails.told({"t": "end x p"})) == list(tails.told({})) == []


def test_the_stream_of_a_tailer_lives_a_minute_longer_with_each_look_and_ends_with_the_last_call(world: World) -> None:
    world.start("p", kind="external")
    key = world.key("told:t1")
    world.do(tails.watch("t1", [(END, 0)]))
    assert 50_000 < world.redis.pttl(key) <= 60_000
    world.redis.pexpire(key, 10_000)
    world.do(tails.watch("t1", [(END, 0)]))
    assert world.redis.pttl(key) <= 10_000
    world.do(tails.look("t1", [], []))
    assert world.redis.pttl(key) > 50_000
    assert world.redis.xlen(key) == 1
    world.do(tails.leave("t1", [EVENT]))
    assert (world.redis.exists(key), world.field("tl")) == (0, None)


def test_a_stream_keeps_the_latest_items(world: World) -> None:
    world.start("p", kind="external")
    world.do(tails.watch("t1", [(EVENT, 0)]))
    key = world.key("told:t1")
    with world.redis.pipeline(transaction=False) as several:
        for n in range(4_500):
            several.xadd(key, {"t": f"event {n} other"})
        several.execute()
    log(world)
    assert world.redis.xlen(key) <= 4_096 + 100  # whole nodes of the stream are dropped
    assert said(world)[-1] == "event 1 p"


@pytest.mark.parametrize("server", BACKENDS[1:])
@pytest.mark.parametrize("functions", ["", " without functions"])
def test_a_server_without_memory_and_a_user_who_may_write_nothing_are_answered_all_the_same(
    server: str, functions: str, lua_server: Callable[[str], str]
) -> None:
    world = World.on(emptied(server + functions, lua_server))
    world.start("p", kind="external")
    world.start("over", kind="external")
    world.do(finishing("over"))
    rows = [(END, 0), (Subject("end", "over"), 0)]
    with UrlBackend(lua_server(server)).sync() as client:
        client.config_set("maxmemory", "1")
        try:
            assert world.do(tails.watch("t1", rows)) == [Subject("end", "over")]
        finally:
            client.config_set("maxmemory", "0")
        client.acl_setuser(
            "reads",
            enabled=True,
            passwords=["+reads"],
            keys=["*"],
            categories=["+@read", "+@scripting", "+@connection"],
        )
    at = urlsplit(lua_server(server))
    reads = urlunsplit(at._replace(netloc=f"reads:reads@{at.hostname}:{at.port}"))
    store = SyncStore(UrlBackend(reads), replace(world.store.address, only_looks=True))
    assert store.execute(tails.watch("t2", rows)) == [Subject("end", "over")]
    assert "t2" not in (world.field("tl") or "")
    store.close()
    world.store.close()
