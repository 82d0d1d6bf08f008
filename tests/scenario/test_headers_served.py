"""Headers: what an instrument gives a sending comes with it to the run that it causes, and changes nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from secrets import token_hex

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Event
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline.telemetry.headers import Headers
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.seen import LinkSeen, RunSeen, SendingSeen
from wakeline_workers.loop import WorkerLoop

from tests.scenario.conftest import served, until


@pytest.fixture
def alone(backend: Backend) -> Iterator[App]:
    made = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50))
    yield made
    made.close()


def burst(app: App) -> None:
    asyncio.run(WorkerLoop(app, burst=True).serve())


class Tags(Instrument):
    """Gives each sending its number, and keeps what it sees."""

    def __init__(self) -> None:
        self.sent: list[SendingSeen] = []
        self.runs: list[RunSeen] = []

    @contextmanager
    def sending(self, sending: SendingSeen) -> Generator[Headers]:
        self.sent.append(sending)
        yield {"traceparent": f"{sending.verb}-{len(self.sent)}"}

    @contextmanager
    def run(self, run: RunSeen) -> Generator[None]:
        self.runs.append(run)
        yield

    def of(self, process_id: str) -> list[RunSeen]:
        return [run for run in self.runs if run.process_id == process_id]

    def tag(self, verb: str, target: str | None = None, nth: int = 0) -> Headers:
        """What the nth sending of a verb to a target was given."""
        found = [
            {"traceparent": f"{sending.verb}-{number}"}
            for number, sending in enumerate(self.sent, 1)
            if sending.verb == verb and target in (None, sending.target)
        ]
        return found[nth]


def test_a_start_gives_its_headers_to_every_run_and_a_signal_to_the_run_that_it_resumes(alone: App) -> None:
    @alone.engine(signals={"go": int})
    async def order(ctx: AsyncCtx) -> int:
        return await ctx.wait("go", int) + await ctx.wait("go", int)

    tags = Tags()
    alone.observe(tags)
    handle = alone.start(order)
    burst(alone)
    handle.signal("go", 1, key="first")
    burst(alone)
    handle.signal("go", 2)
    burst(alone)
    assert handle.result(timeout=1) == 3
    runs = tags.of(handle.id)
    assert [run.headers for run in runs] == [tags.tag("start", handle.id)] * 3
    assert [run.resumed_by for run in runs] == ["start", "signal:go", "signal:go"]
    assert [run.links for run in runs] == [
        (),
        (LinkSeen("run", tags.tag("leave", nth=0)), LinkSeen("resumed", tags.tag("signal", nth=0))),
        (LinkSeen("run", tags.tag("leave", nth=1)), LinkSeen("resumed", tags.tag("signal", nth=1))),
    ]
    assert runs[0].waits == ("signal:go",)
    first = next(sending for sending in tags.sent if sending.verb == "signal")
    assert (first.name, first.target, first.key, first.process_id) == ("go", handle.id, "first", "")


def test_a_child_gets_the_headers_of_its_start_and_its_end_gives_some_to_its_parent(alone: App) -> None:
    @alone.engine(signals={"go": int})
    def helper(ctx: Ctx) -> int:
        return ctx.wait("go", int)

    @alone.engine
    async def order(ctx: AsyncCtx) -> int:
        return await (await ctx.start(helper))

    tags = Tags()
    alone.observe(tags)
    handle = alone.start(order)
    burst(alone)
    [child] = [run for run in tags.runs if run.name == "helper"]
    alone.handle(child.process_id).signal("go", 7)
    burst(alone)
    assert handle.result(timeout=1) == 7
    started = next(sending for sending in tags.sent if sending.target == child.process_id)
    assert (started.verb, started.process_id, started.name) == ("start", handle.id, "helper")
    assert (child.headers, child.parent) == (tags.tag("start", child.process_id), handle.id)
    last = tags.of(handle.id)[-1]
    assert last.resumed_by == f"child:{child.process_id}"
    assert LinkSeen("resumed", tags.tag("wake", child.process_id)) in last.links


def test_a_turn_has_the_headers_of_each_of_its_entries(alone: App) -> None:
    @alone.agent("desk")
    async def desk(turn: AsyncTurn) -> None: ...

    @alone.engine(events={"news": Event(str, wake="{}")})
    async def order(ctx: AsyncCtx) -> None:
        await ctx.emit("news", "sold")

    tags = Tags()
    alone.observe(tags)
    handle = alone.using(wake=alone.session("desk", "1")).start(order)
    desk_1 = alone.session("desk", "1")
    desk_1.send("hello")
    desk_1.command("stop", None)
    with served(alone):
        until(lambda: [entry.state for entry in desk_1.wakes()] == ["settled"] * 4)
    turns = [run for run in tags.runs if run.kind == "turn"]
    links = [link for turn in turns for link in turn.links]
    expected = [
        LinkSeen("entry", tags.tag(*one))
        for one in [("emit", handle.id), ("wake", handle.id), ("send", None, 0), ("send", None, 1)]
    ]
    assert sorted(links, key=str) == sorted(expected, key=str)
    assert all(turn.headers is None for turn in turns)


def test_an_approval_gives_the_headers_of_its_answer(alone: App) -> None:
    @alone.engine
    async def order(ctx: AsyncCtx) -> bool:
        return await (await ctx.approval("ok", bool)).wait()

    tags = Tags()
    alone.observe(tags)
    handle = alone.start(order)
    burst(alone)
    [open_one] = alone.approvals()
    alone.answer(open_one, True)
    burst(alone)
    last = tags.of(handle.id)[-1]
    assert (last.resumed_by.partition(":")[0], handle.result(timeout=1)) == ("approval", True)
    assert LinkSeen("resumed", tags.tag("resolve")) in last.links


def test_what_an_occurrence_starts_has_the_headers_of_its_emitter(alone: App) -> None:
    @alone.engine
    async def order(ctx: AsyncCtx, n: int) -> int:
        return n

    tags = Tags()
    alone.observe(tags)
    alone.trigger("shop.sold").subscribe(order)
    receipt = alone.trigger("shop.sold").emit({"n": 1}, key="k")
    burst(alone)
    [run] = tags.of(receipt.started[0])
    assert run.headers == tags.tag("occur", receipt.occurrence_id)
    [sending] = [one for one in tags.sent if one.verb == "occur"]
    assert (sending.name, sending.key) == ("shop.sold", "k")


def test_a_new_generation_keeps_the_headers_of_its_start_and_a_retry_shows_them_as_a_link(alone: App) -> None:
    @alone.engine
    async def again(ctx: AsyncCtx, n: int = 1) -> int:
        if n == 1:
            await ctx.continue_as_new(2)
        raise ValueError("no")

    tags = Tags()
    alone.observe(tags)
    handle = alone.start(again)
    burst(alone)
    first, second = tags.of(handle.id)
    assert (first.headers, second.headers) == (tags.tag("start", handle.id), tags.tag("start", handle.id))
    assert (second.resumed_by, second.links) == ("continued", (LinkSeen("run", tags.tag("leave")),))
    for _ in range(2):
        handle = handle.retry()
        burst(alone)
        retried = tags.of(handle.id)[0]
        assert retried.headers == tags.tag("start", handle.id)
        assert retried.links == (LinkSeen("retried", first.headers or {}),)


def test_a_start_that_is_sent_again_within_another_trace_is_the_same_start(alone: App) -> None:
    @alone.engine
    async def order(ctx: AsyncCtx, n: int) -> int:
        return n

    tags = Tags()
    alone.observe(tags)
    for _ in range(3):
        assert alone.using(id="order-1").start(order, 1).id == "order-1"
    burst(alone)
    assert [run.headers for run in tags.of("order-1")] == [{"traceparent": "start-1"}]


def test_several_starts_are_one_sending(alone: App) -> None:
    @alone.engine
    async def order(ctx: AsyncCtx, n: int) -> int:
        return n

    tags = Tags()
    alone.observe(tags)
    handles = alone.start_many(order, [{"n": n} for n in range(3)])
    burst(alone)
    assert [(one.verb, one.target, one.name) for one in tags.sent[:1]] == [("start", "", "order")]
    assert [tags.of(handle.id)[0].headers for handle in handles] == [{"traceparent": "start-1"}] * 3
