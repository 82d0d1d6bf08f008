"""Indices of the filters of lists: what enters them, what leaves them, and that a list is right whatever they have."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any, cast

import pytest
from wakeline.errors import StoreOutOfMemory
from wakeline.observe.processes import ENDED, LIVE
from wakeline.observe.query import ProcessQuery
from wakeline.processes.lease import Fence
from wakeline.store import ends, processes, sessions
from wakeline.store import waits as stored_waits
from wakeline.store.calls import Call
from wakeline.store.processes import ListPage
from wakeline.values import from_json
from wakeline.verbs import looks

from tests.compat import before
from tests.lua.world import SUCCESS, WEEK_MS, World, signal, wait
from tests.servers import BACKENDS

SETTLED_MS = 501
TOOL: dict[str, Any] = {
    "input": {"type": "tool_call", "call": {"call_id": "c1", "tool_id": "tool:add", "tool_name": "add", "args": {}}},
    "identity": {"kind": "tool", "label": "add"},
}
NAPS: dict[str, Any] = {"input": {"type": "engine", "kind": "naps", "payload": None}, "identity": {"kind": "naps"}}
FILTERS: tuple[dict[str, Any], ...] = (
    {"name": "naps"},
    {"name": "add"},
    {"labels": {"tenant": "acme"}},
    {"labels": {"tenant": "acme", "tier": "gold"}, "waiting": "go"},
    {"kind": "job"},
    {"kind": "naps"},
    {"kind": "tool"},
    {"kind": "external"},
    {"kind": "session_turn"},
    {"session": "bot/1"},
    {"session": "bot/2"},
    {"parent": "p1"},
    {"parent": "p2", "kind": "naps"},
    {"waiting": "go"},
    {"waiting": "stop"},
    {"session": "bot/1", "waiting": "go"},
    {"kind": "job", "waiting": "go"},
    {"kind": "naps", "session": "bot/1"},
)


def settle(world: World, *statuses: str, of: str = "kspw") -> None:
    """Time passes, and the indices of these statuses (all) have all that is there."""
    world.pass_ms(SETTLED_MS)
    for status in statuses or LIVE + ENDED:
        for letter in of:
            while world.do(processes.index(status, letter)):
                pass


def listed(world: World, status: str = "any", limit: int = 1000, after: str | None = None, **by: Any) -> list[str]:
    """One page of the verb."""
    which = ProcessQuery(status=status, **by)
    return [row.id for row in world.store.run(looks.listed(which, limit=limit, after=after))]


def in_pages(world: World, limit: int, **by: Any) -> Iterator[list[str]]:
    """All pages of the verb, each asked for with the cursor of the one before."""
    page = world.store.run(looks.listed(ProcessQuery(**by), limit=limit))
    yield [row.id for row in page]
    while page.next:
        page = world.store.run(looks.listed(ProcessQuery(**by), limit=limit, after=page.next))
        yield [row.id for row in page]


def scanned(world: World, **by: Any) -> list[str]:
    """What a look at every record finds, newest first within each status."""
    found: list[str] = []
    for status in LIVE + ENDED:
        rows = cast("list[tuple[str, float]]", world.redis.zrange(world.key(f"idx:{status}"), 0, -1, withscores=True))
        for pid, _ in sorted(rows, key=lambda row: (row[1], row[0].encode()), reverse=True):
            record = world.redis.hgetall(world.key(f"proc:{pid}"))
            kind = {"t": "tool", "x": "external", "s": "session_turn"}.get(record["k"])
            kind = kind or record["cd"].removeprefix("e:")
            code = record.get("cd", "").partition(":")[2]
            labels = from_json(world.redis.get(world.key(f"spec:{pid}"))).get("labels", {})
            name = by.get("waiting")
            link = record.get(f"l:{name}")
            waits = f"n:{name}" in record or (link is not None and f"n:{link}" in record)
            if (
                by.get("kind", kind) == kind
                and by.get("parent") in (None, record.get("pa"))
                and by.get("name", code) == code
                and by.get("labels", {}).items() <= labels.items()
                and ("session" not in by or by["session"] in (record.get("ws"), record.get("sid")))
                and (name is None or waits)
            ):
                found.append(pid)
    return found


def entered(world: World) -> dict[str, list[str]]:
    """The indices, by status, filter and value."""
    prefix = world.key("by:")
    return {key.removeprefix(prefix): world.redis.zrange(key, 0, -1) for key in sorted(world.redis.keys(f"{prefix}*"))}


def reads(world: World, **by: Any) -> tuple[list[str], ListPage]:
    """What one call of the script finds."""
    page = world.do(processes.list_page(by.pop("statuses", LIVE), **by))
    return [row.process_id for row in page.rows], page


# -- entering and leaving


def test_a_process_is_entered_by_kind_session_parent_and_awaited_signal(world: World) -> None:
    world.parked("engine", wake="bot/1")
    world.start("tool", parent="engine", **TOOL)
    world.start("ci", kind="external", wake="bot/2")
    settle(world)
    assert entered(world) == {
        "queued:k:t": ["tool"],
        "queued:p:engine": ["tool"],
        "running:k:x": ["ci"],
        "running:s:bot/2": ["ci"],
        "waiting:k:e:job": ["engine"],
        "waiting:s:bot/1": ["engine"],
        "waiting:w:go": ["engine"],
    }
    assert world.field("ix", "engine") == "waiting k:e:job s:bot/1 w:go"
    assert listed(world, kind="job") == ["engine"]
    assert listed(world, session="bot/2") == ["ci"]
    assert listed(world, parent="engine") == ["tool"]
    assert listed(world, waiting="go") == ["engine"]


def test_what_began_less_than_half_a_second_ago_is_found_and_not_entered(world: World) -> None:
    world.start("p")
    assert world.do(processes.index("queued", "k")) is False
    assert (entered(world), listed(world, kind="job")) == ({}, ["p"])
    world.pass_ms(SETTLED_MS)
    assert world.do(processes.index("queued", "k")) is False
    assert (entered(world), listed(world, kind="job")) == ({"queued:k:e:job": ["p"]}, ["p"])


@pytest.mark.parametrize("how", ["resume", "end", "report", "claim", "park", "hand back", "prune"])
def test_a_process_leaves_its_indices_with_its_status(world: World, how: str) -> None:
    match how:
        case "claim":
            world.start()
            settle(world)
            assert world.field("ix") == "queued k:e:job"
            world.claim()
        case "park" | "hand back":
            fence = world.running()
            world.open(fence, wait("w1"))
            settle(world)
            assert world.field("ix") == "running k:e:job w:*"
            world.park(fence, "w1") if how == "park" else world.do(ends.release(fence))
        case "end":
            fence = world.running()
            settle(world)
            assert world.field("ix") == "running k:e:job w:*"
            world.finish("p", fence)
        case "report":
            world.start(kind="external")
            settle(world)
            assert world.field("ix") == "running k:x"
            world.finish()
        case "prune":
            world.finish("p", world.running())
            settle(world)
            assert world.field("ix") == "completed k:e:job"
            world.pass_ms(WEEK_MS + 1)
            world.tick()
        case _:
            world.parked()
            settle(world)
            assert world.field("ix") == "waiting k:e:job w:go"
            world.signal()
    assert (world.field("ix"), entered(world)) == (None, {})


def test_a_process_whose_record_is_long_leaves_its_indices_too(world: World) -> None:
    waits = [wait(f"w{n}", group=f"g{n}") for n in range(200)]
    world.parked("p", "o1", *waits)
    settle(world)
    assert world.field("ix") == "waiting k:e:job w:*"
    world.signal()
    assert (world.field("ix"), entered(world)) == (None, {})


def test_an_index_that_was_never_asked_for_costs_nothing(world: World) -> None:
    world.parked()
    world.pass_ms(60_000)
    assert listed(world, kind="job") == ["p"]
    world.signal()
    assert (entered(world), world.redis.exists(world.key("indexed"))) == ({}, 0)


def test_a_held_body_is_found_by_the_signal_that_it_begins_to_wait_for_after_it_was_entered(world: World) -> None:
    fence = world.running()
    settle(world)
    assert entered(world) == {"running:k:e:job": ["p"], "running:w:*": ["p"]}
    assert listed(world, waiting="go") == []
    world.open(fence, wait("w1"))
    assert listed(world, waiting="go") == ["p"]


def test_a_process_that_waits_for_many_signals_is_found_by_each(world: World) -> None:
    names = [f"go{n}" for n in range(12)]
    world.parked("many", "o1", *(wait(f"w-{name}", f"s:{name}", "g") for name in names))
    world.parked("two", "o1", wait("a", "s:go0", "t"), wait("b", "s:stop", "t"))
    settle(world)
    assert entered(world)["waiting:w:*"] == ["many"]
    assert [listed(world, waiting=name) for name in names] == [["two", "many"], *[["many"]] * 11]
    assert listed(world, waiting="stop") == ["two"]


def test_an_answered_signal_of_a_group_finds_its_process_no_more(world: World) -> None:
    world.parked("p", "o1", wait("a", "s:go", "g"), wait("b", "s:stop", "g"))
    settle(world)
    world.signal("p", "go")
    assert (listed(world, waiting="go"), listed(world, waiting="stop")) == ([], ["p"])


def test_a_signal_is_found_by_its_other_names(world: World) -> None:
    world.parked("p", "o1", wait("a", "s:approved", also=("accepted",)))
    settle(world)
    assert listed(world, waiting="accepted") == listed(world, waiting="approved") == ["p"]


def test_another_wake_target_is_found_at_once(world: World) -> None:
    world.do(sessions.send(world.session("bot/2"), '{"kind":"input","input":"hi"}'))
    world.parked(wake="bot/1")
    settle(world, "waiting")
    world.do(processes.retarget("p", "bot/2"))
    assert (listed(world, "waiting", session="bot/1"), listed(world, "waiting", session="bot/2")) == ([], ["p"])
    assert entered(world)["waiting:s:bot/2"] == ["p"]
    world.do(processes.retarget("p", None))
    assert (listed(world, "waiting", session="bot/2"), world.field("ix")) == ([], "waiting k:e:job w:go")


# -- what an index has wrong


def test_what_a_release_before_moved_is_not_shown_and_is_removed_by_the_list_that_meets_it(world: World) -> None:
    world.parked("stays")
    world.pass_ms(1)
    world.parked("goes", "o1", wait("w2"))
    settle(world)
    before.do(world, signal("goes", "go", "1"))
    assert entered(world)["waiting:k:e:job"] == ["stays", "goes"]
    assert listed(world, "waiting", kind="job") == ["stays"]
    assert entered(world)["waiting:k:e:job"] == ["stays"]
    assert listed(world, kind="job") == ["stays", "goes"]
    settle(world, "queued", of="k")  # the next script that enters or moves it takes it out of the others
    assert entered(world)["waiting:w:go"] == ["stays"]
    assert world.field("ix", "goes") == "queued k:e:job"


def test_what_is_there_is_no_stale_member(world: World) -> None:
    world.parked()
    settle(world, "waiting", of="k")
    assert world.do(processes.index("waiting", "", [["waiting", "k:e:job", "p"]])) is False
    assert entered(world) == {"waiting:k:e:job": ["p"]}


def test_what_stands_in_the_list_of_another_status_is_not_entered(world: World) -> None:
    world.parked()
    world.redis.zadd(world.key("idx:queued"), {"p": world.now()})
    settle(world, "queued")
    assert (entered(world), listed(world, "waiting", kind="job")) == ({}, ["p"])


def test_a_process_that_came_back_to_its_status_is_shown_once(world: World) -> None:
    world.parked("q")
    world.pass_ms(1)
    world.parked("p", "o1", wait("w0"))
    settle(world)
    stale = {key: dict(world.redis.zrange(world.key(f"by:{key}"), 0, -1, withscores=True)) for key in entered(world)}
    world.signal("p")
    fence = world.claim("p")
    world.open(fence, wait("w2", group="g2"))
    world.park(fence, "g2")
    for key, members in stale.items():  # as if a release before had moved it
        world.redis.zadd(world.key(f"by:{key}"), members)
    assert listed(world, kind="job") == ["p", "q"]
    assert list(in_pages(world, 1, kind="job")) == [["p"], ["q"]]


def test_a_list_is_right_where_the_clock_had_gone_back(world: World) -> None:
    world.start("a")
    settle(world)
    world.clock._now_ms -= 60_000
    world.start("b")
    assert listed(world, kind="job") == ["a", "b"]
    world.pass_ms(120_000)
    assert listed(world, kind="job") == ["a", "b"]
    settle(world)
    assert (listed(world, kind="job"), entered(world)["queued:k:e:job"]) == (["a", "b"], ["b", "a"])


@pytest.mark.parametrize("ticked", [False, True])
def test_one_that_comes_as_another_goes_while_the_clock_is_back_is_found(world: World, ticked: bool) -> None:
    world.start("a")
    settle(world)
    world.clock._now_ms -= 60_000
    if ticked:  # then it is found also once the clock is right again
        world.tick()
    world.start("b")
    world.worker()
    assert [claim.process_id for claim in world.take(n=1)] == ["a"]
    if ticked:
        world.pass_ms(120_000)
    assert listed(world, "queued", kind="job") == ["b"]


def test_the_slow_sweep_enters_what_a_release_before_gave_another_target(world: World) -> None:
    world.parked(wake="bot/1")
    settle(world)
    before.do(world, processes.retarget("p", "bot/2"))
    assert listed(world, session="bot/1") == []
    for _ in range(5):
        world.tick()
    assert listed(world, session="bot/2") == ["p"]
    assert "waiting:s:bot/1" not in entered(world)


# -- many


def many(world: World, n: int, **over: Any) -> list[str]:
    """Processes of one millisecond."""
    ids = [f"p{i:04}" for i in range(n)]
    for pid in ids:
        world.start(pid, **({"kind": "external"} | over))
    return ids


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
def test_a_list_that_looks_at_many_in_vain_enters_them_and_the_next_one_is_a_single_call(world: World) -> None:
    world.start("sought", kind="external", wake="bot/1")
    world.pass_ms(1)
    many(world, 700)
    world.pass_ms(SETTLED_MS)
    assert listed(world, session="bot/1") == ["sought"]
    assert entered(world) == {"running:s:bot/1": ["sought"]}
    found, page = reads(world, session_id="bot/1")
    assert (found, page.score) == (["sought"], "")
    assert world.redis.hget(world.key("indexed"), "running:s") == f"{world.now() - 500 + 1} 701 "


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
def test_many_of_one_millisecond_are_paged_without_losing_one_in_any_state_of_the_index(world: World) -> None:
    ids = many(world, 700)
    world.pass_ms(SETTLED_MS)
    for slices in range(4):
        pages = list(in_pages(world, 99, kind="external")) if slices != 1 else []
        if pages:
            assert [pid for page in pages for pid in page] == ids[::-1]
        world.do(processes.index("running", "k"))
    assert len(entered(world)["running:k:x"]) == 700
    assert [pid for page in in_pages(world, 99, kind="external") for pid in page] == ids[::-1]


def test_a_server_that_takes_no_writes_is_listed_by_the_scan(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.start("sought", kind="external", wake="bot/1")
    world.pass_ms(1)
    many(world, 300)
    world.pass_ms(SETTLED_MS)
    execute, refused = world.store.execute, list[str]()

    def refuse(call: Call[Any]) -> Any:
        if call.script == "process_index":
            refused.append(call.script)
            raise StoreOutOfMemory
        return execute(call)

    monkeypatch.setattr(world.store, "execute", refuse)
    assert listed(world, session="bot/1") == ["sought"]
    assert refused == ["process_index"]
    assert entered(world) == {}


# -- cursors


def test_pages_find_all_that_was_there_all_along_while_the_index_grows_between_them(world: World) -> None:
    for n in range(12):
        world.start(f"p{n:02}", kind="external")
        world.pass_ms(100)
    for at in range(3):
        pages = in_pages(world, 2, kind="external")
        found = [pid for page in islice(pages, at) for pid in page]
        world.finish(f"p{at:02}")
        world.start(f"new{at}", kind="external")
        settle(world, of="k")
        found += [pid for page in pages for pid in page]
        assert [pid for pid in found if pid.startswith("p") and pid > f"p{at:02}"] == [
            f"p{n:02}" for n in range(11, at, -1)
        ]
        assert len(found) == len(set(found))


# -- random histories


class Walk:
    """A random history, in which the indices are written now and then, for some of the statuses."""

    def __init__(self, world: World, seed: int, mixed: bool) -> None:
        self.world, self.random, self.n = world, Random(seed), 0
        self.fences: dict[str, Fence] = {}
        self.signals: dict[str, list[str]] = {}
        self.mixed = mixed

    def do(self, call: Call[Any]) -> Any:
        """Done by this release, or in a mixed fleet at times by the one before."""
        if self.mixed and self.random.random() < 0.5:
            return before.do(self.world, call)
        return self.world.do(call)

    def step(self) -> None:
        world, random = self.world, self.random
        match random.choice(
            ["start"] * 3 + ["run", "park", "signal", "end", "index", "index", "time", "target", "send", "release"]
        ):
            case "start":
                self.n += 1
                over = random.choice([{}, NAPS, TOOL, {"kind": "external"}])
                if self.n > 2 and random.random() < 0.4:
                    over = over | {"parent": random.choice(["p1", "p2"])}
                over = over | Random(self.n).choice(
                    [{}, {"labels": {"tenant": "acme"}}, {"labels": {"tenant": "acme", "tier": "gold"}}]
                )
                session = random.choice([None, "bot/1", "bot/2"])
                delay = random.choice([None, None, 700])
                self.do(
                    world.registering(f"p{self.n}", wake=session, delay_ms=None if "kind" in over else delay, **over)
                )
            case "run":
                world.worker()
                self.fences |= {claim.process_id: claim.fence for claim in world.take(n=2)}
            case "park" if self.fences:
                pid = random.choice(sorted(self.fences))
                names = random.sample(["go", "stop", "more"], random.randint(1, 2))
                tag = f"{pid}-{random.random()}"
                opened = [wait(f"{tag}-{name}", f"s:{name}", tag) for name in names]
                if all(one.state == "open" for one in world.open(self.fences[pid], *opened)) and random.random() < 0.7:
                    self.do(stored_waits.park(self.fences.pop(pid), [tag], '{"waits":[]}'))
                    self.signals[pid] = names
            case "signal" if self.signals:
                pid = random.choice(sorted(self.signals))
                self.do(signal(pid, self.signals[pid].pop(), str(random.random())))
                if not self.signals[pid]:
                    del self.signals[pid]
            case "end" if self.fences:
                pid = random.choice(sorted(self.fences))
                self.do(ends.finish(pid, "completed", SUCCESS, fence=self.fences.pop(pid)))
            case "release" if self.fences:
                pid = random.choice(sorted(self.fences))
                self.do(ends.release(self.fences.pop(pid)))
            case "target" if self.signals:
                world.do(
                    processes.retarget(random.choice(sorted(self.signals)), random.choice([None, "bot/1", "bot/2"]))
                )
            case "send":
                sid = random.choice(["bot/1", "bot/2"])
                world.do(sessions.send(world.session(sid), '{"kind":"input","input":"hello"}'))
            case "index":
                world.do(processes.index(random.choice(LIVE + ENDED), random.choice("kspwnl")))
            case _:
                world.pass_ms(random.choice([1, 200, 600]))

    def check(self, seed: int) -> None:
        for by in FILTERS:
            expected = scanned(self.world, **by)
            assert listed(self.world, **by) == expected, (seed, by)
            assert [pid for page in in_pages(self.world, 2, **by) for pid in page] == expected, (seed, by)


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
@pytest.mark.parametrize(("seed", "mixed"), [(1, False), (2, False), (3, True), (4, True)])
def test_a_filtered_list_is_what_a_look_at_every_record_finds(world: World, seed: int, mixed: bool) -> None:
    walk = Walk(world, seed, mixed)
    for step in range(160):
        walk.step()
        if step % 20 == 19:
            walk.check(seed)
    settle(world)
    walk.check(seed)
    assert len(entered(world)) >= 8
