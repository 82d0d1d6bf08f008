"""What went wrong is told in the log, once, and in a bounded number of events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wakeline.processes.misfit import Misfit
from wakeline.processes.outputs import Failure, to_json
from wakeline.store import ends, journal, processes
from wakeline.store.journal import FailedAttempt, Row

from tests.lua.world import World, consumed, wait

T0 = 1_700_000_000_000
FAILED = to_json(Failure("execution", "ValueError", "busy"))


def row(number: int, delay_ms: int | None = 500) -> Row:
    """The row of a failed attempt."""
    failed = FailedAttempt(number, '{"tool":"charge","code":"ValueError"}', delay_ms)
    return Row(f"c~{number}", '{"n":1}', failed=failed)


def payloads(world: World, event_type: str, pid: str = "p") -> list[dict[str, Any]]:
    found = world.do(processes.read(pid, count=1000)).events
    return [json.loads(event.payload) for event in found if event.type == f"process.{event_type}"]


def test_the_row_of_a_failed_attempt_brings_its_event_once_though_it_is_sent_twice(world: World) -> None:
    fence = world.running()
    world.pass_ms(100)
    for _ in range(2):
        world.do(journal.record(fence, [row(1)]))
    assert world.events() == ["process.started", "process.attempt_failed"]
    said = {"tool": "charge", "code": "ValueError", "number": 1}
    assert payloads(world, "attempt_failed") == [{**said, "next_ms": T0 + 600}]
    assert world.journal() == {"c~1": '{"n":1}'}


def test_an_attempt_that_no_other_follows_says_so(world: World) -> None:
    world.do(journal.record(world.running(), [row(3, None)]))
    assert payloads(world, "attempt_failed") == [{"tool": "charge", "code": "ValueError", "number": 3, "next_ms": None}]


def test_the_record_has_the_numbers_of_the_first_three_and_the_latest_seven(world: World) -> None:
    fence = world.running()
    for n in range(1, 411):
        world.do(journal.record(fence, [row(n)]))
    assert [one["number"] for one in payloads(world, "attempt_failed")] == [*range(1, 11), 100, 200, 300, 400]
    assert world.field("sb") == "2,3,4,9,10,11,12,13,14,15"


def test_a_row_of_a_failed_attempt_goes_with_any_write_of_its_run(world: World) -> None:
    fence = world.running()
    world.open(fence, wait("w"), rows=[row(1)])
    world.park(fence, "w")
    assert world.events() == ["process.started", "process.attempt_failed", "process.waiting"]
    world.signal()
    again = world.claim("p", "o2")
    world.do(journal.record(again, [consumed("w"), row(2)]))
    assert world.events()[-1] == "process.attempt_failed"
    assert world.field("seq") == str(len(world.events()))


def test_a_failed_attempt_of_a_run_tells_of_it_and_one_that_is_the_last_is_its_end(world: World) -> None:
    fence = world.running(max_attempts=2)
    call = ends.release(fence, delay_ms=1_000, attempt=True, output=FAILED, said='{"code":"ValueError"}')
    world.do(call)
    [told] = payloads(world, "attempt_failed")
    assert told == {"code": "ValueError", "number": 1, "next_ms": T0 + 1_000}
    assert world.do(processes.read("p", count=1, tail=True)).events[0].run == "0 1 o1"
    world.pass_ms(1_000)
    world.tick()
    again = world.claim("p", "o2")
    last = ends.release(again, attempt=True, output=FAILED, said='{"code":"ValueError"}', about=',"trace":"here"')
    assert world.do(last) == "exhausted"
    assert len(payloads(world, "attempt_failed")) == 1
    assert payloads(world, "failed") == [{"await_output": json.loads(FAILED), "trace": "here"}]


def test_what_an_end_says_beside_its_output_is_in_the_log_alone(world: World) -> None:
    fence = world.running(wake="bot/1")
    world.do(ends.finish("p", "failed", FAILED, fence=fence, about=',"effect":{"kind":"step"},"trace":"here"'))
    assert payloads(world, "failed") == [
        {"await_output": json.loads(FAILED), "effect": {"kind": "step"}, "trace": "here"}
    ]
    assert "here" not in str(world.entries())
    assert world.field("fin") is not None


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("busy", "ValueError: busy"),
        ("\nbusy\nvery", "ValueError: busy"),
        ("", "ValueError: "),
        ("é" * 300, "ValueError: " + "é" * 193 + "…"),
        ("a" + "é" * 300, "ValueError: a" + "é" * 193 + "…"),
        ("x" * 300, "ValueError: " + "x" * 300),
    ],
)
def test_a_failed_process_says_its_error_in_one_line(world: World, message: str, line: str) -> None:
    output = to_json(Failure("execution", "ValueError", message))
    world.do(ends.finish("p", "failed", output, fence=world.running()))
    world.finish("q", world.running("q"))
    found = world.do(processes.list_page(("failed", "completed"))).rows
    assert {one.process_id: one.error for one in found} == {"p": line, "q": ""}
    assert [world.do(processes.read(pid)).error for pid in ("p", "q")] == [line, ""]


def misfit(what: str, release: str | None = "v2") -> Misfit:
    return Misfit("mismatch", what, release, T0)


def test_a_misfit_is_told_where_it_is_another_one_than_before(world: World) -> None:
    for n, found in enumerate([misfit("a"), misfit("a"), misfit("b"), misfit("b", None), misfit("b", None)]):
        fence = world.running() if n == 0 else world.claim("p", f"o{n}")
        world.do(ends.release(fence, delay_ms=2_000, misfit=found))
        world.pass_ms(2_000)
        world.tick()
    assert [(one["what"], one["next_ms"]) for one in payloads(world, "misfit")] == [
        ("a", T0 + 2_000),
        ("b", T0 + 6_000),
        ("b", T0 + 8_000),
    ]
    assert world.field("mn") == "3"
    world.finish("p", world.claim("p", "o9"))
    assert world.field("mn") is None


def test_a_worker_that_lacks_the_code_leaves_no_event(world: World) -> None:
    world.do(ends.release(world.running(), unrun=True, misfit=Misfit("missing", "no code", "v2", T0)))
    assert (world.events(), world.field("mf") is None) == ([], False)
