"""Every public verb meets values that it cannot take, in each place: it gives a result or a typed error with a code,
and an error has written nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, WakelineError
from wakeline.client.externals import External
from wakeline.client.handles import Handle
from wakeline.client.many import Many
from wakeline.client.sessions import Session
from wakeline.client.triggers import Trigger
from wakeline.errors import InvalidArguments, InvalidId, SessionDeleted, SessionNotFound, UnknownName, WrongVerb
from wakeline.verbs.attachments import Attachments
from wakeline.verbs.options import StartOptions

from tests.lua.world import World
from tests.races.workers import work
from tests.scenario.bad_input.ends import on_the_fake_alone

pytestmark = on_the_fake_alone
ID = "sha256:" + "0" * 64
WRONG: tuple[Any, ...] = (
    None,
    5,
    "",
    "\0",
    "\ud800",
    "x" * 3_000,
    "no/such#1",
    [],
    [5],
    {"a": 5},
    object(),
    b"b",
    True,
    1.5,
    0,
    -1,
)
FOREVER: tuple[Any, ...] = ("", [], {"a": 5}, object(), b"b", True, -1, "x" * 3_000)
"""What is no time in which to wait."""
Call = Callable[..., Any]
Row = tuple[Callable[[App], Call], tuple[Any, ...], dict[str, Any]]


def _external(app: App) -> External:
    return app.external("ci", id="x")


def _events(app: App) -> Call:
    return lambda **given: list(app.handle("p").events(**given))


ONE: Any = object()
"""Stands for a tool of the app."""
PAGE = {"after": None, "limit": 5}
FILTER: dict[str, Any] = {
    "kind": "waits",
    "session": "clerk/1",
    "waiting": "go",
    "parent": "p",
    "name": "waits",
    "labels": {"a": "b"},
    "beginning": "prefix",
    "since": "1h",
    "until": None,
    "older_than": 0,
    "everything": False,
    "expect": 5,
    "dry_run": False,
    "progress": None,
}
VERBS: dict[str, Row] = {
    "app.handle": (lambda app: app.handle, ("p", int), {}),
    "app.session": (lambda app: app.session, ("clerk", "1"), {}),
    "app.external": (
        lambda app: app.external,
        ("ci",),
        {"id": "x", "wake": "clerk/1", "metadata": {}, "events": {}},
    ),
    "app.trigger": (lambda app: app.trigger, ("push", int), {}),
    "app.execution": (lambda app: app.execution, ("clerk/1",), {}),
    "app.start": (lambda app: app.start, (ONE, 1), {}),
    "app.start_many": (lambda app: app.start_many, (ONE, [{"n": 1}]), {"ids": None}),
    "app.resolve": (lambda app: app.resolve, ("token", 1), {}),
    "app.approvals": (lambda app: app.approvals, (None, 5), {}),
    "app.answer": (lambda app: app.answer, ("id", 1), {}),
    "app.processes": (
        lambda app: app.processes,
        ("any",),
        {
            "kind": "waits",
            "name": "waits",
            "labels": {"tenant": "acme"},
            "session": "clerk/1",
            "waiting": "go",
            "parent": "p",
            "beginning": "order-1",
            "since": "2h",
            "until": "1h",
            **PAGE,
        },
    ),
    "app.waits": (lambda app: app.waits, (), PAGE),
    "app.sessions": (lambda app: app.sessions, (), PAGE),
    "app.undeliverable": (lambda app: app.undeliverable, (), PAGE),
    "app.pause": (lambda app: app.pause, (None,), {}),
    "app.resume": (lambda app: app.resume, (None,), {}),
    "app.why": (lambda app: app.why, ("clerk/1",), {}),
    "many.cancel": (lambda app: app.many.cancel, ("queued",), {"reason": "why", **FILTER}),
    "many.retry": (lambda app: app.many.retry, ("failed",), FILTER),
    "many.signal": (lambda app: app.many.signal, ("go", 1), {"key": "k", "status": "queued", **FILTER}),
    "many.redrive": (
        lambda app: app.many.redrive,
        ("failed",),
        {"agent": "clerk", "everything": False, "expect": 5, "dry_run": False, "progress": None},
    ),
    "many.prune": (lambda app: app.many.prune, ("completed",), FILTER),
    "handle.result": (lambda app: app.handle("p").result, (0.01,), {}),
    "handle.signal": (lambda app: app.handle("p").signal, ("go", 1), {"key": "k"}),
    "handle.cancel": (lambda app: app.handle("q").cancel, ("why",), {}),
    "handle.retarget": (lambda app: app.handle("p").retarget, ("clerk/1",), {}),
    "handle.effects": (lambda app: app.handle("p").effects, (), {"after": 0, "limit": 5}),
    "handle.children": (lambda app: app.handle("p").children, ("live",), PAGE),
    "handle.events": (_events, (), {"after": 0}),
    "external.emit": (lambda app: _external(app).emit, ("log", 1), {"key": None}),
    "external.finish": (lambda app: app.external("ci", id="y").finish, (1,), {}),
    "external.fail": (lambda app: app.external("ci", id="z").fail, ("code", "message"), {}),
    "session.send": (lambda app: app.session("clerk", "1").send, ("hello",), {"key": None}),
    "session.ask": (lambda app: app.session("clerk", "1").ask, ("hello",), {"timeout": 0}),
    "session.command": (lambda app: app.session("clerk", "1").command, ("reset", 1), {"key": None}),
    "session.wakes": (lambda app: app.session("clerk", "1").wakes, (), {"before": None, **PAGE}),
    "session.why": (lambda app: app.session("clerk", "1").why, (None,), {}),
    "session.redrive": (lambda app: app.session("clerk", "1").redrive, (1,), {}),
    "session.view": (lambda app: app.session("clerk", "1").view, (), {"after": 0, "count": 5, "entries": 5}),
    "session.history": (lambda app: app.session("clerk", "1").history, (), {"after": 0, "count": 5, "frame": None}),
    "session.follow": (lambda app: app.session("clerk", "1").follow, (None,), {}),
    "session.append": (
        lambda app: app.session("clerk", "1").append,
        ([{"role": "agent", "content": 1}],),
        {"ancestor": None},
    ),
    "trigger.emit": (lambda app: app.trigger("push").emit, (1,), {"key": None, "source_key": None}),
    "trigger.subscribe": (
        lambda app: app.trigger("push").subscribe,
        (ONE,),
        dict.fromkeys(("name", "source_key", "input", "wake", "queue", "labels", "revision")),
    ),
    "trigger.enable": (lambda app: app.trigger("push").enable, ("s",), {"revision": None}),
    "trigger.disable": (lambda app: app.trigger("push").disable, ("s",), {"revision": None}),
    "trigger.remove": (lambda app: app.trigger("push").remove, ("s",), {"revision": None}),
    "attachments.put": (lambda app: app.attachments.put, (b"x", "text/plain"), {}),
    "attachments.get": (lambda app: app.attachments.get, (ID,), {}),
    "attachments.head": (lambda app: app.attachments.head, (ID,), {}),
    "attachments.delete": (lambda app: app.attachments.delete, (ID,), {}),
    "attachments.list": (lambda app: app.attachments.list, (5,), {"after": None}),
}
WAITS = {"handle.result": FOREVER, "session.ask": FOREVER}
WITHOUT_VALUES = {
    "app": {"fleet", "metrics", "doctor", "close", "connect", "run", "new_async_store", "using"},
    "many": set[str](),
    "handle": {"status", "view", "why", "retry"},
    "external": {
        "status",
        "view",
        "why",
        "retry",
        "result",
        "signal",
        "cancel",
        "retarget",
        "effects",
        "children",
        "events",
    },
    "session": {"create", "delete", "inspect", "skip", "graph", "frames", "state", "turn"},
    "trigger": {"subscriptions"},
    "attachments": set[str](),
}
"""Verbs that are given nothing, or that have their own tests; those of external work that are a handle's."""


@pytest.fixture
def there(app: App) -> App:
    """An app with a tool, processes and a session."""

    @app.tool
    def one(n: int = 1) -> int:
        return n

    @app.engine(signals={"go": int})
    def waits(ctx: Ctx) -> int:
        return ctx.wait("go", int)

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None: ...

    for pid in ("p", "q"):
        app.using(id=pid).start(waits)
    app.external("ci", id="x")
    app.session("clerk", "1").create()
    return app


def places(row: Row) -> Iterator[int | str]:
    _, given, named = row
    yield from range(len(given))
    yield from named


def asked(app: App, row: Row, place: int | str, value: Any) -> Callable[[], Any]:
    """The call with the value in this place, and good ones in all others."""
    verb, given, named = row
    args = [value if place == at else app.registry.tools["one"] if one is ONE else one for at, one in enumerate(given)]
    return lambda: verb(app)(*args, **(named | {place: value} if isinstance(place, str) else named))


def refused(call: Callable[[], Any]) -> bool:
    """Whether it is refused; anything but a typed error ends the test."""
    try:
        call()
    except WakelineError as error:
        assert error.code != "wakeline_error"
        assert error.to_json()["message"]
        return True
    return False


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_takes_a_value_or_refuses_it_typed_and_then_has_written_nothing(
    world: World, there: App, name: str
) -> None:
    row = VERBS[name]
    for place in places(row):
        calls = [asked(there, row, place, value) for value in WAITS.get(name, WRONG)]
        again = [call for call in calls if refused(call) and name not in WAITS]
        before = world.snapshot()
        assert all(refused(call) for call in again)
        assert world.snapshot() == before, f"{name} wrote before it refused what it was given in {place}"


@pytest.mark.parametrize("option", StartOptions.__annotations__)
def test_an_option_of_a_start_is_taken_or_refused_typed(world: World, there: App, option: str) -> None:
    one = there.registry.tools["one"]
    calls = [lambda value=value: there.using(**{option: value}).start(one) for value in WRONG]  # type: ignore[misc]
    again = [call for call in calls if refused(call)]
    before = world.snapshot()
    assert all(refused(call) for call in again)
    assert world.snapshot() == before


def test_every_public_verb_stands_in_the_table(app: App) -> None:
    kinds = {
        "app": App,
        "many": Many,
        "handle": Handle,
        "external": External,
        "session": Session,
        "trigger": Trigger,
        "attachments": Attachments,
    }
    declaring = {name for name in dir(App.__mro__[1]) if not name.startswith("_")}
    for noun, kind in kinds.items():
        public = {
            name for name, member in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")
        } - declaring
        known = {verb.partition(".")[2] for verb in VERBS if verb.startswith(f"{noun}.")} | WITHOUT_VALUES[noun]
        assert public == known, noun


# -- in a body

IN_A_BODY: dict[str, Callable[[Any, Any], Any]] = {
    "step name": lambda ctx, value: ctx.step(value, int),
    "step function": lambda ctx, value: ctx.step("s", value),
    "step was": lambda ctx, value: ctx.step("t", int, was=value),
    "effect name": lambda ctx, value: ctx.effect(value, int),
    "effect perform": lambda ctx, value: ctx.effect("e", value),
    "effect args": lambda ctx, value: ctx.effect("f", int, args=value),
    "effect key": lambda ctx, value: ctx.effect("g", int, key=value),
    "call": lambda ctx, value: ctx.call(value),
    "start": lambda ctx, value: ctx.start(value),
    "call_batch": lambda ctx, value: ctx.call_batch(value),
    "call_batch one": lambda ctx, value: ctx.call_batch([value]),
    "gather": lambda ctx, value: ctx.gather(value),
    "gather one": lambda ctx, value: ctx.gather([value]),
    "race one": lambda ctx, value: ctx.race(value),
    "approval name": lambda ctx, value: ctx.approval(value),
    "approval kind": lambda ctx, value: ctx.approval("kind", value),
    "approval question": lambda ctx, value: ctx.approval("question", question=value),
    "emit": lambda ctx, value: ctx.emit(value),
    "wake text": lambda ctx, value: ctx.wake(value),
    "wake key": lambda ctx, value: ctx.wake("text", key=value),
    "signal target": lambda ctx, value: ctx.signal(value, "go"),
    "signal name": lambda ctx, value: ctx.signal("x", value),
    "signal key": lambda ctx, value: ctx.signal("x", "go", key=value),
    "cancel target": lambda ctx, value: ctx.cancel(value),
    "cancel reason": lambda ctx, value: ctx.cancel("q", value),
    "trigger": lambda ctx, value: ctx.trigger(value).emit(),
    "trigger kind": lambda ctx, value: ctx.trigger("push", value).emit(),
    "patched": lambda ctx, value: ctx.patched(value),
    "deprecated_patch": lambda ctx, value: ctx.deprecated_patch(value),
    "defer": lambda ctx, value: ctx.defer(value),
    "using key": lambda ctx, value: ctx.using(key=value).step("u", int),
    "using id": lambda ctx, value: ctx.using(id=value).start,
    "using wake": lambda ctx, value: ctx.using(wake=value).start,
    "attachment": lambda ctx, value: ctx.attachments.get(value),
    "named_phase": lambda ctx, value: ctx.execution.named_phase(value),
}


def test_a_verb_of_a_body_takes_a_value_or_refuses_it_typed(world: World, there: App) -> None:
    tried: list[str] = []

    @there.engine
    def blocking(ctx: Ctx) -> None:
        for name, verb in IN_A_BODY.items():
            for value in WRONG:
                refused(lambda verb=verb, value=value: verb(ctx, value))  # type: ignore[misc]
            tried.append(name)

    @there.engine
    async def awaited(ctx: AsyncCtx) -> None:
        for name, verb in IN_A_BODY.items():
            for value in WRONG:
                try:
                    made = verb(ctx, value)
                    if inspect.isawaitable(made):
                        await made
                except WakelineError as error:
                    assert error.code
            tried.append(name)

    for engine in (blocking, awaited):
        handle = there.start(engine)
        work(world, there)
        handle.result(timeout=0)
    assert tried == list(IN_A_BODY) * 2


@pytest.mark.parametrize("bad", [None, 5, "", " ", "a\nb", "\x1b[1m", "\ud800", "x" * 1025], ids=repr)
def test_a_name_that_people_read_is_printable_text(world: World, there: App, bad: Any) -> None:
    @there.engine
    def names(ctx: Ctx) -> list[str]:
        said: list[str] = []
        for call in (
            lambda: ctx.approval(bad),
            lambda: ctx.step(bad, int),
            lambda: ctx.patched(bad),
            lambda: ctx.deprecated_patch(bad),
        ):
            with pytest.raises(InvalidId) as refusal:
                call()
            said.append(str(refusal.value.kind))
        return said

    handle = there.start(names)
    work(world, there)
    assert handle.result(timeout=0) == ["approval name", "step name", "name of a change", "name of a change"]
    assert [event.type for event in handle.events()] == ["process.started", "process.completed"]


def test_a_plain_call_of_an_engine_or_an_agent_names_the_verb(world: World, there: App) -> None:
    waits, clerk = there.registry.engines["waits"], there.registry.agents["clerk"]
    with pytest.raises(
        WrongVerb,
        match=r"A plain call of the engine waits would run without a process here\. Use app\.start\(waits, …\)",
    ):
        waits(1)  # type: ignore[operator]
    with pytest.raises(WrongVerb, match=r"Use app\.session\('clerk', key\)\.send\(…\) instead"):
        clerk(1)  # type: ignore[operator]

    @there.engine
    def calls(ctx: Ctx) -> str:
        with pytest.raises(WrongVerb) as refusal:
            waits()  # type: ignore[operator]
        return refusal.value.use

    handle = there.start(calls)
    work(world, there)
    assert handle.result(timeout=0) == "ctx.start(waits, …)"


# -- what the command line refuses too


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_queue_that_nothing_knows_is_neither_paused_nor_resumed(world: World, there: App, verb: str) -> None:
    @there.engine(queue="slow")
    def archive(ctx: Ctx) -> None: ...

    before = world.snapshot()
    with pytest.raises(UnknownName, match="No queue is named 'slwo'; known: slow, "):
        getattr(there, verb)("slwo")
    assert world.snapshot() == before
    name = next(queue for queue in there.queues if queue.endswith(".slow"))
    assert [there.pause("slow"), there.pause(name), there.resume(name), there.resume("slow")] == [
        True,
        False,
        True,
        False,
    ]
    assert [there.pause(), there.pause(there.namespace), there.resume(there.namespace)] == [True, False, True]
    there.using(queue="other").start(there.registry.tools["one"])
    assert there.pause("other") is True


def test_processes_of_a_session_that_never_was_are_not_found(there: App) -> None:
    assert there.processes(session="clerk/1") == []
    with pytest.raises(SessionNotFound):
        there.processes(session="clerk/2")
    there.session("clerk", "1").delete()
    assert there.processes(session="clerk/1") == []


@pytest.mark.parametrize("verb", ["frames", "graph", "view", "history", "state", "turn"])
def test_a_read_of_a_session_tells_one_that_never_was_from_a_deleted_one(there: App, verb: str) -> None:
    assert getattr(there.session("clerk", "1"), verb)() is not NotImplemented
    with pytest.raises(SessionNotFound) as never:
        getattr(there.session("clerk", "2"), verb)()
    assert type(never.value) is SessionNotFound
    there.session("clerk", "1").delete()
    with pytest.raises(SessionDeleted):
        getattr(there.session("clerk", "1"), verb)()


LISTS: dict[str, Callable[[App, Any], Any]] = {
    "processes": lambda app, limit: app.processes(limit=limit),
    "waits": lambda app, limit: app.waits(limit),
    "sessions": lambda app, limit: app.sessions(limit),
    "undeliverable": lambda app, limit: app.undeliverable(limit),
    "approvals": lambda app, limit: app.approvals(limit=limit),
    "wakes": lambda app, limit: app.session("clerk", "1").wakes(limit=limit),
    "history": lambda app, limit: app.session("clerk", "1").history(count=limit),
    "effects": lambda app, limit: app.handle("p").effects(limit=limit),
    "children": lambda app, limit: app.handle("p").children(limit=limit),
    "attachments": lambda app, limit: app.attachments.list(limit),
}


@pytest.mark.parametrize("name", LISTS)
def test_the_limit_of_every_list_is_one_or_more(there: App, name: str) -> None:
    for bad in (0, -1):
        with pytest.raises(InvalidArguments, match=rf"it is {bad}, it has to be 1 "):
            LISTS[name](there, bad)
    assert len(LISTS[name](there, 1)) <= 1


def test_pages_follow_each_other_by_their_next_and_leave_nothing_out(world: World, there: App) -> None:
    for n in range(5):
        there.session("clerk", f"s{n}").send("hello")
        there.using(id=f"w{n}").start(there.registry.engines["waits"])
    work(world, there)
    lists: dict[str, Callable[[str | None, int], Any]] = {
        "processes": lambda after, limit: there.processes(after=after, limit=limit),
        "waiting": lambda after, limit: there.processes("waiting", after=after, limit=limit),
        "waits": lambda after, limit: there.waits(limit, after=after),
        "sessions": lambda after, limit: there.sessions(limit, after=after),
    }
    for name, page_of in lists.items():
        whole = page_of(None, 50)
        assert (whole.more, whole.next) == (False, None)
        found: list[Any] = []
        page = page_of(None, 2)
        found += page
        while page.more:
            page = page_of(page.next, 2)
            found += page
        assert page.next is None
        assert found == whole, name
        assert len(found) >= 5
    moved = there.sessions(2)
    there.session("clerk", moved[-1].id.partition("/")[2]).send("again")
    rest = there.sessions(50, after=moved.next)
    assert [one.id for one in rest] == [one.id for one in there.sessions() if one.id not in {two.id for two in moved}]
