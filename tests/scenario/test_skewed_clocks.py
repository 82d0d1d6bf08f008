"""Machines whose clocks are wrong: every limit runs by the server's time, for every sender."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex

import pytest
from wakeline import App, AsyncCtx, AsyncTurn
from wakeline.clock import ServerClock
from wakeline.settings import Settings
from wakeline.store import processes
from wakeline.store.connection import Backend

from tests.scenario.conftest import served, until

HOUR = 3_600_000


class Ahead(ServerClock):
    """A machine that is a day ahead; scripts still ask the server."""

    def now_ms(self) -> int:
        return super().now_ms() + 24 * HOUR


@pytest.fixture
def ahead(backend: Backend) -> Iterator[App]:
    with served(
        App("t" + token_hex(4), backend=backend, clock=Ahead(), settings=Settings(hold_ms=50, grace_ms=500))
    ) as made:
        yield made
        made.close()


def servers_now(app: App) -> int:
    seconds, micros = app.backend.sync().time()
    return int(seconds) * 1000 + int(micros) // 1000


def test_limits_of_a_machine_that_is_a_day_ahead_run_by_the_servers_time(ahead: App) -> None:
    @ahead.engine
    async def asks(ctx: AsyncCtx) -> str:
        answer = await ctx.approval("deploy", str, timeout="1h")
        return str(await answer.wait(default="nobody"))

    started = ahead.using(deadline="2h").start(asks)
    until(lambda: started.status().status == "waiting")
    view = ahead.run("look", _read(started.id))
    now = servers_now(ahead)
    [slot] = view.slots.values()
    assert 0 < HOUR - (int(slot["d"]) - now) < 60_000
    assert 0 < 2 * HOUR - (int(view.fields["dl"]) - now) < 60_000


def test_what_a_body_calls_now_and_what_an_input_says_of_its_time_are_the_servers(ahead: App) -> None:
    @ahead.agent("clerk")
    async def clerk(turn: AsyncTurn) -> list[int]:
        await turn.step("look", lambda: None)
        return [item.at_ms for item in turn.inbox] + [int(turn.now().timestamp() * 1000)]

    answer = ahead.session("clerk", "one").ask("when is it?", timeout=10)
    now = servers_now(ahead)
    assert [abs(now - moment) < 60_000 for moment in answer] == [True, True]


def _read(pid: str):  # type: ignore[no-untyped-def]
    view = yield processes.read(pid, detail=True)
    return view
