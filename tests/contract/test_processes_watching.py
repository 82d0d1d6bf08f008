"""Who looks at a process and waits for it: status, result, events (P138, P215, P217 to P220)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from wakeline.errors import ProcessNotFound, ScriptFailed
from wakeline.observe.processes import Status
from wakeline.processes.outputs import AwaitOutput, Success
from wakeline.store import waits
from wakeline.store.calls import Change, Program
from wakeline.store.tails import ToldEnd
from wakeline.verbs import looks, processes

if TYPE_CHECKING:
    from tests.contract.conftest import World


@pytest.fixture(autouse=True)
def no_look_helps_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that is not ended by an event lasts longer than any test waits for it."""
    monkeypatch.setattr("wakeline.store.tailer.YOUNG_S", 600)


def begun(look: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    return thread


def ended(threads: list[threading.Thread]) -> bool:
    for thread in threads:
        thread.join(30)
    return not any(thread.is_alive() for thread in threads)


def test_an_end_between_a_waiters_look_and_its_wait_is_not_missed(world: World) -> None:
    world.start("x", kind="external")
    learned: list[AwaitOutput] = []

    def interrupted() -> Program[AwaitOutput]:
        waiting = looks.await_output(world.caller, "x", None)
        look = waiting.send(None)
        seen = yield look
        assert seen.status == "running"
        wait = waiting.send(seen)
        world.finish("x", 42)
        assert wait == Change("x", 0, None, "end")
        yield wait
        look = waiting.send(None)
        seen = yield look
        try:
            waiting.send(seen)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        raise AssertionError("it waits although the process has ended")

    assert ended([begun(lambda: learned.append(world.go(interrupted())))])
    assert learned == [Success(42)]


@pytest.mark.parametrize(("incarnation", "learned"), [(None, Success("told")), ("another", Success("read"))])
def test_an_output_that_a_waiter_is_told_is_taken_for_the_incarnation_that_it_saw_alone(
    world: World, incarnation: str | None, learned: AwaitOutput
) -> None:
    world.start("x", kind="external")
    waiting = looks.await_output(world.caller, "x", None)
    seen = world.store.execute(waiting.send(None))  # type: ignore[arg-type]
    waiting.send(seen)
    world.finish("x", "read")
    told = ToldEnd(incarnation or seen.incarnation, {"type": "success", "value": "told"})
    with pytest.raises(StopIteration) as end:
        waiting.send(world.store.execute(waiting.send(told)))  # type: ignore[arg-type]
    assert end.value.value == learned


def test_every_waiter_learns_the_same_end(world: World) -> None:
    world.start("x", kind="external")
    learned: list[AwaitOutput] = []
    # More than a client has connections: if each wait took one, none were left for the end that they wait for.
    waiters = [begun(lambda: learned.append(world.go(looks.await_output(world.caller, "x", None)))) for _ in range(8)]
    world.finish("x", {"paid": [1]})
    assert ended(waiters)
    assert learned == [Success({"paid": [1]})] * 8


def test_a_log_that_cannot_be_read_is_an_error_and_not_an_empty_one(world: World) -> None:
    world.start("x", kind="external")
    world.store.client.set("{" + world.namespace + "}:events:x", "damaged")
    with pytest.raises(ScriptFailed):
        world.view("x")
    with pytest.raises(ScriptFailed):
        world.go(looks.await_output(world.caller, "x", None))


def test_a_status_says_what_a_process_is_and_waits_for(world: World) -> None:
    fence = world.running("p", identity={"kind": "job", "label": "nightly"})
    world.clock.advance("1s")
    assert world.go(looks.status("p")) == Status(
        "p", "running", "job", "nightly", 1_700_000_000_000, 1_700_000_000_000, 0, (), "o_1", seen_ms=1_700_000_001_000
    )
    world.wait_for(fence, "go")
    world.do(waits.park(fence, ["go.1"], "{}"))
    assert world.go(looks.status("p")) == Status(
        "p",
        "waiting",
        "job",
        "nightly",
        1_700_000_000_000,
        1_700_000_001_000,
        2,
        ("go",),
        None,
        seen_ms=1_700_000_001_000,
    )
    with pytest.raises(ProcessNotFound):
        world.go(looks.status("nobody"))


def follow(world: World, pid: str, after: int, upto: int | None = None, *, wait: bool = True) -> list[tuple[int, str]]:
    """The events after a sequence, until the end of the process or one sequence, or (without waiting) as many as there
    are."""

    def program() -> Program[list[tuple[int, str]]]:
        seen: list[tuple[int, str]] = []
        reached, more = after, True
        while more and (upto is None or reached < upto):
            page = yield from looks.events(pid, reached, follow=wait)
            seen.extend((event.sequence, event.type) for event in page.events)
            assert len(seen) < 1_000, "the same events again and again"
            reached, more = page.after, page.more
        return seen

    return list(world.go(program()))


def test_a_follower_sees_everything_to_the_end_and_goes_on_where_it_stopped(world: World) -> None:
    world.start("x", kind="external")
    world.go(processes.cancel(world.caller, "x", "soon"))
    for n in range(299):
        world.append("x", "log", n)
    first = follow(world, "x", 0, upto=1)
    assert len(follow(world, "x", 0, wait=False)) == 300
    world.finish("x", 1)
    rest = follow(world, "x", first[-1][0])
    assert len(first) == 256  # a page
    assert [sequence for sequence, _ in first + rest] == list(range(1, 302))
    assert (first[0][1], rest[-1][1]) == ("process.cancel_requested", "process.completed")
    assert {kind for _, kind in (first + rest)[1:-1]} == {"log"}


def test_a_follower_beside_many_writers_sees_every_event_once_and_in_order(world: World) -> None:
    world.start("x", kind="external")
    seen: list[tuple[int, str]] = []
    follower = begun(lambda: seen.extend(follow(world, "x", 0)))
    writers = [begun(lambda w=w: [world.append("x", "log", f"{w}.{n}") for n in range(12)]) for w in range(4)]  # type: ignore[misc]
    assert ended(writers)
    world.finish("x")
    assert ended([follower])
    assert seen == [*((n, "log") for n in range(1, 49)), (49, "process.completed")]
    written = [json.loads(event.payload) for event in world.log("x")[:-1]]
    assert sorted(written) == sorted(f"{w}.{n}" for w in range(4) for n in range(12))
    for w in range(4):
        assert [text for text in written if text.startswith(f"{w}.")] == [f"{w}.{n}" for n in range(12)]
