"""What waiters of one OS process share: the table of who waits, and the thread that is told."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any

import pytest
from wakeline.errors import RedisUnavailable
from wakeline.store.calls import Call
from wakeline.store.tailer import Tailer, Tailers
from wakeline.store.tails import Subject, ToldEnd, told_after
from wakeline.store.waiters import AwaitedWaiter, BlockingWaiter

END = Subject("end", "p")


class Store:
    """The client of a tailer: a test says what it is told, and sees what it asked."""

    def __init__(self) -> None:
        self.items: SimpleQueue[str | dict[str, str] | Exception] = SimpleQueue()
        self.asked: list[dict[str, Any]] = []
        self.changed: list[Subject] = []
        self.fails = 0
        self.after: list[str] = []
        self.closed = threading.Event()

    def execute_together(self, calls: Sequence[Call[Any]]) -> list[Any]:
        if self.fails:
            self.fails -= 1
            raise RedisUnavailable(reason="away")
        self.asked += [dict(call.args) for call in calls]
        found = [[one for one in self.changed if [one.what, one.id] in _rows(call)] for call in calls]
        return found

    def read_told(self, tailer: str, after: str, ms: int) -> tuple[str, list[dict[str, str]]]:
        self.after.append(after)
        try:
            item = self.items.get(timeout=ms / 1000)
        except Exception:
            return after, []
        if isinstance(item, Exception):
            raise item
        return "5-0", [item if isinstance(item, dict) else {"t": item}]

    def close(self) -> None:
        self.closed.set()


def _rows(call: Call[Any]) -> list[list[str]]:
    return [row[:2] for row in call.args["rows"]]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr("wakeline.store.tailer.LOOK_S", 0.05)
    monkeypatch.setattr("wakeline.store.tailer.YOUNG_S", 0.0)
    monkeypatch.setattr("wakeline.store.tailer.AWAY_S", 0.01)
    return Store()


@pytest.fixture
def tailer(store: Store) -> Iterator[Tailer]:
    made = Tailer(lambda: store)
    yield made
    made.end()


def until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end, "it did not happen within 10 s"
        time.sleep(0.002)


def woken(waiter: BlockingWaiter) -> None:
    """It is woken, and not left to its time."""
    assert waiter._told.wait(10)


def looked_at(store: Store) -> list[list[Any]]:
    return [row for one in store.asked for row in one["rows"]]


def test_an_item_wakes_those_who_wait_for_it_and_no_others(
    tailer: Tailer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wakeline.store.tailer.LOOK_S", 600)
    waiters = {
        subject: BlockingWaiter(after)
        for subject, after in ((END, 9), (Subject("event", "p"), 2), (Subject("end", "other"), 0))
    }
    with (
        tailer.waiting(END, waiters[END]),
        tailer.waiting(Subject("event", "p"), waiters[Subject("event", "p")]),
        tailer.waiting(Subject("end", "other"), waiters[Subject("end", "other")]),
    ):
        store.items.put("event 2 p")
        store.items.put("event 3 p")
        woken(waiters[Subject("event", "p")])
        assert not any(one._told.wait(0) for one in waiters.values())
        store.items.put("end 4 p")
        woken(waiters[END])
        woken(waiters[Subject("event", "p")])
        assert not waiters[Subject("end", "other")]._told.wait(0)
    assert store.asked == []  # no look helped


def test_all_of_one_subject_are_woken_in_threads_and_on_two_loops(tailer: Tailer, store: Store) -> None:
    woken: list[str] = []
    waiting = threading.Semaphore(0)

    def in_thread() -> None:
        waiter = BlockingWaiter(0)
        with tailer.waiting(END, waiter):
            waiting.release()
            waiter.wait(None)
        woken.append("thread")

    async def on_loop() -> None:
        async def one() -> None:
            waiter = AwaitedWaiter(0)
            with tailer.waiting(END, waiter):
                waiting.release()
                await waiter.wait(None)
            woken.append("loop")

        await asyncio.gather(*(one() for _ in range(3)))

    threads = [threading.Thread(target=target, daemon=True) for target in (
        in_thread, in_thread, lambda: asyncio.run(on_loop()), lambda: asyncio.run(on_loop())
    )]  # fmt: skip
    for thread in threads:
        thread.start()
    for _ in range(8):
        assert waiting.acquire(timeout=10)
    assert len([one for one in threading.enumerate() if one.name == "wakeline-tailer" and one is tailer._ear]) == 1
    store.items.put("end 1 p")
    for thread in threads:
        thread.join(10)
    assert sorted(woken) == ["loop"] * 6 + ["thread"] * 2


def test_an_output_that_comes_with_an_end_is_given_to_those_who_wait_for_it_in_a_thread_and_on_a_loop(
    tailer: Tailer, store: Store
) -> None:
    blocking, other = BlockingWaiter(0), BlockingWaiter(0)

    async def on_loop() -> ToldEnd | None:
        waiter = AwaitedWaiter(0)
        with tailer.waiting(END, waiter):
            store.items.put({"t": "end 1 q end 1 p", "o": '{"p":["inc",{"type":"success","value":[1]}]}'})
            await waiter.wait(10_000)
        return waiter.end

    with tailer.waiting(END, blocking), tailer.waiting(Subject("end", "q"), other):
        told = asyncio.run(on_loop())
        woken(blocking)
        woken(other)
    assert told == blocking.end == ToldEnd("inc", {"type": "success", "value": [1]})
    assert other.end is None  # it was too long, or written by a release before: it is read


def test_an_awaited_waiter_that_is_not_woken_waits_for_its_time_alone() -> None:
    async def waits() -> None:
        waiter = AwaitedWaiter(0)
        await waiter.wait(1)
        assert waiter.end is None

    asyncio.run(asyncio.wait_for(waits(), 10))


def test_a_loop_that_was_closed_keeps_no_other_from_being_woken(tailer: Tailer, store: Store) -> None:
    kept: list[Any] = []

    async def leaves() -> None:
        waiter = AwaitedWaiter(0)
        held = tailer.waiting(END, waiter)
        held.__enter__()
        kept.append((waiter, held))

    asyncio.run(leaves())
    waiter = BlockingWaiter(0)
    with tailer.waiting(END, waiter):
        store.items.put("end 1 p")
        woken(waiter)
        assert tailer._ear is not None and tailer._ear.is_alive()
    kept.clear()


def test_what_no_item_told_is_found_by_the_look(tailer: Tailer, store: Store) -> None:
    waiter = BlockingWaiter(4)
    with tailer.waiting(Subject("event", "p"), waiter):
        until(lambda: ["event", "p", 4] in looked_at(store))
        store.changed = [Subject("event", "p")]
        woken(waiter)


def test_a_look_covers_thousands_with_256_a_call(tailer: Tailer, store: Store) -> None:
    waiters = [BlockingWaiter(0) for _ in range(1_000)]
    held = [tailer.waiting(Subject("end", f"p{n}"), waiter) for n, waiter in enumerate(waiters)]
    for one in held:
        one.__enter__()
    until(lambda: len(looked_at(store)) >= 3_000)
    assert max(len(one["rows"]) for one in store.asked) == 256
    for one in held:
        one.__exit__(None, None, None)


def test_a_waiter_that_left_in_order_or_by_an_exception_is_not_kept_and_the_store_is_told(
    tailer: Tailer, store: Store
) -> None:
    with pytest.raises(KeyboardInterrupt), tailer.waiting(END, BlockingWaiter(0)):
        raise KeyboardInterrupt
    with tailer.waiting(Subject("event", "other"), BlockingWaiter(0)):
        pass
    until(lambda: tailer._watched == {})
    until(lambda: [one.get("left") for one in store.asked if one.get("left")] == [[["event", "other"], ["event", "p"]]])


def test_a_waiter_whose_code_was_broken_off_at_any_line_is_not_kept(tailer: Tailer, store: Store) -> None:
    held = tailer.waiting(END, BlockingWaiter(0))
    held.__enter__()  # its `with` was broken off before it could leave
    gc.collect()
    until(lambda: tailer._watched == {})
    del held


def test_a_connection_that_breaks_once_wakes_no_one_and_one_look_follows(tailer: Tailer, store: Store) -> None:
    waiter = BlockingWaiter(0)
    with tailer.waiting(END, waiter):
        until(lambda: len(looked_at(store)) == 1)
        store.items.put("later 1 x")
        until(lambda: store.after[-1] == "5-0")
        store.items.put(RedisUnavailable(reason="gone"))
        until(lambda: store.after.count("0") >= 2)  # from the beginning: the server may be another one
        assert not waiter._told.wait(0)


def test_while_the_server_is_away_each_waiter_looks_by_itself_and_the_thread_goes_on(
    tailer: Tailer, store: Store
) -> None:
    store.fails = 3
    waiter = BlockingWaiter(0)
    with tailer.waiting(END, waiter):
        woken(waiter)
    again = BlockingWaiter(0)
    with tailer.waiting(END, again):
        until(lambda: store.fails == 0)
        store.items.put("end 1 p")
        woken(again)


def test_an_error_that_nothing_expects_leaves_no_waiter_hanging(
    tailer: Tailer, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    waiter = BlockingWaiter(0)
    with tailer.waiting(END, waiter):
        store.items.put(ValueError("a mistake"))
        store.items.put(ValueError("a mistake"))
        woken(waiter)
        store.items.put("end 1 p")
        woken(waiter)
    assert "a mistake" in caplog.text


def test_the_thread_ends_after_the_last_waiter_and_the_next_one_begins_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wakeline.store.tailer.LINGER_S", 0.02)
    stores = [store, Store()]
    given = iter(stores)
    tailer = Tailer(lambda: next(given))
    with tailer.waiting(END, BlockingWaiter(0)) as first:
        pass
    assert store.closed.wait(10)
    assert store.asked[-1] == {
        "tailer": first,
        "keep_ms": 60_000,
        "followed_ms": 60_000,
        "rows": [],
        "left": [["event", "p"]],
        "over": True,
    }
    waiter = BlockingWaiter(0)
    with tailer.waiting(END, waiter) as second:
        stores[1].items.put("end 1 p")
        woken(waiter)
    assert first != second
    assert stores[1].closed.wait(10)


def test_a_thread_that_nothing_needs_ends_before_it_looks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LINGER_S", 0.0), ("YOUNG_S", 0.0), ("LOOK_S", 0.001)):
        monkeypatch.setattr(f"wakeline.store.tailer.{name}", value)
    left, becomes_due = threading.Event(), iter([False])
    monkeypatch.setattr(
        "wakeline.store.tailer._Ear._is_due", property(lambda _: left.wait(60) and next(becomes_due, True))
    )
    tailer = Tailer(lambda: store)
    with tailer.waiting(END, BlockingWaiter(0)):
        pass
    left.set()
    assert store.closed.wait(60)
    assert [(one["left"], one.get("over")) for one in store.asked] == [([["event", "p"]], True)]


def test_where_no_thread_can_be_started_the_waiter_knows(tailer: Tailer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with tailer.waiting(END, BlockingWaiter(0)) as name:
        assert name is None


def test_a_forked_child_has_a_tailer_of_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tailers = Tailers(lambda: store)
    here = tailers.here
    assert tailers.here is here
    monkeypatch.setattr("os.getpid", lambda: 1)
    assert tailers.here is not here


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (None, ("3-0", [])),
        ([["told:t1", [["4-0", ["t", "end 1 p"]], ["5-0", ["t", ""]]]]], ("5-0", [{"t": "end 1 p"}, {"t": ""}])),
        ({"told:t1": [["4-0", {"t": "end 1 p"}]]}, ("4-0", [{"t": "end 1 p"}])),
    ],
)
def test_both_protocols_give_the_same_items(reply: Any, expected: tuple[str, list[dict[str, str]]]) -> None:
    assert told_after("3-0", reply) == expected
