"""What people and programs are shown of processes and sessions, as values: every kind of wait, every reason, both
faces."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn
from wakeline.observe import ChildView, EntryView, ProcessView, Reason, SessionView, WaitView
from wakeline.observe.query import ProcessQuery
from wakeline.processes.limits import Limit
from wakeline.processes.misfit import Misfit
from wakeline.processes.outputs import Failure, Success
from wakeline.store import ends, owners, queues, sessions
from wakeline.tools.tool import current
from wakeline.values import to_json
from wakeline.verbs import looks
from wakeline.verbs import sessions as session_verbs

from tests.contract.conftest import START_MS
from tests.contract.session_world import CHAT, FAILED
from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World

HOUR_MS = 3_600_000


def bodies(world: World) -> App:
    """An app with a body for each kind of wait."""
    app = app_of(world)

    @app.engine()
    async def child(ctx: AsyncCtx) -> None:
        """Its queue is served by no worker."""

    @app.tool()
    def pay() -> int:
        return current().pending(timeout="2h")  # type: ignore[no-any-return]

    @app.engine(signals={"go": bool})
    async def signalled(ctx: AsyncCtx) -> None:
        await ctx.wait("go", bool, timeout="1h")

    @app.engine()
    async def sleeping(ctx: AsyncCtx) -> None:
        await ctx.sleep("1h")

    @app.engine()
    async def joining(ctx: AsyncCtx) -> None:
        await (await ctx.using(id="kid", queue="off").start(child)).result()

    @app.engine()
    async def approved(ctx: AsyncCtx) -> None:
        ask = await ctx.approval("deploy", bool, timeout="1h")
        await ask.wait()

    @app.engine()
    async def paying(ctx: AsyncCtx) -> int:
        return await ctx.call(pay)

    @app.engine()
    async def asking(ctx: AsyncCtx) -> Any:
        return await ctx.ask("clerk/1", "well?")

    @app.engine()
    async def returned(ctx: AsyncCtx) -> str:
        await ctx.using(id="kept", queue="off", on_parent_end="await").start(child)
        return "done"

    @app.engine(signals={"left": bool, "right": bool})
    async def racing(ctx: AsyncCtx) -> None:
        await asyncio.gather(ctx.wait("right", bool, timeout="2h"), ctx.wait("left", bool, timeout="1h"))

    return app


WAITS = {
    "signalled": [WaitView("signal", "go", START_MS + HOUR_MS, START_MS)],
    "sleeping": [WaitView("timer", None, START_MS + HOUR_MS, START_MS)],
    "joining": [WaitView("child", "kid", None, START_MS)],
    "approved": [WaitView("approval", "deploy", START_MS + HOUR_MS, START_MS)],
    "paying": [WaitView("completion", "pay", START_MS + 2 * HOUR_MS, START_MS)],
    "asking": [WaitView("answer", "1:clerk/1", None, START_MS)],
    "returned": [WaitView("children", None, None, START_MS)],
    "racing": [
        WaitView("signal", "left", START_MS + HOUR_MS, START_MS),
        WaitView("signal", "right", START_MS + 2 * HOUR_MS, START_MS),
    ],
}


@pytest.mark.parametrize("name", WAITS)
def test_a_view_tells_waits_of_every_kind_with_name_and_deadline(world: World, name: str) -> None:
    app = bodies(world)
    app.using(id="p").start(app.registry.engines[name])
    work(world, app, queues=[None])
    view = app.handle("p").view()
    assert (view.status, list(view.waits), view.updated_ms) == ("waiting", WAITS[name], START_MS)
    listed = app.waits()
    assert [(one.process_id, one.process_kind) for one in listed] == [("p", name)] * len(WAITS[name])
    assert [WaitView(one.kind, one.name, one.due_ms, one.since_ms) for one in listed] == WAITS[name]
    assert listed[0].to_data() == {"process_id": "p", "process_kind": name} | WAITS[name][0].to_data()


def test_waits_are_of_at_most_so_many_processes_and_say_whether_others_wait(world: World) -> None:
    app = bodies(world)
    for pid in ("a", "b"):
        app.using(id=pid).start(app.registry.engines["sleeping"])
    work(world, app, queues=[None])
    assert (len(app.waits(1)), app.waits(1).more, app.waits(2).more) == (1, True, False)


def test_a_status_says_since_when_the_process_has_it(world: World) -> None:
    app = app_of(world)
    world.start("p")
    world.clock.advance("12s")
    world.worker()
    world.take()
    world.clock.advance("1s")
    assert (app.handle("p").status().status, app.handle("p").status().updated_ms) == ("running", START_MS + 12_000)
    assert app.handle("p").view().updated_ms == START_MS + 12_000


def test_a_view_tells_all_of_a_process(world: World) -> None:
    app = bodies(world)
    joining = app.registry.engines["joining"]
    app.using(id="p", labels={"team": "a"}, wake="clerk/1", max_attempts=3, deadline="2h").start(joining)
    work(world, app, queues=[None], release="v1")
    view = app.handle("p").view()
    assert view == ProcessView(
        id="p",
        status="waiting",
        kind="joining",
        label=None,
        created_ms=START_MS,
        updated_ms=START_MS,
        sequence=view.sequence,
        waiting_for=(),
        owner=None,
        release="v1",
        unread=None,
        misfit=None,
        losses=0,
        runs_again_ms=None,
        because=None,
        seen_ms=START_MS,
        name="joining",
        version=None,
        queue=world.namespace,
        parent=None,
        children=(ChildView("kid", "queued"),),
        children_count=1,
        session=None,
        wake_target="clerk/1",
        originator=None,
        recovery="rerunnable",
        generation=1,
        attempt=1,
        max_attempts=3,
        failed_attempts=0,
        cancel_requested=False,
        offered_ms=None,
        deadline_ms=START_MS + 2 * HOUR_MS,
        labels={"team": "a"},
        input={"type": "engine", "kind": "joining", "payload": {}},
        recorded_effects=1,
        waits=(WaitView("child", "kid", None, START_MS),),
        waits_count=1,
        outcome=None,
        failed_effect=None,
        trace=None,
        setbacks=(),
    )
    kid = app.handle("kid").view()
    assert (kid.parent, kid.name, kid.queue, kid.offered_ms) == ("p", "child", f"{world.namespace}.off", START_MS)
    assert json.loads(to_json(view.to_data())) == view.to_data()
    assert view.to_data()["children"] == [{"id": "kid", "status": "queued"}]


def test_a_view_tells_how_a_process_ended(world: World) -> None:
    app = app_of(world)

    @app.engine()
    async def adds(ctx: AsyncCtx) -> int:
        return 3

    @app.engine()
    async def breaks(ctx: AsyncCtx) -> None:
        raise ValueError("no card")

    app.using(id="good").start(adds)
    app.using(id="bad", max_attempts=1).start(breaks)
    work(world, app)
    assert app.handle("good").view().outcome == Success(3)
    bad = app.handle("bad").view()
    assert bad.outcome == Failure("execution", "ValueError", "no card", bad.outcome and bad.outcome.raw)
    assert bad.to_data()["outcome"]["code"] == "ValueError"
    assert (bad.waits, bad.because) == ((), None)


def test_a_view_counts_failed_attempts_and_losses(world: World) -> None:
    fence = world.running("p")
    world.do(ends.release(fence, attempt=True, output=FAILED))
    view = world.go(looks.process("p"))
    assert (view.failed_attempts, view.attempt, view.losses) == (1, 2, 0)
    world.take()
    world.lose("o_1")
    view = world.go(looks.process("p"))
    assert (view.failed_attempts, view.attempt, view.losses) == (1, 3, 1)


def test_a_turn_tells_its_session_and_a_tool_its_name(world: World) -> None:
    world.start("t", kind="tool_call")
    world.do(sessions.send(world.session(CHAT), to_json({"kind": "input", "input": "hi"})))
    pid = world.go(session_verbs.turn(CHAT))
    turn, tool = world.go(looks.process(pid)), world.go(looks.process("t"))
    assert (turn.session, turn.name, turn.kind) == (CHAT, "chat", "session_turn")
    assert (tool.session, tool.name, tool.label, tool.kind) == (None, "add", "add", "tool")


# -- why a process is queued


def because(world: World, pid: str = "p") -> Reason | None:
    """What a view and a list say, which is the same."""
    view: ProcessView = world.go(looks.process(pid))
    [row] = [one for one in world.go(looks.listed(ProcessQuery(status="queued"), limit=50)) if one.id == pid]
    assert row.because == view.because
    return view.because


def listens(world: World, owner: str, *names: str) -> None:
    world.do(owners.register_owner(owner, [*names], lease_ms=5_000))


def test_a_queued_process_tells_that_no_worker_is_alive(world: World) -> None:
    world.start("p")
    assert because(world) == Reason("no_worker", "a worker: none is alive", "start `wakeline worker`")
    listens(world, "o_1", world.namespace)
    assert because(world) is None
    world.clock.advance("6s")
    assert because(world) == Reason("no_worker", "a worker: none is alive", "start `wakeline worker`")


def test_a_queued_process_tells_that_no_worker_takes_from_its_queue(world: World) -> None:
    world.start("p", queue=f"{world.namespace}.night")
    listens(world, "o_1", world.namespace)
    what = f"a worker: none takes from queue {world.namespace}.night"
    assert because(world) == Reason("unserved", what, "start `wakeline worker -Q night`")
    listens(world, "o_2", f"{world.namespace}.night")
    assert because(world) is None


def test_a_queued_process_tells_that_its_queue_is_paused_or_rq_suspended(world: World) -> None:
    world.start("p")
    listens(world, "o_1", world.namespace)
    world.do(queues.pause(world.namespace))
    way = f"`wakeline queues resume {world.namespace}` lets workers take again"
    assert because(world) == Reason("paused", f"queue {world.namespace}, which is paused", way)
    world.store.client.set(f"{world.store.address.rq_prefix}:suspended", "1")
    assert because(world) == Reason("suspended", "RQ, which is suspended", "`rq resume` lets workers take again")


def test_a_queued_process_tells_its_time(world: World) -> None:
    world.start("p", delay_ms=60_000)
    assert because(world) == Reason("later", "its time, 2023-11-14 22:14:20 UTC")
    assert world.go(looks.process("p")).offered_ms == START_MS + 60_000
    world.clock.advance("61s")
    found = because(world)
    assert found is not None and found.code == "no_worker"


def test_a_queued_process_tells_the_limit_that_holds_it(world: World) -> None:
    app = app_of(world)

    @app.engine(limit=Limit(concurrency=1))
    async def narrow(ctx: AsyncCtx) -> None: ...

    @app.engine(limit=Limit(rate="1/1h"))
    async def slow(ctx: AsyncCtx) -> None: ...

    world.do(owners.register_owner("o_1", [world.namespace], lease_ms=5_000, limits=app.limits))
    for body in (narrow, slow):
        for n in (1, 2):
            app.using(id=f"{body.name}-{n}").start(body)
    taken = {claim.process_id for claim in world.take()}
    [held] = {"narrow-1", "narrow-2"} - taken
    [rated] = {"slow-1", "slow-2"} - taken
    assert because(world, held) == Reason("held", "a place under the limit of narrow")
    assert because(world, rated) == Reason("rated", "its turn under the rate of slow")


def test_a_queued_process_tells_the_code_that_it_waits_for(world: World) -> None:
    world.do(owners.register_owner("o_1", [world.namespace], lease_ms=5_000, codes=["e:other"]))
    world.do(owners.register_owner("o_2", [world.namespace], lease_ms=5_000, codes=["e:job"]))
    world.start("p")
    world.take("o_1")
    assert because(world) == Reason(
        "code", "a worker that has its code (engine 'job')", "start a worker whose app has it"
    )


def test_a_queued_process_tells_what_does_not_fit_and_what_cannot_be_read(world: World) -> None:
    fence = world.running("p")
    misfit = Misfit("bug", "ValueError: no", "v2", START_MS)
    world.do(ends.release(fence, delay_ms=1_000, misfit=misfit))
    assert because(world) == Reason("misfit", "code that fits (bug): ValueError: no", "Roll back, or deploy a fix.")
    unread = world.running("u", owner="o_2")
    world.do(ends.release(unread, unread="it has shape 9"))
    what = "a release that can read what is stored of it: it has shape 9"
    assert because(world, "u") == Reason("unread", what, "deploy the release that wrote it, or a later one")


def test_a_queued_process_tells_how_often_it_was_lost_with_its_worker(world: World) -> None:
    world.start("p")
    for n in range(3):
        world.clock.advance("60s")
        owner = world.worker(f"dies_{n}")
        assert [claim.process_id for claim in world.take(owner)] == ["p"]
        world.do(owners.reap(owner))
    assert because(world) == Reason(
        "lost",
        "its next run, alone in 1 s: it was lost with its worker 3 times in a row",
        "the log of the worker says how it died",
    )


def test_a_process_that_was_lost_twice_says_that_it_waits_to_run_apart(world: World) -> None:
    for pid in ("p", "q", "r", "s", "t", "u"):
        world.start(pid)
    for n in range(2):
        owner = world.worker(f"dies_{n}")
        assert len(world.take(owner)) == 6
        world.do(owners.reap(owner))
    assert because(world) == Reason("no_worker", "a worker: none is alive", "start `wakeline worker`")
    world.worker()
    assert because(world) == Reason(
        "apart",
        "a worker without other work: it was lost with its worker 2 times in a row, and may be why, so it runs with at"
        " most 1 others like it",
        "the log of the worker says how it died",
    )


def test_a_process_whose_deploy_ends_its_workers_says_that_it_runs_apart(world: World) -> None:
    world.start("p")
    for n in range(3):
        world.clock.advance("60s")
        world.do(owners.register_owner(f"dies_{n}", [world.namespace], lease_ms=5_000, release="v2"))
        assert len(world.take(f"dies_{n}", release="v2")) == 1
        world.do(owners.reap(f"dies_{n}"))
    found = because(world)
    assert found is not None
    assert (found.code, found.what) == (
        "misfit",
        "code that fits (crash): worker dies_2 was lost, number 3 in a row; it runs alone",
    )


def test_what_is_not_queued_has_no_reason(world: World) -> None:
    world.running("p")
    assert world.go(looks.process("p")).because is None
    world.start("x", kind="external")
    assert world.go(looks.process("x")).because is None


# -- sessions and their entries


def desk(world: World) -> App:
    app = app_of(world)

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        turn.state["seen"] = len(turn.inbox)
        return "read"

    return app


def test_a_session_is_one_view_with_and_without_its_contents(world: World) -> None:
    app = desk(world)
    session = app.session("clerk", "1")
    session.send("hello")
    turn = session.turn()
    assert turn is not None
    reason = Reason("no_worker", "a worker: none is alive", "start `wakeline worker`")
    seen = session.inspect()
    assert seen == SessionView(
        "clerk/1", "active", "clerk", 0, None, turn.id, "queued", 1, 1, None, False, START_MS, None, because=reason
    )
    waits = "waits for a worker: none is alive; start `wakeline worker`"
    assert seen.why == session.why() == f"turn {turn.id} is queued, and {waits}; `wakeline show {turn.id}` says more"
    work(world, app)
    view = session.view()
    assert (view.status, view.revision, view.turn, view.pending, view.because) == ("idle", 1, None, 0, None)
    assert view.state == {"seen": 1} == session.state()
    assert [(one.role, one.content) for one in view.history or ()] == [("input", "hello"), ("agent", "read")]
    [entry] = view.inbox or ()
    assert (entry, [entry]) == (session.wakes()[0], list(session.wakes()))
    assert (session.view(count=0, entries=0).history, session.view(count=0, entries=0).inbox) == ((), ())
    assert {"state", "history", "inbox"} <= session.view().to_data().keys()
    assert session.inspect().to_data().keys() & {"state", "history", "inbox"} == set()
    assert app.sessions() == [session.inspect()]


def test_a_session_has_no_letter_of_the_store_in_its_data(world: World) -> None:
    app = desk(world)
    app.session("clerk", "1").send("hello")
    names = {name for name in app.session("clerk", "1").view().to_data() if len(name) < 4}
    assert names == {"id", "why"}


def test_an_entry_says_why_no_turn_takes_it(world: World) -> None:
    app = desk(world)
    world.do(sessions.send(world.session("robot/1"), to_json({"kind": "input", "input": "hi", "at_ms": 1})))
    [entry] = app.session("robot", "1").wakes()
    assert (entry.state, entry.waits, entry.because) == ("delivered", "no code here for agent robot", entry.waits)
    world.start("x", kind="external", wake_target={"session_id": "clerk/2"})
    world.emit("x", "wake", "look")
    [unopened] = app.session("clerk", "2").wakes()
    assert unopened.waits == "the session was never opened: send to it, or start something with wake="
    assert unopened.to_data()["reason"] == unopened.waits
    assert "waits" not in unopened.to_data()
    app.session("clerk", "1").send("hello")
    [read] = app.session("clerk", "1").wakes()
    assert isinstance(read, EntryView)
    assert (read.waits, read.because, read.to_data()["session"]) == (None, None, "clerk/1")


def test_a_list_of_sessions_says_whether_there_are_others(world: World) -> None:
    app = desk(world)
    for key in ("1", "2"):
        app.session("clerk", key).send("hello")
        world.clock.advance("1s")
    assert [(one.id, one.pending) for one in app.sessions(1)] == [("clerk/2", 1)]
    assert (app.sessions(1).more, app.sessions(2).more) == (True, False)
    assert {one.because.code for one in app.sessions() if one.because is not None} == {"no_worker"}


def test_the_awaited_face_gives_the_same_views(world: World) -> None:
    app = bodies(world)
    app.using(id="p").start(app.registry.engines["signalled"])
    work(world, app, queues=[None])
    app.session("clerk", "1").send("hello")

    async def looks() -> list[Any]:
        session = app.aio.session("clerk", "1")
        found = [await app.aio.handle("p").view(), await app.aio.waits(), await app.aio.sessions()]
        return [*found, await session.view(), await session.inspect(), await session.wakes()]

    session = app.session("clerk", "1")
    blocking = [app.handle("p").view(), app.waits(), app.sessions(), session.view(), session.inspect(), session.wakes()]
    assert asyncio.run(looks()) == blocking
