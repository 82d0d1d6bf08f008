"""Two releases of an app on one store: what the later one adds to signals and events reaches processes that the earlier
one started."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncCtx, Ctx, Event, current
from wakeline.errors import PayloadSchemaMismatch, ProcessFailed, UndeclaredEvent, WaitTypeDiffers
from wakeline.settings import Settings
from wakeline.store.connection import Backend
from wakeline_workers.threads import WorkerThread

from tests.scenario.conftest import until


class Releases:
    """Two apps that are one: they differ in what their code declares."""

    def __init__(self, backend: Backend) -> None:
        name = "t" + token_hex(4)
        self.old, self.new, self.other = (
            App(name, backend=backend, settings=Settings(hold_ms=50, namespace=name)) for _ in range(3)
        )

    def parked(self, process_id: str, name: str) -> None:
        until(lambda: self.old.handle(process_id).status().waiting_for == (name,))


@pytest.fixture
def releases(backend: Backend) -> Iterator[Releases]:
    made = Releases(backend)
    yield made
    for app in (made.old, made.new, made.other):
        app.close()


@pytest.fixture
def started(releases: Releases) -> Releases:
    """A process of the old release, which waits for ``go``; the new release waits for ``more`` after that, and emits
    ``done``."""

    @releases.old.engine(name="order", signals={"go": bool})
    def before(ctx: Ctx) -> str:
        return str(ctx.wait("go"))

    @releases.new.engine(
        name="order", signals={"go": bool, "more": int}, events={"done": Event(dict[str, int], wake="{n} more")}
    )
    def after(ctx: Ctx) -> str:
        went = ctx.wait("go")
        n = ctx.wait("more")
        ctx.emit("done", {"n": n})
        return f"{went} {n}"

    with WorkerThread(releases.old):
        releases.old.using(id="p", wake=releases.old.session("clerk", "1")).start(before)
        releases.parked("p", "go")
    return releases


def test_a_signal_that_was_added_is_kept_for_a_process_that_does_not_wait_for_it_yet(started: Releases) -> None:
    assert started.new.handle("p").signal("more", 7) > 0
    with WorkerThread(started.new):
        started.new.handle("p").signal("go", True)
        assert started.new.handle("p").result(timeout=10) == "True 7"


def test_it_is_checked_by_the_type_it_has_now(started: Releases) -> None:
    with pytest.raises(PayloadSchemaMismatch, match="integer"):
        started.new.handle("p").signal("more", "seven")


def test_one_that_no_release_declares_is_refused_with_all_there_are(started: Releases) -> None:
    with pytest.raises(UndeclaredEvent) as refused:
        started.new.handle("p").signal("mroe", 7)
    assert refused.value.fields["declared"] == ["signal.go", "signal.more"]


@pytest.mark.parametrize("sender", ["old", "other"])
def test_a_sender_without_the_new_code_is_served_once_the_process_waits_for_it(started: Releases, sender: str) -> None:
    app: App = getattr(started, sender)
    with pytest.raises(UndeclaredEvent, match=r"declares: signal\.go"):
        app.handle("p").signal("more", 7)
    with WorkerThread(started.new):
        app.handle("p").signal("go", True)
        started.parked("p", "more")
        with pytest.raises(PayloadSchemaMismatch, match="integer"):
            app.handle("p").signal("more", "seven")
        app.handle("p").signal("more", 7)
        assert app.handle("p").result(timeout=10) == "True 7"


def test_the_awaited_twin_sends_it_too(started: Releases) -> None:
    async def send() -> int:
        handle = started.new.aio.handle("p")
        return await handle.signal("more", 7)

    assert asyncio.run(send()) > 0


def test_an_event_that_was_added_is_emitted_with_all_it_means(started: Releases) -> None:
    with WorkerThread(started.new):
        for name, payload in (("go", True), ("more", 7)):
            started.new.handle("p").signal(name, payload)
        started.new.handle("p").result(timeout=10)
    assert [event.payload for event in started.new.handle("p").events() if event.type == "done"] == [{"n": 7}]
    assert started.new.session("clerk", "1").wakes()[0].input == "7 more"


@pytest.fixture
def changed(releases: Releases) -> Releases:
    """``go`` is a bool in the old release and an int in the new one; the process waits for it as the old one has it."""

    @releases.old.engine(name="order", signals={"go": bool, "later": bool})
    def before(ctx: Ctx) -> list[Any]:
        return [ctx.wait("go"), ctx.wait("later")]

    @releases.new.engine(name="order", signals={"go": int, "later": int})
    def after(ctx: Ctx) -> list[Any]:
        return [ctx.wait("go", bool), ctx.wait("later")]

    with WorkerThread(releases.old):
        releases.old.using(id="p").start(before)
        releases.parked("p", "go")
    return releases


def test_a_wait_with_the_type_of_one_release_tells_a_sender_of_the_other_both(changed: Releases) -> None:
    with pytest.raises(WaitTypeDiffers) as told:
        changed.new.handle("p").signal("go", 7)
    fields = told.value.fields
    assert (fields["what"], fields["asked"], fields["declared"]) == (
        "signal.go",
        '{"type":"boolean"}',
        '{"type":"integer"}',
    )
    assert '{"type":"boolean"}' in str(told.value)
    assert '{"type":"integer"}' in str(told.value)


def test_it_tells_a_body_that_sends_the_same(changed: Releases) -> None:
    @changed.new.engine
    async def teller(ctx: AsyncCtx) -> None:
        await ctx.signal("p", "go", 7)

    with WorkerThread(changed.new), pytest.raises(ProcessFailed) as told:
        changed.new.start(teller).result(timeout=10)
    assert told.value.fields["failure_code"] == "wait_type_differs"
    assert '{"type":"integer"}' in str(told.value)


def test_nothing_is_written_for_what_a_wait_refuses(changed: Releases) -> None:
    before = changed.new.handle("p").status().sequence
    with pytest.raises(WaitTypeDiffers):
        changed.new.handle("p").signal("go", 7, key="once")
    assert changed.new.handle("p").status().sequence == before
    assert changed.new.handle("p").signal("go", True, key="once") == before + 1


@pytest.mark.parametrize("payload", [True, 7])
def test_before_anything_waits_either_type_is_taken(changed: Releases, payload: object) -> None:
    assert changed.new.handle("p").signal("later", payload) > 0


def test_and_what_is_of_neither_is_refused(changed: Releases) -> None:
    with pytest.raises(PayloadSchemaMismatch):
        changed.new.handle("p").signal("later", "never")


def test_what_an_open_wait_of_the_new_release_asks_for_is_taken_from_a_sender_of_the_old_one(changed: Releases) -> None:
    with WorkerThread(changed.new):
        changed.old.handle("p").signal("go", True)
        changed.parked("p", "later")
        with pytest.raises(WaitTypeDiffers):
            changed.old.handle("p").signal("later", True)
        changed.old.handle("p").signal("later", 7)
        assert changed.old.handle("p").result(timeout=10) == [True, 7]


def test_a_wait_without_a_type_of_its_own_lets_nothing_else_pass(releases: Releases) -> None:
    @releases.old.engine(name="order", signals={"go": bool})
    def before(ctx: Ctx) -> Any:
        return ctx.wait("go", Any)

    with WorkerThread(releases.old):
        releases.old.using(id="p").start(before)
        releases.parked("p", "go")
        with pytest.raises(PayloadSchemaMismatch):
            releases.old.handle("p").signal("go", "perhaps")


def test_a_tool_that_a_body_calls_emits_an_event_that_was_added(releases: Releases) -> None:
    @releases.old.engine(name="order", signals={"go": bool})
    def before(ctx: Ctx) -> None:
        ctx.wait("go")

    @releases.new.tool
    def counts() -> None:
        current().emit("counted", 3)

    @releases.new.engine(name="order", signals={"go": bool}, events={"counted": int})
    def after(ctx: Ctx) -> None:
        ctx.wait("go")
        ctx.call(counts)

    with WorkerThread(releases.old):
        releases.old.using(id="p").start(before)
        releases.parked("p", "go")
    with WorkerThread(releases.new):
        releases.new.handle("p").signal("go", True)
        releases.new.handle("p").result(timeout=10)
    assert [event.payload for event in releases.new.handle("p").events() if event.type == "counted"] == [3]


def test_an_event_that_ends_reaches_a_process_started_before_it(releases: Releases) -> None:
    @releases.old.engine(name="order", signals={"go": bool})
    def before(ctx: Ctx) -> None:
        ctx.wait("go")

    @releases.new.engine(name="order", signals={"go": bool}, events={"shipped": Event(str, ends="completed")})
    def after(ctx: Ctx) -> None:
        ctx.wait("go")
        ctx.emit("shipped", "by train")

    with WorkerThread(releases.old):
        releases.old.using(id="p").start(before)
        releases.parked("p", "go")
    with WorkerThread(releases.new):
        releases.new.handle("p").signal("go", True)
        assert releases.new.handle("p").result(timeout=10) == "by train"


def test_outside_work_that_was_registered_before_takes_events_that_its_reporter_adds(releases: Releases) -> None:
    releases.old.external("ci-run", id="build-7", events={"tested": int})
    build = releases.new.external(
        "ci-run", id="build-7", events={"tested": int, "deployed": Event(str, ends="completed")}
    )
    build.emit("tested", 42)
    with pytest.raises(PayloadSchemaMismatch):
        build.emit("deployed", 7)
    build.emit("deployed", "to the shop")
    assert build.result(timeout=1) == "to the shop"


def test_so_does_its_awaited_twin(releases: Releases) -> None:
    async def report() -> Any:
        await releases.old.aio.external("ci-run", id="build-8")
        build = await releases.new.aio.external("ci-run", id="build-8", events={"tested": int})
        return await build.emit("tested", 42)

    assert asyncio.run(report()) > 0
