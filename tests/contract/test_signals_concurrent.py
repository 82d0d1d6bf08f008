"""The races of slots and signals under real concurrency: eight threads, thousands of signals, on the fake and on every
real server.

Each test drives the store through clients of its own and checks what came of it against what was sent; the numbers are
of the reference's lists of races (slots: S1 to S11, signals: a to e).
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from wakeline.errors import LeaseLost, MailboxFull, ProcessAlreadyTerminal
from wakeline.processes.lease import Fence
from wakeline.store import ends as stored_ends
from wakeline.store import journal, owners, sessions
from wakeline.store import waits as stored_waits
from wakeline.store.journal import Row
from wakeline.store.waits import LetGo

from tests.contract.conftest import signal_wait

if TYPE_CHECKING:
    from tests.contract.conftest import World

THREADS = 8
SIGNALS = 250
SLOTS = 150


def side_by_side(*works: Callable[[], None]) -> None:
    """Runs them at once; raises what the first one that failed raised."""
    failed: list[BaseException] = []
    gate = threading.Barrier(len(works))

    def guarded(work: Callable[[], None]) -> None:
        try:
            gate.wait()
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if failed:
        raise failed[0]


def ok(value: object) -> str:
    return json.dumps({"status": "ok", "value": value}, separators=(",", ":"))


def outside(slot: str) -> stored_waits.Wait:
    """A wait that is resolved from outside."""
    return stored_waits.Wait(slot=slot, replay_key=f"wait-{slot}", group=slot, kind="x:ask")


def resolve(world: World, slot: str, value: object) -> stored_waits.Resolved:
    found: stored_waits.Resolved = world.do(stored_waits.resolve("p", "inc00001", slot, ok(value)))
    return found


# -- slots


def test_s3_of_eight_resolvers_of_one_slot_one_is_accepted_and_all_others_learn_of_it(world: World) -> None:
    fence = world.running("p")
    slots = [f"s{n}" for n in range(SLOTS)]
    world.open(fence, *map(outside, slots))
    told: list[tuple[str, int, stored_waits.Resolved]] = []

    def resolves(me: int) -> Callable[[], None]:
        def work() -> None:
            order = slots[:]
            Random(me).shuffle(order)
            told.extend((slot, me, resolve(world, slot, me)) for slot in order)

        return work

    side_by_side(*map(resolves, range(THREADS)))
    winners = {slot: me for slot, me, answer in told if answer.accepted}
    assert Counter(slot for slot, _, answer in told if answer.accepted) == Counter(slots)
    assert {(slot, answer.standing) for slot, _, answer in told if not answer.accepted} == {
        (slot, ok(winners[slot])) for slot in slots
    }
    _, standing = world.do(stored_waits.read_slots(fence, slots))
    assert standing == [ok(winners[slot]) for slot in slots]


def test_s1_s2_s5_s6_a_resolution_before_beside_or_after_the_wait_reaches_it(world: World) -> None:
    """Four threads open waits while four others resolve the same slots: the second one sees the first."""
    fence = world.running("p")
    slots = [f"s{n}" for n in range(SLOTS)]

    def opens(me: int) -> Callable[[], None]:
        return lambda: [world.open(fence, outside(slot)) for slot in slots[me::4]] and None

    def resolves(me: int) -> Callable[[], None]:
        return lambda: [resolve(world, slot, slot) for slot in slots[me::4]] and None

    side_by_side(*map(opens, range(4)), *map(resolves, range(4)))
    _, standing = world.do(stored_waits.read_slots(fence, slots))
    assert standing == [ok(slot) for slot in slots]
    assert [opened.text for opened in world.open(fence, *map(outside, slots))] == [ok(slot) for slot in slots]


def test_s4_a_resolution_a_timeout_and_a_cancel_of_one_slot_leave_one_winner_whom_everybody_is_told(
    world: World,
) -> None:
    fence = world.running("p")
    slots = [f"s{n}" for n in range(SLOTS)]
    world.open(
        fence, *(stored_waits.Wait(slot=s, replay_key=f"wait-{s}", group=s, kind="x:ask", for_ms=1_000) for s in slots)
    )
    world.clock.advance("2s")
    told: list[tuple[str, stored_waits.Resolved]] = []

    def resolves(me: int) -> Callable[[], None]:
        return lambda: told.extend((slot, resolve(world, slot, me)) for slot in slots[me % 2 :: 2])

    def cancels() -> None:
        world.do(stored_ends.cancel("p", "asked", grace_ms=10**9))

    def ticks() -> None:
        for _ in range(10):
            world.tick(limit=20)

    side_by_side(*map(resolves, range(6)), cancels, ticks)
    _, standing = world.do(stored_waits.read_slots(fence, slots))
    for slot, answer in told:
        assert answer.accepted or answer.standing == standing[slots.index(slot)]
    accepted = Counter(slot for slot, answer in told if answer.accepted)
    assert max(accepted.values(), default=1) == 1
    assert {slot for slot, text in zip(slots, standing, strict=True) if text and '"ok"' in text} == set(accepted)
    assert all(standing)


def test_s8_once_its_process_has_ended_no_key_of_it_is_good_for_anything(world: World) -> None:
    """A key that was answered before says so, while the process is there; the others are unknown."""
    fence = world.running("p")
    slots = [f"s{n}" for n in range(SLOTS)]
    world.open(fence, *map(outside, slots))
    told: list[tuple[str, stored_waits.Resolved]] = []

    def resolves(me: int) -> Callable[[], None]:
        return lambda: told.extend((slot, resolve(world, slot, me)) for slot in slots)

    side_by_side(*map(resolves, range(THREADS - 1)), lambda: world.finish("p", 1, fence) and None)
    accepted = [slot for slot, answer in told if answer.accepted]
    assert len(accepted) == len(set(accepted))
    late = {slot: resolve(world, slot, "late") for slot in slots}
    assert not any(answer.accepted for answer in late.values())
    assert {slot for slot, answer in late.items() if not answer.unknown} == set(accepted)


def test_s9_s10_many_who_wait_on_one_key_all_have_its_resolution_also_after_a_cold_start(world: World) -> None:
    fence = world.running("p")
    seen: list[str | None] = []

    def waits() -> None:
        text = world.open(fence, outside("one"))[0].text
        while not text.startswith('{"status"'):
            text = world.do(stored_waits.read_slots(fence, ["one"]))[1][0] or ""
        seen.append(text)

    side_by_side(*[waits] * (THREADS - 1), lambda: resolve(world, "one", "answer") and None)
    assert seen == [ok("answer")] * (THREADS - 1)
    world.lose("o_1")
    world.worker("o_2")
    (claim,) = world.take("o_2")
    assert claim.slots["one"]["r"] == ok("answer")
    assert world.reopened().open(claim.fence, outside("one")) == [stored_waits.Opened("done", ok("answer"))]


def test_s11_the_end_of_sessions_revokes_no_key_of_a_process(world: World) -> None:
    fence = world.running("p")
    slots = [f"s{n}" for n in range(SLOTS)]
    world.open(fence, *map(outside, slots))
    for n in range(THREADS):
        world.do(sessions.create(world.session(f"bot/{n}")))
        world.do(sessions.grant(f"session:bot/{n}", "p", "{}"))

    def deletes(me: int) -> Callable[[], None]:
        return lambda: world.do(sessions.delete(f"bot/{me}")) and None

    accepted: list[bool] = []
    side_by_side(*map(deletes, range(4)), lambda: accepted.extend(resolve(world, slot, 1).accepted for slot in slots))
    assert accepted == [True] * SLOTS


# -- signals


class Consumer:
    """A body that takes signal after signal: opens its next wait, journals what it got, parks when there is nothing,
    dies now and then."""

    def __init__(self, world: World, *, wanted: int, dies: bool = False, gives_up: bool = False) -> None:
        self.world, self.wanted, self.dies, self.gives_up = world, wanted, dies, gives_up
        self.random = Random(7)
        self.fence: Fence = world.running("p")
        self.owner = 1
        self.ordinal = 0
        self.got: list[Any] = []
        self.did: Counter[str] = Counter()
        self.room = threading.Semaphore(1)
        """How many signals those who send behind it may have under way."""

    def work(self) -> None:
        while len(self.got) < self.wanted:
            self.ordinal += 1
            self.take_one()

    def take_one(self) -> None:
        opened = self.world.wait_for(self.fence, "go", self.ordinal)
        text = opened.text if opened.state == "done" else None
        if text is None and self.gives_up and self.random.random() < 0.5:
            self.did["gave up"] += 1
            self.world.do(stored_waits.close_waits(self.fence, [f"slot-go.{self.ordinal}"]))
            return
        if text is None:
            text = self.parked()
        if self.dies and self.random.random() < 0.1:
            self.die()
            again = self.world.wait_for(self.fence, "go", self.ordinal)
            assert (again.state, again.text) == ("done", text)  # not journaled: the same wait has the same signal
        self.world.do(journal.record(self.fence, [Row(f"wait-go.{self.ordinal}", text, (f"slot-go.{self.ordinal}",))]))
        self.got.append(json.loads(text)["value"])
        self.room.release()

    def parked(self) -> str:
        if isinstance(self.world.do(stored_waits.park(self.fence, [f"go.{self.ordinal}"], "{}")), LetGo):
            self.did["parked"] += 1
            claims: tuple[Any, ...] = ()
            while not claims:
                claims = self.world.take(f"o_{self.owner}")
            self.fence = claims[0].fence
        text = self.world.do(stored_waits.read_slots(self.fence, [f"slot-go.{self.ordinal}"]))[1][0]
        assert text is not None
        return text

    def die(self) -> None:
        dead = self.fence
        self.world.do(owners.reap(f"o_{self.owner}", "shutdown"))
        self.owner += 1
        self.world.worker(f"o_{self.owner}")
        (claim,) = self.world.take(f"o_{self.owner}")
        self.fence = claim.fence
        self.did["died"] += 1
        with pytest.raises(LeaseLost):
            self.world.do(stored_waits.close_waits(dead, [f"slot-go.{self.ordinal}"]))


def sender(world: World, me: int, *, resends: bool = True, behind: Consumer | None = None) -> Callable[[], None]:
    """Sends its signals in order, some of them several times, and waits while the mailbox is full; ``behind`` a
    consumer, so that its wait is open."""

    def work() -> None:
        random = Random(me)
        for n in range(SIGNALS):
            if behind is not None:
                behind.room.acquire()
            while True:
                try:
                    first = world.signal("p", "go", [me, n], key=f"{me}.{n}")
                    break
                except MailboxFull:
                    continue
            if resends and random.random() < 0.3:
                old = random.randrange(n + 1)
                again = world.signal("p", "go", [me, old], key=f"{me}.{old}")
                assert (again.replayed, again.taken_by) == (True, "")
                assert old < n or again.sequence == first.sequence

    return work


def check_consumed(world: World, consumer: Consumer) -> None:
    """Each signal once, in the order of the log, and of each sender in the order it sent them."""
    assert Counter(map(tuple, consumer.got)) == Counter((me, n) for me in range(THREADS) for n in range(SIGNALS))
    assert world.store.client.llen(world.store.address.prefix + "mail:p") == 0
    for me in range(THREADS):
        assert [n for who, n in consumer.got if who == me] == list(range(SIGNALS))
    logged: list[Any] = []
    while page := world.view("p", after=len(logged) and logged[-1][0]).events:
        logged += [(event.sequence, event.type, event.payload) for event in page]
    assert [json.loads(payload) for _, kind, payload in logged if kind == "signal.go"] == consumer.got


def test_signals_a_b_c_of_eight_senders_are_each_consumed_once_and_in_order(world: World) -> None:
    """2,000 signals, a third of them sent again while later ones are waited for."""
    consumer = Consumer(world, wanted=THREADS * SIGNALS)
    side_by_side(*(sender(world, me) for me in range(THREADS)), consumer.work)
    check_consumed(world, consumer)


def test_signals_d_e_reach_a_consumer_whose_workers_die_again_and_again(world: World) -> None:
    consumer = Consumer(world, wanted=THREADS * SIGNALS, dies=True)
    side_by_side(*(sender(world, me) for me in range(THREADS)), consumer.work)
    check_consumed(world, consumer)
    assert consumer.did["died"] >= 50


def test_signals_meet_waits_that_are_given_up_and_none_is_lost(world: World) -> None:
    """Senders that do not run ahead, so that waits are open when a signal comes, and many are given up at that very
    moment."""
    consumer = Consumer(world, wanted=THREADS * SIGNALS, gives_up=True)
    side_by_side(*(sender(world, me, resends=False, behind=consumer) for me in range(THREADS)), consumer.work)
    check_consumed(world, consumer)
    assert consumer.did["gave up"] and consumer.did["parked"]  # how often is up to the machine


def test_signals_and_an_end_at_once_every_accepted_one_is_in_the_log_and_none_after_the_end(world: World) -> None:
    fence = world.running("p")
    accepted: list[list[int]] = []

    def sends(me: int) -> Callable[[], None]:
        def work() -> None:
            for n in range(SIGNALS):
                try:
                    world.signal("p", "go", [me, n], key=f"{me}.{n}")
                except (ProcessAlreadyTerminal, MailboxFull):
                    return
                accepted.append([me, n])

        return work

    def ends() -> None:
        while len(accepted) < 300:
            pass
        world.finish("p", 1, fence)

    side_by_side(*map(sends, range(THREADS - 1)), ends)
    logged: list[Any] = []
    while page := world.view("p", after=len(logged) and logged[-1].sequence).events:
        logged += page
    assert sorted(json.loads(event.payload) for event in logged if event.type == "signal.go") == sorted(accepted)
    assert logged[-1].type == "process.completed"


def test_two_names_are_two_queues_whoever_waits_for_which(world: World) -> None:
    fence = world.running("p")
    got: dict[str, list[int]] = {"a": [], "b": []}

    def takes(name: str) -> Callable[[], None]:
        def work() -> None:
            for ordinal in range(1, SIGNALS + 1):
                wait = signal_wait(name, ordinal)
                opened = world.open(fence, wait)[0]
                text = opened.text if opened.state == "done" else None
                while text is None:
                    text = world.do(stored_waits.read_slots(fence, [wait.slot]))[1][0]
                world.do(journal.record(fence, [Row(wait.replay_key, text, (wait.slot,))]))
                got[name].append(json.loads(text)["value"])

        return work

    def sends(name: str, me: int) -> Callable[[], None]:
        return lambda: [world.signal("p", name, n, key=f"{name}.{n}") for n in range(me, SIGNALS, 3)] and None

    side_by_side(takes("a"), takes("b"), *(sends(name, me) for name in ("a", "b") for me in range(3)))
    assert {name: sorted(found) for name, found in got.items()} == {
        "a": list(range(SIGNALS)),
        "b": list(range(SIGNALS)),
    }
