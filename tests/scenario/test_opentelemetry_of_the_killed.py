"""OpenTelemetry and kill -9: at each moment of a run, no span is left without its parent, and the next run says that it
goes on after a loss."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from wakeline.embedded import PrivateServer
from wakeline.telemetry.phases import Phase

KILLED = """
import asyncio, json, os, sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from wakeline import App, Ctx
from wakeline.settings import Settings
from wakeline.store.connection import UrlBackend
from wakeline.store import owners
from wakeline.telemetry.otel import OpenTelemetry
from wakeline.testing.instruments import KillPoint
from wakeline_workers.loop import WorkerLoop

class Lines(SpanExporter):
    def export(self, spans):
        with open(out, "a") as file:
            for span in spans:
                file.write(span.to_json(indent=None) + "\\n")
        return SpanExportResult.SUCCESS

def app_of(namespace, *instruments):
    app = App(namespace, backend=UrlBackend(url), settings=Settings(hold_ms=50))
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Lines()))
    app.observe(OpenTelemetry(provider))
    for one in instruments:
        app.observe(one)

    @app.tool
    def charge():
        return 5

    @app.engine(signals={"go": int})
    def order(ctx: Ctx):
        ctx.step("look", lambda: 1)
        return ctx.call(charge) + ctx.wait("go", int)

    return app, order

async def serve(app, owner):
    await WorkerLoop(app, owner=owner, burst=True).serve()

out, url, phases = sys.argv[1], sys.argv[2], sys.argv[3:]
for phase in phases:
    namespace = f"k{os.getpid()}{phase.replace('_', '')}"
    app, order = app_of(namespace)
    handle = app.using(id=f"order-{phase}").start(order)
    child = os.fork()
    if child == 0:
        killed, _ = app_of(namespace, KillPoint(phase))
        asyncio.run(serve(killed, "o_killed"))
        os._exit(7)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9, (phase, status)
    app.store.execute(owners.reap("o_killed", "owner_lost", patience_ms=0))
    handle.signal("go", 1)
    asyncio.run(serve(app, "o_next"))
    assert handle.result(timeout=1) == 6
    app.close()
"""
PHASES = [
    Phase.claimed,
    Phase.body_started,
    Phase.effect_before_run,
    Phase.effect_after_run,
    Phase.effect_recorded,
    Phase.wait_opened,
    Phase.parking,
    Phase.parked,
]


def test_whenever_a_worker_is_killed_each_span_has_its_parent_and_the_next_run_says_why_it_runs(
    server: PrivateServer, tmp_path: Path
) -> None:
    out = tmp_path / "spans"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), server.url, *PHASES],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    spans = [json.loads(line) for line in out.read_text().splitlines()]
    there = {span["context"]["span_id"] for span in spans}
    assert [span["name"] for span in spans if span["parent_id"] is not None and span["parent_id"] not in there] == []
    assert all(span["end_time"] for span in spans)
    runs: dict[str, list[str]] = {}
    for span in spans:
        if span["name"] == "process order":
            said = span["attributes"]
            runs.setdefault(said["messaging.message.id"], []).append(said["wakeline.resumed_by"])
    assert runs == {f"order-{phase}": ["recovered"] for phase in PHASES[:-1]} | {"order-parked": ["signal:go"]}
