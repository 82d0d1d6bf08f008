"""Any printable text is a process id and a session key: it goes through every verb, beside another id that differs from
it by a joint."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from wakeline import App, AsyncTurn, Ctx
from wakeline.causality import SessionScope
from wakeline.errors import ProcessCancelled, ProcessNoLongerRetained, SessionDeleted
from wakeline.names import SYSTEM_PREFIX
from wakeline.shown import is_seen
from wakeline.store import sessions, ticks
from wakeline.store.connection import Backend

from tests.lua.world import World
from tests.races.workers import app_of, work

PEOPLE = [
    "zoe@example.com",
    "+49 (0)30 1234",
    "U024BE7LH",
    "https://example.com/a?b=c#3",
    "Zoë",
    "日本",
    "👩\u200d👩\u200d👧",
]
JOINTS = ["..", "*", "[a-z]?", "{x}", "%2F", "a\\u0000b", 'say "hi"', "-x"]
TEXTS = st.sampled_from(PEOPLE + JOINTS) | st.text(min_size=1, max_size=45)
IDS = TEXTS.filter(lambda text: is_seen(text) and bool(text.strip()) and not text.startswith(SYSTEM_PREFIX))
TAILS = st.sampled_from(
    ["/", ":", "#1", "~r", "~r01", " ", "%", "%20", "*", "{", "}", ".", "\\", '"', "/frame:1", ":compact"]
)
DAY_MS = 86_400_000


def served_app(world: World) -> App:
    app = app_of(world)

    @app.tool
    def double(n: int) -> int:
        return 2 * n

    @app.engine(signals={"go": int})
    def waits(ctx: Ctx, child: str) -> int:
        n = ctx.wait("go", int)
        return int(ctx.using(id=child).start(double, n).result())

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        return "; ".join(item.text for item in turn.inbox)

    return app


def child_of(pid: str) -> str:
    return f"{pid}'s" if len(pid.encode()) < 190 else f"{pid[:60]}'s"


def live(world: World, app: App, pids: list[str]) -> None:
    """Every verb of processes and sessions, on all these ids side by side."""
    waits = app.registry.engines["waits"]
    sessions_of = {pid: app.session("clerk", pid) for pid in pids}
    handles = {pid: app.using(id=pid, wake=sessions_of[pid]).start(waits, child_of(pid)) for pid in pids}
    work(world, app)
    assert sorted(row.id for row in app.processes(status="waiting")) == sorted(pids)
    for n, pid in enumerate(pids, 1):
        assert handles[pid].signal("go", n, key=pid) == handles[pid].signal("go", n, key=pid)
    work(world, app)
    for n, pid in enumerate(pids, 1):
        handle = app.handle(pid)
        assert (handle.result(timeout=1), handle.status().id, app.handle(child_of(pid)).result(timeout=1)) == (
            2 * n,
            pid,
            2 * n,
        )
        ended = [event.sequence for event in handle.events() if event.type == "process.completed"]
        assert app.why(f"{pid}#{ended[0]}").startswith(
            f"event {ended[0]} of {pid} (process.completed) woke clerk/{pid}, as its entry 1: turn "
        )
        again = handle.retry()
        assert again.id == f"{pid}~r1"
        again.cancel("enough")
    work(world, app)
    for n, pid in enumerate(pids, 1):
        with pytest.raises(ProcessCancelled):
            app.handle(f"{pid}~r1").result(timeout=1)
        talk(world, app, pid, n)


def talk(world: World, app: App, own: str, n: int) -> None:
    session = app.session("clerk", own)
    entry = session.send(f"hello {n}", key=own)
    assert session.send(f"hello {n}", key=own) == entry
    work(world, app)
    assert session.history()[-1].content == f"hello {n}"
    for told in (session.why(entry), app.why(f"clerk/{own}#{entry}")):
        assert told.startswith("turn process:turn:") and told.endswith(" read it and ended")
    world.do(sessions.grant(SessionScope(session_id=session.id, agent_frame_id="f1").scope_id, own, "{}"))


def forget(world: World, app: App, pids: list[str]) -> None:
    """Deletes one session after the other and then what ended: nothing of one is touched by the other's deletion, and
    nothing stays."""
    for n, pid in enumerate(pids, 1):
        assert [scope.partition("/frame:")[0] for scope in world.do(sessions.grants_of(pid))] == [
            SessionScope(session_id=f"clerk/{pid}").scope_id
        ]
        assert app.session("clerk", pid).history()[-1].content == f"hello {n}"
        assert app.session("clerk", pid).delete().deleted
        assert world.do(sessions.grants_of(pid)) == []
        with pytest.raises(SessionDeleted):
            app.session("clerk", pid).send("late")
    world.pass_ms(DAY_MS)
    while world.do(ticks.prune(retention_ms=1, tombstone_ms=DAY_MS)).pruned:
        pass
    for pid in pids:
        with pytest.raises(ProcessNoLongerRetained):
            app.handle(pid).status()
    stored = list(world.keys())
    left = {
        key.removeprefix(world.key("")).partition(":")[0]
        for key in stored
        if any(pid in key for pid in pids if len(pid) > 6)
    }
    assert left <= {"tomb", "sess"}


@given(one=IDS, tail=TAILS, other=IDS)
@example(one="a", tail="~r", other="a/b")
@example(one="a/b", tail="#1", other="a%2Fb")
@example(one="a\\u0000b", tail=":compact", other="%")
@example(one="日" * 55, tail="/", other="x" * 200)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
def test_any_printable_id_goes_through_its_whole_life_beside_others(
    backend: Backend, one: str, tail: str, other: str
) -> None:
    pids = list(dict.fromkeys([one, one + tail, other]))
    made = World.on(backend)
    app = served_app(made)
    live(made, app, pids)
    forget(made, app, pids)
    app.close()
    made.store.close()
