"""What OpenTelemetry says of work, and what it does not: names, no content, and its ids in log entries."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from secrets import token_hex

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx
from wakeline.logs import JsonFormatter, ProcessFilter
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline.telemetry.otel import OpenTelemetry

from tests.scenario.test_opentelemetry import Traces, burst


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
def alone(backend: Backend, traces: Traces) -> Iterator[App]:
    made = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=50))
    made.observe(OpenTelemetry(traces.provider))
    yield made
    assert made.instruments.failures == {}
    made.close()


@pytest.mark.parametrize("asked", [None, "messaging", "messaging/dup", "http,database/dup"])
def test_each_opt_in_to_conventions_gives_the_names_of_now_and_no_older_ones(
    alone: App, traces: Traces, monkeypatch: pytest.MonkeyPatch, asked: str | None
) -> None:
    if asked is not None:
        monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", asked)

    @alone.engine
    async def order(ctx: AsyncCtx) -> None: ...

    handle = alone.start(order)
    burst(alone)
    told = dict(traces.one("process order").attributes or {})
    assert {name: value for name, value in told.items() if name.startswith("messaging.")} == {
        "messaging.system": "wakeline",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": told["messaging.destination.name"],
        "messaging.message.id": handle.id,
    }


@pytest.mark.parametrize("asked", ["", "true", "SPAN_ONLY"])
def test_no_argument_result_signal_or_entry_is_in_a_span(
    alone: App, traces: Traces, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", asked)

    @alone.tool
    def charge(card: str) -> str:
        return f"secret of {card}"

    @alone.engine(signals={"go": str})
    async def order(ctx: AsyncCtx, card: str) -> str:
        found = await ctx.call(charge, card=card)
        return found + await ctx.step("look", lambda: "secret 2") + await ctx.wait("go", str)

    @alone.agent("desk")
    async def desk(turn: AsyncTurn) -> str:
        return f"secret {turn.inbox}"

    handle = alone.start(order, "secret 1")
    alone.session("desk", "1").send("secret 4")
    burst(alone)
    handle.signal("go", "secret 3")
    burst(alone)
    assert handle.result(timeout=5) == "secret of secret 1secret 2secret 3"
    assert {"process order", "execute_tool charge", "step look", "invoke_agent desk", "send go"} <= {
        span.name for span in traces.spans
    }
    assert [span.name for span in traces.spans if "secret" in span.to_json()] == []


def test_entries_of_a_body_a_thread_a_step_and_a_tool_have_the_ids_of_their_span(alone: App, traces: Traces) -> None:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.addFilter(ProcessFilter())
    handler.setFormatter(JsonFormatter())
    log = logging.getLogger("shop." + token_hex(4))
    log.addHandler(handler)
    log.propagate = False

    @alone.tool
    def charge() -> None:  # in a thread
        log.warning("tool")

    @alone.engine
    async def order(ctx: AsyncCtx) -> None:
        log.warning("body")
        await ctx.step("look", lambda: log.warning("step"))
        await ctx.call(charge)
        await ctx.start(helper)

    @alone.engine
    def helper(ctx: Ctx) -> None:
        log.warning("body in a thread")

    alone.start(order)
    burst(alone)
    log.warning("outside")
    entries = {one["msg"]: one for one in map(json.loads, said.getvalue().splitlines())}
    for said_by, name in {
        "body": "process order",
        "step": "step look",
        "tool": "execute_tool charge",
        "body in a thread": "process helper",
    }.items():
        where = traces.one(name).context
        assert where is not None
        assert (entries[said_by]["trace_id"], entries[said_by]["span_id"]) == (
            f"{where.trace_id:032x}",
            f"{where.span_id:016x}",
        )
    assert "trace_id" not in entries["outside"]
