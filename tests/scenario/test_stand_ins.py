"""Payloads over 64 KB: wherever one goes, what scripts hold is a stand-in, and its reader gets the payload."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Event
from wakeline.errors import InvalidPayload, OccurrenceConflict, ProcessConflict, ProcessFailed
from wakeline.sessions.activity import Progress
from wakeline.sessions.feed import TurnActivity
from wakeline.store import attachments, triggers
from wakeline.triggers.occurrence import Occurrence, delivered_process_id

from tests.scenario.conftest import until

BIG = "x" * 100_000
STAND_IN = {"__claim__": "sha256:" + "0" * 64}


def longest(app: App) -> int:
    """The longest value of any key that is not bytes of an attachment, in the app's namespace."""
    client: Any = app.store.client
    prefix, most = app.store.address.prefix, 0
    for key in client.scan_iter(match=prefix + "*", count=1000):
        if key.startswith(prefix + "bytes:"):
            continue
        kind = client.type(key)
        if kind == "string":
            most = max(most, client.strlen(key))
        elif kind == "hash":
            most = max(most, *map(len, client.hvals(key)))
        elif kind == "stream":
            most = max([most, *(len(value) for _, fields in client.xrange(key) for value in fields.values())])
        elif kind == "list":
            most = max([most, *map(len, client.lrange(key, 0, -1))])
        elif kind == "set":
            most = max([most, *map(len, client.smembers(key))])
        else:
            assert kind == "zset"
            most = max([most, *map(len, client.zrange(key, 0, -1))])
    return most


def test_arguments_steps_children_and_results(app: App) -> None:
    def grows(text: str) -> str:
        return text + "y"

    @app.tool
    def echo(text: str) -> str:
        return text

    @app.engine(signals={"go": bool})
    async def child(ctx: AsyncCtx, text: str) -> str:
        grown = await ctx.step("grow", grows, text)
        await ctx.wait("go")
        return grown

    @app.engine
    def parent(ctx: Ctx, text: str) -> list[int]:
        started = ctx.start(child, text)
        started.signal("go", True)
        return [len(started.result()), len(ctx.call(echo, text)), len(ctx.call(echo, text))]

    handle = app.start(parent, BIG)
    assert handle.result(timeout=20) == [100_001, 100_000, 100_000]
    assert app.start(echo, BIG).result(timeout=20) == BIG
    assert longest(app) < 20_000


def test_signals_events_and_inputs(app: App) -> None:
    @app.engine(signals={"text": str}, events={"said": Event(str)})
    async def hears(ctx: AsyncCtx) -> int:
        text = await ctx.wait("text", str)
        await ctx.emit("said", text + text)
        return len(text)

    @app.agent
    async def reads(turn: AsyncTurn) -> str:
        [item] = turn.inbox
        turn.state["text"] = item.input
        return str(item.input).upper()

    handle = app.start(hears)
    handle.signal("text", BIG)
    assert handle.result(timeout=20) == 100_000
    [said] = [event for event in handle.events() if event.type == "said"]
    assert said.payload == BIG + BIG
    session = app.session("reads", "1")
    assert session.ask(BIG, timeout=20) == BIG.upper()
    assert session.state() == {"text": BIG}
    assert [len(message.content) for message in session.history()] == [100_000, 100_000]
    assert session.ask("again", timeout=20) == "AGAIN"
    assert longest(app) < 20_000


def test_a_start_is_the_same_by_its_content_however_it_is_kept(app: App) -> None:
    @app.engine(signals={"go": bool})
    async def waits(ctx: AsyncCtx, text: str) -> int:
        await ctx.wait("go")
        return len(text)

    first = app.using(id="one").start(waits, BIG)
    assert app.using(id="one").start(waits, BIG).id == first.id
    with pytest.raises(ProcessConflict):
        app.using(id="one").start(waits, BIG + "z")


def test_a_process_that_was_parked_with_large_rows_goes_on_with_them(app: App) -> None:
    runs: list[int] = []

    def makes() -> str:
        runs.append(1)
        return BIG

    @app.engine(signals={"go": bool})
    async def parks(ctx: AsyncCtx) -> int:
        text = await ctx.step("make", makes)
        await ctx.wait("go")
        return len(text)

    handle = app.start(parks)
    until(lambda: handle.status().status == "waiting")
    handle.signal("go", True)
    assert handle.result(timeout=20) == 100_000
    assert runs == [1]


@pytest.mark.parametrize("forged", [STAND_IN, {"deep": [STAND_IN]}, {"__claim__": 1}])
def test_what_looks_like_a_stand_in_is_what_its_writer_wrote(app: App, forged: dict[str, Any]) -> None:
    @app.engine(signals={"value": Any})
    async def mirrors(ctx: AsyncCtx, value: Any) -> Any:
        return [value, await ctx.wait("value"), await ctx.step("same", lambda: forged)]

    handle = app.start(mirrors, forged)
    handle.signal("value", forged)
    assert handle.result(timeout=20) == [forged, forged, forged]


def test_a_label_that_looks_like_a_stand_in_is_refused(app: App) -> None:
    @app.engine
    async def nothing(ctx: AsyncCtx) -> None:
        pass

    with pytest.raises(InvalidPayload, match="Wakeline's own name"):
        app.using(labels={"__claim__": "x"}).start(nothing)


def test_a_payload_that_is_lost_ends_its_process_and_keeps_no_worker_from_the_others(app: App) -> None:
    @app.engine
    async def sizes(ctx: AsyncCtx, text: str) -> int:
        return len(text)

    lost = app.using(delay="1s").start(sizes, BIG)
    client: Any = app.store.client
    [place] = client.scan_iter(match=app.store.address.prefix + "bytes:*")
    client.delete(place)
    with pytest.raises(ProcessFailed) as failed:
        lost.result(timeout=20)
    assert (failed.value.fields["failure_class"], failed.value.fields["failure_code"]) == (
        "unavailable",
        "attachment_corrupt",
    )
    assert app.start(sizes, BIG + "2").result(timeout=20) == 100_001


def test_a_stand_in_that_a_turn_makes_up_opens_nothing_and_harms_no_follower(app: App) -> None:
    """What it says of itself is data of its own; an attachment of another owner is not part of it, and neither is one
    that is not kept."""
    secret = app.attachments.put(b'"top secret of the host"', "application/json")

    @app.agent
    async def spies(turn: AsyncTurn) -> None:
        for claimed in (secret.id, STAND_IN["__claim__"]):
            await turn.execution.emit_turn_activity("x", Progress(text="look", data={"__claim__": claimed}))

    session = app.session("spies", "1")
    page, following = session.create(), iter(session.follow())
    assert page is None
    session.send("go")
    said: list[Any] = []
    for item in following:
        if isinstance(item, TurnActivity) and isinstance(item.event, Progress):
            said.append(item.event.data)
        if len(said) == 2:
            break
    assert sorted(one["__claim__"] for one in said) == sorted([secret.id, STAND_IN["__claim__"]])


def test_an_agent_reads_the_end_of_outside_work_and_no_stand_in_for_it(app: App) -> None:
    @app.agent
    async def hears(turn: AsyncTurn) -> list[int]:
        return [len(item.text) for item in turn.inbox]

    session = app.session("hears", "1")
    outside = app.external("report", wake=session)
    outside.finish({"text": BIG})
    until(lambda: bool(session.history()))
    [length] = [message.content for message in session.history() if message.role == "agent"][0]
    assert length > 100_000


def test_the_state_of_a_session_is_kept_once_however_often_it_changed(app: App) -> None:
    @app.agent
    async def grows(turn: AsyncTurn) -> int:
        turn.state["text"] = BIG + str(turn.state.get("n", 0))
        turn.state["n"] = turn.state.get("n", 0) + 1
        return int(turn.state["n"])

    session = app.session("grows", "1")
    for n in range(1, 6):
        assert session.ask("more", timeout=20) == n
    client: Any = app.store.client
    prefix = app.store.address.prefix
    owned = client.zrange(prefix + "atts:state:grows/1", 0, -1)
    assert len(owned) == 5
    # An hour later a sweep looks: what is no state any more is not kept.
    for one in owned:
        client.hset(prefix + f"att:{one}", "o:state:grows/1", 1)
        client.zadd(prefix + "attachments", {one: 1})
    app.store.run(attachments.sweep(app.store.blobs))
    assert len(list(client.scan_iter(match=prefix + "bytes:*"))) == 1
    assert session.state() == {"text": BIG + "4", "n": 5}


# -- every other way by which a payload comes into the store


def test_what_a_trigger_is_told(app: App) -> None:
    @app.engine
    async def build(ctx: AsyncCtx, blob: str) -> int:
        return len(blob)

    push = app.trigger("github.push")
    push.subscribe(build)
    receipt = push.emit({"blob": "x" * 300_000}, key="one")
    [started] = receipt.started
    assert app.handle(started).result(timeout=20) == 300_000
    assert push.emit({"blob": "x" * 300_000}, key="one").replayed
    with pytest.raises(OccurrenceConflict):
        push.emit({"blob": "y" * 300_000}, key="one")
    assert longest(app) < 20_000


def test_what_a_body_tells_a_trigger_and_a_crash_left_to_deliver(app: App) -> None:
    @app.engine
    async def build(ctx: AsyncCtx, blob: str) -> int:
        return len(blob)

    @app.engine
    async def tells(ctx: AsyncCtx) -> list[str]:
        return list((await ctx.trigger("build.wanted").emit({"blob": BIG})).started)

    for source in ("build.wanted", "build.lost"):
        app.trigger(source).subscribe(build)
    told = app.start(tells).result(timeout=20)
    assert app.handle(told[0]).result(timeout=20) == 100_000
    # Recorded, and its emitter died before it started anything: a worker does.
    emitted = app.store.execute(triggers.emit(Occurrence("build.lost", "one", {"blob": BIG + "y"})))
    assert emitted is not None
    [left] = emitted.deliveries
    late = app.handle(delivered_process_id(left.occurrence_id, left.subscription_id))
    until(lambda: not app.store.execute(triggers.pending(older_ms=0)))
    assert late.result(timeout=20) == 100_001
    assert longest(app) < 20_000


def test_a_large_answer_resumes_a_process_that_was_parked(app: App) -> None:
    @app.engine
    async def asks(ctx: AsyncCtx) -> int:
        ask = await ctx.approval("text", str)
        tokens.append(ask.token)
        return len(await ask.wait())

    tokens: list[str] = []
    asked = app.start(asks)
    until(lambda: asked.status().status == "waiting")
    assert app.resolve(tokens[0], BIG)
    assert asked.result(timeout=20) == 100_000
    assert longest(app) < 20_000


def test_what_outside_work_says(app: App) -> None:
    outside = app.external("ci", metadata={"text": BIG})
    outside.emit("log", {"line": BIG})
    outside.finish({"text": BIG})
    assert outside.result(timeout=20) == {"text": BIG}
    assert longest(app) < 20_000


def test_what_bodies_tell_each_other_and_begin_anew_with(app: App) -> None:
    @app.engine(signals={"text": str})
    async def hears(ctx: AsyncCtx) -> int:
        return len(await ctx.wait("text", str))

    @app.engine
    async def tells(ctx: AsyncCtx, text: str, again: bool = True) -> list[int]:
        child = await ctx.start(hears)
        await child.signal("text", text)
        heard = await child
        if again:
            await ctx.continue_as_new(text + "y", again=False)
        return [heard, len(text)]

    @app.engine
    async def fails(ctx: AsyncCtx) -> None:
        raise ValueError(BIG)

    assert app.start(tells, BIG).result(timeout=20) == [100_001, 100_001]
    with pytest.raises(ProcessFailed):
        app.start(fails).result(timeout=20)
    assert longest(app) < 20_000


def test_what_is_said_in_a_session_and_in_its_next_frame(app: App) -> None:
    @app.agent
    async def moves(turn: AsyncTurn) -> list[int]:
        lengths = [len(item.text) for item in turn.inbox]
        if turn.frame is None:
            turn.switch_frame("second", BIG)
        return lengths

    session = app.session("moves", "1")
    session.command("read", {"text": BIG})
    until(lambda: any(message.content == [100_000] for message in session.history()))
    session.append([{"role": "note", "content": BIG}])
    assert longest(app) < 20_000
