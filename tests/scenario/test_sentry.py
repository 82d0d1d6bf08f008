"""Sentry: one event for each final failure, none for what goes on, and a transaction for each run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.transport import Transport
from wakeline import App, AsyncCtx, AsyncTurn, current
from wakeline.errors import NonRetryable
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline.telemetry.sentry import Sentry
from wakeline_workers.loop import WorkerLoop

from tests.scenario.conftest import served, until


class Kept(Transport):
    """A transport that sends nothing."""

    def __init__(self) -> None:
        super().__init__({})
        self.sent: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.sent += [item.payload.json for item in envelope.items if item.payload.json]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [one for one in self.sent if one.get("type") != "transaction"]

    @property
    def transactions(self) -> list[dict[str, Any]]:
        return [one for one in self.sent if one.get("type") == "transaction"]


@pytest.fixture
def kept() -> Iterator[Kept]:
    transport = Kept()
    sentry_sdk.init(
        dsn="https://key@localhost/1",
        transport=transport,
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    yield transport
    sentry_sdk.get_client().close(timeout=0)
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def alone(backend: Backend, kept: Kept) -> Iterator[App]:
    made = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50))
    made.observe(Sentry())
    yield made
    assert made.instruments.failures == {}
    made.close()


def burst(app: App) -> None:
    asyncio.run(WorkerLoop(app, burst=True).serve())


def test_a_process_that_failed_is_one_event_with_its_exception_and_the_user_s_frames(alone: App, kept: Kept) -> None:
    @alone.engine
    async def refund(ctx: AsyncCtx) -> None:
        raise LookupError("no such order")

    handle = alone.start(refund)
    burst(alone)
    [event] = kept.events
    assert event["fingerprint"] == ["refund", "LookupError"]
    assert event["tags"] == {"process_id": handle.id, "kind": "engine", "attempt": 1, "code": "LookupError"}
    [raised] = event["exception"]["values"]
    assert (raised["type"], raised["value"]) == ("LookupError", "no such order")
    ours = {frame["in_app"] for frame in raised["stacktrace"]["frames"] if frame["module"].startswith("wakeline")}
    assert ours == {False} and raised["stacktrace"]["frames"][-1]["in_app"]
    assert raised["stacktrace"]["frames"][-1]["function"] == "refund"


def test_a_park_a_cancel_and_a_new_generation_are_no_events(alone: App, kept: Kept) -> None:
    @alone.engine
    async def waits(ctx: AsyncCtx) -> None:
        await ctx.wait("never")

    @alone.engine
    async def again(ctx: AsyncCtx, n: int = 1) -> None:
        if n == 1:
            await ctx.continue_as_new(2)

    handle, _ = alone.start(waits), alone.start(again)
    burst(alone)
    handle.cancel("enough")
    burst(alone)
    assert handle.status().status == "cancelled"
    assert kept.events == []
    assert len(kept.transactions) == 4


def test_tries_of_a_tool_that_come_to_an_end_are_no_event_and_an_expected_error_is_none(alone: App, kept: Kept) -> None:
    class Declined(NonRetryable):
        expected = True

    @alone.tool(retries=1, backoff="1ms")
    def charge() -> str:
        if current().attempt == 1:
            raise OSError("not yet")
        return "paid"

    @alone.engine
    async def pays(ctx: AsyncCtx) -> str:
        return await ctx.call(charge)

    @alone.engine
    async def declines(ctx: AsyncCtx) -> None:
        raise Declined("no cover")

    paid, declined = alone.start(pays), alone.start(declines)
    burst(alone)
    assert (paid.status().status, declined.status().status) == ("completed", "failed")
    assert kept.events == []


@pytest.mark.parametrize(("attempts", "events"), [(False, 1), (True, 2)])
def test_of_a_turn_that_is_tried_again_the_last_failure_alone_is_an_event_unless_all_are_asked_for(
    backend: Backend, kept: Kept, attempts: bool, events: int
) -> None:
    app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50))
    app.observe(Sentry(attempts=attempts))

    @app.agent("clerk", max_attempts=2)
    async def clerk(turn: AsyncTurn) -> None:
        raise ValueError("no")

    session = app.session("clerk", "1")
    session.send("hello")
    with served(app):
        until(lambda: session.wakes()[0].state in ("failed", "blocked"))
    assert [event["fingerprint"] for event in kept.events] == [["clerk", "ValueError"]] * events
    assert {event["tags"]["session"] for event in kept.events} == {"clerk/1"}
    app.close()


def test_a_run_is_a_transaction_with_what_the_view_of_queues_needs(alone: App, kept: Kept) -> None:
    @alone.engine
    async def refund(ctx: AsyncCtx) -> None:
        await ctx.signal(ctx.id, "seen")

    with sentry_sdk.start_transaction(name="POST /refunds") as request:
        handle = alone.start(refund)
    burst(alone)
    host, run = kept.transactions
    [publish] = [span for span in host["spans"] if span["op"] == "queue.publish"]
    assert (publish["data"]["messaging.message.id"], publish["data"]["messaging.destination.name"]) == (
        handle.id,
        alone.namespace,
    )
    context = run["contexts"]["trace"]
    assert (run["transaction"], context["op"], context["status"]) == ("engine/refund", "queue.process", "ok")
    assert (context["trace_id"], context["parent_span_id"]) == (request.trace_id, publish["span_id"])
    data = context["data"]
    assert (data["messaging.message.id"], data["messaging.destination.name"]) == (handle.id, alone.namespace)
    assert (data["messaging.message.retry.count"], data["messaging.message.receive.latency"] >= 0) == (0, True)
    assert [span["description"] for span in run["spans"]] == ["seen"]


def test_a_mismatch_is_an_event_though_its_process_waits_for_code_that_fits(alone: App, kept: Kept) -> None:
    names = ["first"]

    @alone.engine(signals={"go": int})
    async def order(ctx: AsyncCtx) -> None:
        await ctx.step(names[-1], lambda: 1)
        await ctx.wait("go", int)

    handle = alone.start(order)
    burst(alone)
    names.append("second")
    handle.signal("go", 1)
    asyncio.run(WorkerLoop(alone, burst=True).serve())
    assert handle.status().status == "queued"
    assert [event["fingerprint"] for event in kept.events][:1] == [["order", "replay_mismatch"]]
