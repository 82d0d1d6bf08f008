"""Headers in the store: beside what was sent, in whatever order it is read, and nowhere where none was given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from wakeline.store import claims, ends, events, processes, sessions, signals, starts, waits
from wakeline.store.claims import take
from wakeline.telemetry.headers import Headers, headers_in, headers_of

from tests.compat import before
from tests.lua.world import SUCCESS, World, registration, wait

TRACE: Headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def started(world: World, headers: Headers | None = None, **over: Any) -> None:
    made = registration("p", world.ns, **over)
    world.do(starts.register(made.with_headers(headers) if headers else made))


def sent(headers: Headers | None = None) -> Any:
    call = signals.signal("p", "go", "k", "1", canonical="1", replay_key="r")
    return call.with_headers(headers)


def test_a_signal_that_is_kept_brings_its_headers_to_the_wait_that_takes_it(world: World) -> None:
    started(world)
    world.do(sent(TRACE))
    fence = world.claim("p")
    world.do(waits.open_waits(fence, [wait("slot-1")]))
    assert headers_of(world.redis.hget(world.key("slot:slot-1"), "hs")) == TRACE


def test_a_signal_that_a_given_up_wait_returns_keeps_its_headers(world: World) -> None:
    started(world)
    fence = world.claim("p")
    world.do(waits.open_waits(fence, [wait("slot-1"), wait("slot-2", "t:", for_ms=5)]))
    world.do(sent(TRACE))
    world.do(waits.close_waits(fence, ["slot-1"]))
    world.do(waits.open_waits(fence, [wait("slot-3")]))
    assert headers_of(world.redis.hget(world.key("slot:slot-3"), "hs")) == TRACE


def test_an_event_and_its_wake_bring_the_headers_of_their_sender(world: World) -> None:
    started(world)
    woken = events.WakeText("hello", None, "clerk/1")
    world.do(events.append("p", "log", '"a"', wake=woken).with_headers(TRACE))
    [(_, event)] = world.redis.xrange(world.key("events:p"))
    assert headers_of(event["hs"]) == TRACE
    assert headers_in(world.redis.hget(world.key("wakes:clerk/1"), "1")) == TRACE


def test_an_entry_brings_the_headers_of_its_sender(world: World) -> None:
    address = world.session("clerk/1")
    world.do(sessions.send(address, '{"kind":"input","input":"hi"}').with_headers(TRACE))
    world.do(sessions.send(address, '{"kind":"input","input":"ho"}'))
    bodies = [world.redis.hget(world.key("wakes:clerk/1"), str(n)) for n in (1, 2)]
    assert [headers_in(body) for body in bodies] == [TRACE, None]


def test_without_headers_nothing_is_stored_and_with_some_a_start_takes_96_bytes_more(world: World) -> None:
    started(world)
    plain = world.redis.get(world.key("spec:p"))
    fence = world.claim("p")
    world.do(waits.open_waits(fence, [wait("slot-1")]))
    world.do(sent())
    stored = [world.redis.hgetall(world.key(name)) for name in ("proc:p", "slot:slot-1")]
    stored += [event for _, event in world.redis.xrange(world.key("events:p"))]
    assert [fields for fields in stored if {"hs", "qm", "pm", "pk"} & set(fields)] == []
    assert "headers" not in plain and "options" not in plain
    made = registration("p", world.ns)
    assert len(made.with_headers(TRACE).text) - len(made.text) == 96


@pytest.mark.parametrize(
    "broken", ["5", '"text"', "[]", '{"traceparent":5}', '{"traceparent":null}', "{", "", "null", '{"a":{"b":1}}']
)
def test_what_are_no_headers_counts_as_none(broken: str) -> None:
    assert headers_of(broken) is None
    assert headers_in(f'{{"headers":{broken}}}') is None


def test_a_claim_says_how_long_it_was_queued_and_parked_if_it_is_asked(world: World) -> None:
    started(world)
    world.pass_ms(30)
    world.worker()
    [claim] = world.do(take("o1", "t1", [world.ns], 1, lease_ms=10_000, seen=True)).claims
    assert (claim.now_ms - (claim.runnable_ms or 0), claim.queue_ms, claim.parked_ms) == (30, 30, 0)
    world.open(claim.fence, wait("slot-1"))
    world.do(waits.park(claim.fence, ["slot-1"], '{"waits":[]}', seen=True))
    world.pass_ms(700)
    world.do(sent())
    world.pass_ms(4)
    [again] = world.do(take("o1", "t2", [world.ns], 1, lease_ms=10_000, seen=True)).claims
    assert (again.now_ms - (again.runnable_ms or 0), again.queue_ms, again.parked_ms) == (4, 34, 700)
    world.do(ends.finish("p", "completed", SUCCESS, fence=again.fence))
    assert {"hs", "qm", "pm", "pk"} & set(world.redis.hgetall(world.key("proc:p"))) == set()


def test_a_process_that_begins_later_is_queued_from_then_on(world: World) -> None:
    world.start("p", delay_ms=1_000)
    world.worker()
    world.pass_ms(1_020)
    world.tick()
    [claim] = world.do(take("o1", "t1", [world.ns], 1, lease_ms=10_000, seen=True)).claims
    assert (claim.queue_ms, claim.now_ms - (claim.runnable_ms or 0)) == (20, 20)


def test_the_scripts_of_the_release_before_go_on_with_what_has_headers(world: World) -> None:
    started(world, TRACE)
    fence = world.claim("p")
    world.open(fence, wait("slot-1"), wait("slot-2"))
    before.do(world, waits.park(fence, ["slot-1"], '{"waits":[]}'))
    world.do(sent(TRACE))
    claiming: Any = claims.claim("p", 2, "o1", "c2", lease_ms=10_000)
    word, claimed = before.do(world, replace(claiming, decode=lambda reply: reply))
    assert (word, '{"status":"ok","value":1}' in str(claimed)) == ("claimed", True)
    before.do(world, ends.finish("p", "completed", SUCCESS, fence=replace(fence, epoch=2, claim_id="c2")))
    assert world.do(processes.read("p")).status == "completed"
