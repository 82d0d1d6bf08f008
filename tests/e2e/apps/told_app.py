"""The app of the tests of instruments, and instruments that workers find by ``WAKELINE_INSTRUMENT=told_app:<name>``."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wakeline import App, AsyncCtx, AsyncTurn, Ctx, current
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import IsolatedSeen, ScriptSeen
from wakeline.testing.instruments import KillPoint

FOLDER = Path(os.environ["TOLD_FOLDER"])
app = App("told")


@app.tool
def charge(cents: int) -> int:
    return cents


@app.tool(isolation="process")
def apart(cents: int) -> int:
    return cents * 2


@app.engine(signals={"go": int})
async def order(ctx: AsyncCtx, cents: int) -> list[Any]:
    with ctx.execution.named_phase("plan"):
        counted = await ctx.step("count", lambda: 1)
    paid, doubled = await ctx.call(charge, cents=cents), await ctx.call(apart, cents=cents)
    child = await ctx.start(helper, cents)
    return [counted, paid, doubled, await child, await ctx.wait("go", int)]


@app.engine
def helper(ctx: Ctx, cents: int) -> int:
    return ctx.step("triple", lambda: 3 * cents)


@app.agent("clerk")
async def clerk(turn: AsyncTurn) -> list[str]:
    return [item.text for item in turn.inbox]


class Writes(Instrument):
    """Writes a line of JSON for all that it is told, with the process that tells it."""

    def _write(self, method: str, name: str, process_id: str = "", outcome: str | None = None) -> None:
        line = {"pid": os.getpid(), "told": method, "name": name, "process": process_id, "outcome": outcome}
        with (FOLDER / "told").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def point(self, phase: Phase, process_id: str) -> None:
        self._write("point", phase, process_id)

    def script(self, script: ScriptSeen) -> None:
        self._write("script", script.name, outcome=script.code)

    @contextmanager
    def run(self, run: Any) -> Generator[None]:
        yield
        self._write("run", run.name, run.process_id, run.outcome)

    @contextmanager
    def effect(self, effect: Any) -> Generator[None]:
        yield
        self._write("effect", effect.name, effect.process_id, effect.outcome)

    @contextmanager
    def stretch(self, stretch: Any) -> Generator[None]:
        yield
        self._write("stretch", stretch.name, stretch.process_id, stretch.outcome)

    @contextmanager
    def isolated(self, call: IsolatedSeen) -> Generator[None]:
        assert current().attempt == call.attempt
        yield
        self._write("isolated", call.name, call.process_id, call.outcome)


class Raises(Writes):
    """Raises all that it can, in every process that is told."""

    def _write(self, method: str, name: str, process_id: str = "", outcome: str | None = None) -> None:
        super()._write(method, name, process_id, outcome)
        raise SystemExit(9) if method in ("run", "point") else RuntimeError(f"{method} of {name}")


class Fails(Instrument):
    """Cannot be made."""

    def __init__(self) -> None:
        raise ValueError("no key")


class Site:
    """No instrument."""


writes = Writes()
raises = Raises()
killed = KillPoint(Phase.effect_recorded)
no_instrument = 7
