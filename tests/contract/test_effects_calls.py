"""A call is one call wherever its tool runs, and a failed attempt keeps what was decided about the next: bodies whose
tools are declared anew under them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Handle, Limit
from wakeline.environments.spec import EMPTY_ENVIRONMENT
from wakeline.errors import ProcessFailed, RetryAfter, ToolFailed
from wakeline.processes.inputs import PreparedCall, ToolCall
from wakeline.processes.registration import prepare
from wakeline.tools.outcome import Success
from wakeline.tools.tool import Tool, current
from wakeline.values import content_hash

from tests.contract.working import app_of, work

if TYPE_CHECKING:
    from tests.contract.conftest import World

Body = Callable[[Ctx, Tool[..., Any]], Any]
PLAIN: dict[str, Any] = {}
QUEUE: dict[str, Any] = {"queue": "slow"}
LIMIT: dict[str, Any] = {"limit": Limit(concurrency=5)}
FORMS = {"plain": PLAIN, "queue": QUEUE, "limit": LIMIT}


@dataclass
class Shop:
    """A tool that counts, and apps that declare it in different ways."""

    world: World
    does: Callable[[int], Any] = lambda n: f"paid {n}"
    made: list[tuple[str, int]] = field(default_factory=list)
    """Idempotency key and attempt of each time the tool's code ran."""

    def app(self, body: Body, how: Literal["def", "async def"] = "def", **tool: Any) -> App:
        """An app of one release: its tool ``charge`` declared so, and an engine ``refund`` with that body."""
        app = app_of(self.world)

        def charge(n: int) -> str:
            self.made.append((current().idempotency_key, current().attempt))
            return self.does(n)  # type: ignore[no-any-return]

        async def charge_awaited(n: int) -> str:
            return charge(n)

        made: Tool[..., Any] = app.tool(name="charge", **tool)(charge if how == "def" else charge_awaited)  # type: ignore[arg-type]

        @app.engine(name="refund", signals={"go": bool})
        def refund(ctx: Ctx) -> Any:
            return body(ctx, made)

        return app

    @property
    def keys(self) -> list[str]:
        """The idempotency keys under which the tool's code ran, in order."""
        return [key for key, _ in self.made]

    @property
    def attempts(self) -> list[int]:
        """The attempts it ran as, in order."""
        return [attempt for _, attempt in self.made]

    def start(self, app: App, pid: str = "p") -> Handle[Any]:
        return app.using(id=pid).start(app.registry.engines["refund"])


def call_and_wait(ctx: Ctx, charge: Tool[..., Any]) -> Any:
    paid = ctx.call(charge, 7)
    ctx.wait("go")
    return paid


def rows(world: World, pid: str = "p") -> dict[str, dict[str, Any]]:
    """The journal: key to row."""
    stored = world.store.client.hgetall("{" + world.namespace + "}:journal:" + pid)
    return {key: json.loads(text) for key, text in stored.items() if not key.startswith("@")}


def rewrite(world: World, pid: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Writes the rows of a journal as another release would have written them."""
    journal = "{" + world.namespace + "}:journal:" + pid
    for key, row in rows(world, pid).items():
        change(row)
        world.store.client.hset(journal, key, json.dumps(row))


def forget_what_is_new(row: dict[str, Any]) -> None:
    """Makes a row one of the release before."""
    row.pop("c", None)
    row.pop("r", None)


# -- one call, however it is carried out


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("plain", "queue"),
        ("plain", "limit"),
        ("queue", "plain"),
        ("limit", "plain"),
        ("queue", "limit"),
        ("limit", "queue"),
    ],
)
@pytest.mark.parametrize("how", ["def", "async def"])
def test_a_recorded_call_is_not_made_again_when_its_tool_runs_elsewhere(
    world: World, before: str, after: str, how: Literal["def", "async def"]
) -> None:
    shop = Shop(world)
    old, new = shop.app(call_and_wait, **FORMS[before]), shop.app(call_and_wait, how, **FORMS[after])
    handle = shop.start(old)
    work(world, old)
    handle.signal("go", True)
    work(world, new)
    assert handle.result(timeout=0) == "paid 7"
    assert shop.attempts == [1]


def test_a_recorded_call_is_not_made_again_when_its_body_sends_it_to_a_queue(world: World) -> None:
    def to_a_queue(ctx: Ctx, charge: Tool[..., Any]) -> Any:
        paid = ctx.using(queue="slow").call(charge, 7)
        ctx.wait("go")
        return paid

    for n, (before, after) in enumerate([(call_and_wait, to_a_queue), (to_a_queue, call_and_wait)]):
        shop = Shop(world)
        old, new = shop.app(before), shop.app(after)
        handle = shop.start(old, f"p{n}")
        for app in (old, new):
            app.tool(name="other", queue="slow")(len)  # so that workers take from it
        work(world, old)
        handle.signal("go", True)
        work(world, new)
        assert (handle.result(timeout=0), shop.attempts) == ("paid 7", [1])


def test_a_call_under_a_key_of_its_own_is_the_same_call_elsewhere(world: World) -> None:
    def keyed(ctx: Ctx, charge: Tool[..., Any]) -> Any:
        paid = ctx.using(key="the charge").call(charge, 7)
        ctx.wait("go")
        return paid

    for n, (before, after) in enumerate([(PLAIN, QUEUE), (QUEUE, PLAIN)]):
        shop = Shop(world)
        old, new = shop.app(keyed, **before), shop.app(keyed, **after)
        handle = shop.start(old, f"p{n}")
        work(world, old)
        handle.signal("go", True)
        work(world, new)
        assert (handle.result(timeout=0), shop.attempts) == ("paid 7", [1])
        assert "the charge" in rows(world, f"p{n}")


@pytest.mark.parametrize(
    ("before", "after"), [("plain", "queue"), ("plain", "limit"), ("queue", "plain"), ("limit", "plain")]
)
def test_a_call_that_was_begun_and_not_recorded_is_repeated_with_its_key(world: World, before: str, after: str) -> None:
    shop = Shop(world)
    old, new = shop.app(call_and_wait, **FORMS[before]), shop.app(call_and_wait, **FORMS[after])
    handle = shop.start(old)
    unwritten = "journal_record" if before == "plain" else "process_finish"
    work(world, old, fails=unwritten)
    assert shop.attempts == [1]
    world.lose("w_1")
    work(world, new, "w_2")
    if before != "plain":  # the process that carries it stands in the queue it was given
        work(world, old, "w_3")
    handle.signal("go", True)
    work(world, new, "w_2")
    assert handle.result(timeout=0) == "paid 7"
    assert len(shop.keys) == 2
    assert len(set(shop.keys)) == 1


def test_a_call_under_way_in_a_process_of_its_own_is_awaited_where_its_tool_runs_in_place_by_now(world: World) -> None:
    shop = Shop(world)

    def asks_for_time(n: int) -> str:
        if len(shop.made) == 1:
            raise RetryAfter("30s")
        return f"paid {n}"

    shop.does = asks_for_time
    old, new = shop.app(call_and_wait, queue="slow", retries=3), shop.app(call_and_wait, retries=3)
    handle = shop.start(old)
    work(world, old)
    work(world, new)
    world.clock.advance("30s")
    world.tick()
    work(world, old)  # a worker that takes from that queue
    handle.signal("go", True)
    work(world, new)
    assert handle.result(timeout=0) == "paid 7"
    assert shop.attempts == [1, 2]
    assert len(set(shop.keys)) == 1


def test_what_is_left_of_a_call_goes_on_elsewhere_under_its_key(world: World) -> None:
    shop, prepared = Shop(world), list[dict[str, Any]]()

    def asks_for_time(n: int) -> str:
        if len(shop.made) == 1:
            raise RetryAfter("30s")
        return f"{current().prepared} {n}"

    def prepare(args: dict[str, Any]) -> str:
        prepared.append(args)
        return f"quote {len(prepared)}"

    shop.does = asks_for_time
    old, new = (shop.app(call_and_wait, retries=3, prepare=prepare, **form) for form in (PLAIN, QUEUE))
    seen: list[str] = []
    for app in (old, new):

        @app.before_call
        def before(request: Any) -> None:
            seen.append(f"before {request.tool}")

        @app.after_call
        def after(request: Any, outcome: Any) -> None:
            seen.append(f"after {request.tool} {outcome.value if isinstance(outcome, Success) else outcome}")

    handle = shop.start(old)
    work(world, old)
    world.clock.advance("30s")
    world.tick()
    work(world, new)
    handle.signal("go", True)
    work(world, old)
    assert handle.result(timeout=0) == "quote 1 7"
    assert shop.attempts == [1, 2]
    assert len(set(shop.keys)) == 1
    assert prepared == [{"n": 7}]
    assert seen == ["before charge", "after charge quote 1 7"]


def test_a_call_that_hooks_admitted_and_that_did_not_begin_is_not_admitted_again_elsewhere(world: World) -> None:
    shop, seen = Shop(world), list[str]()
    old, new = shop.app(call_and_wait), shop.app(call_and_wait, **QUEUE)
    for app in (old, new):

        @app.before_call
        def before(request: Any) -> dict[str, Any]:
            seen.append(request.process_id)
            return {"n": request.args["n"] + 1}

    handle = shop.start(old)
    work(world, old)
    [call] = [key for key, row in rows(world).items() if row["k"] == "tool_call"]
    world.store.client.hdel("{" + world.namespace + "}:journal:p", call)  # as if its worker had died before this record
    new.registry.replay = "tell"  # the wait behind it would not stand open then
    handle.signal("go", True)
    work(world, new)
    assert handle.result(timeout=0) == "paid 8"
    assert (seen, shop.attempts, len(set(shop.keys))) == (["p"], [1, 1], 1)


def test_calls_of_a_batch_are_the_same_calls_elsewhere(world: World) -> None:
    def body(ctx: Ctx, charge: Tool[..., Any]) -> Any:
        found = [
            outcome.value
            for outcome in ctx.call_batch([(charge, {"n": n}) for n in (1, 2)])
            if isinstance(outcome, Success)
        ]
        ctx.wait("go")
        return found

    for n, (before, after) in enumerate([(PLAIN, LIMIT), (LIMIT, PLAIN)]):
        shop = Shop(world)
        old, new = shop.app(body, **before), shop.app(body, **after)
        handle = shop.start(old, f"p{n}")
        work(world, old)
        handle.signal("go", True)
        work(world, new)
        assert (handle.result(timeout=0), shop.attempts) == (["paid 1", "paid 2"], [1, 1])


@pytest.mark.parametrize(("before", "after"), [("plain", "queue"), ("queue", "plain")])
def test_calls_of_a_turn_and_calls_by_name_are_the_same_calls_elsewhere(world: World, before: str, after: str) -> None:
    ran: list[str] = []
    done: list[list[str]] = []

    def app(form: dict[str, Any]) -> App:
        made = app_of(world)

        @made.tool(**form)
        def charge(n: int) -> str:
            ran.append(current().idempotency_key)
            return f"paid {n}"

        @made.agent("clerk")
        async def clerk(turn: AsyncTurn) -> None:
            paid = [
                await turn.call(charge, 7),
                await turn.execution.call_tool("charge", {"n": 8}),
                await turn.execution.call_tool("charge", {"n": 9}, key="k"),
            ]
            await turn.sleep("1m")
            done.append(paid)

        return made

    old, new = app(FORMS[before]), app(FORMS[after])
    old.session("clerk", "desk").send("pay")
    work(world, old)
    assert len(set(ran)) == 3
    world.clock.advance("1m")
    world.tick()
    work(world, new)
    assert (done, len(ran)) == ([["paid 7", "paid 8", "paid 9"]], 3)


def test_the_retry_of_a_process_that_carried_a_call_is_a_call_of_its_own(world: World) -> None:
    def fails(_: int) -> str:
        raise ValueError("no")

    shop = Shop(world, fails)
    app = shop.app(handles_failure, **QUEUE)
    shop.start(app)
    work(world, app)
    [carrier] = [row["o"]["id"] for row in rows(world).values() if row["k"] == "start"]
    app.handle(carrier).retry()
    work(world, app)
    assert (len(shop.keys), len(set(shop.keys))) == (2, 2)


def test_no_body_can_give_a_child_the_key_of_a_call(world: World) -> None:
    ran: list[str] = []
    app = app_of(world)

    @app.tool
    def charge(n: int) -> str:
        ran.append(current().idempotency_key)
        return f"paid {n}"

    @app.engine
    async def refund(ctx: AsyncCtx) -> list[str]:
        said: list[str] = []
        for one in ("a", "b"):
            call = ToolCall(call=PreparedCall(call_id=one, tool_id="tool:charge", tool_name="charge", args={"n": 7}))
            child = prepare(
                id=one,
                input=call,
                provenance=ctx.run.registration.provenance,
                queue=ctx.run.registration.queue,
                env_ref=EMPTY_ENVIRONMENT,
                options={"call": {"key": "stolen", "attempt": 1, "admitted": False}, "mine": 1},
            )
            reply = await ctx.execution.start_child_process(child, "charge")
            said.append(await ctx.execution.await_process(reply.value))
        return said

    handle = app.using(id="p").start(refund)
    work(world, app)
    assert handle.result(timeout=0) == ["paid 7", "paid 7"]
    assert "stolen" not in ran
    assert len(set(ran)) == 2
    assert world.view("a").registration.options == {"mine": 1}


def test_a_failed_call_stays_as_it_failed_wherever_its_tool_runs_now(world: World) -> None:
    def body(ctx: Ctx, charge: Tool[..., Any]) -> Any:
        try:
            ctx.call(charge, 7)
        except (ToolFailed, ProcessFailed) as failed:
            said = f"{failed.code}: {failed.failure_message}"
        ctx.wait("go")
        return said

    def fails(_: int) -> str:
        raise ValueError("no")

    for n, (before, after, said) in enumerate(
        [(PLAIN, QUEUE, "tool_failed: no"), (QUEUE, PLAIN, "process_failed: no")]
    ):
        shop = Shop(world, fails)
        old, new = shop.app(body, **before), shop.app(body, **after)
        handle = shop.start(old, f"p{n}")
        work(world, old)
        handle.signal("go", True)
        work(world, new)
        assert (handle.result(timeout=0), shop.attempts) == (said, [1])


# -- starts by themselves beside calls


@pytest.mark.parametrize(
    ("before", "after"),
    [("plain", "queue"), ("queue", "plain"), ("queue", "limit"), ("plain", "plain"), ("queue", "queue")],
)
@pytest.mark.parametrize(
    "order", ["call start call start", "start call start call", "call call start", "start start call"]
)
@pytest.mark.parametrize("release", ["this one", "the one before"])
def test_calls_and_starts_of_one_tool_with_the_same_arguments_stay_apart(
    world: World, before: str, after: str, order: str, release: str
) -> None:
    def body(ctx: Ctx, charge: Tool[..., Any]) -> Any:
        found: list[Any] = []
        for verb in order.split():
            found.append(ctx.call(charge, 7) if verb == "call" else ctx.start(charge, 7).result())
        ctx.wait("go")
        return found

    n = len(order.split())
    shop = Shop(world)
    old, new = shop.app(body, **FORMS[before]), shop.app(body, **FORMS[after])
    handle = shop.start(old)
    work(world, old)
    assert len(set(shop.keys)) == n
    if release == "the one before":
        rewrite(world, "p", forget_what_is_new)
    handle.signal("go", True)
    work(world, new)
    assert handle.result(timeout=0) == ["paid 7"] * n
    assert len(shop.keys) == n


def test_a_start_that_is_recorded_while_a_call_beside_it_is_not_is_not_taken_for_the_call(world: World) -> None:
    ran: list[tuple[str, str]] = []

    def app(form: dict[str, Any]) -> App:
        made, started = app_of(world), asyncio.Event()

        @made.tool(**form)
        async def charge(n: int) -> str:
            ran.append((current().process_id, current().idempotency_key))
            if current().process_id == "p":
                await started.wait()
            return f"paid {n}"

        @made.engine
        async def refund(ctx: AsyncCtx) -> list[str]:
            async def start() -> str:
                child = await ctx.start(charge, 7)
                started.set()
                return await child

            return await asyncio.gather(ctx.call(charge, 7), start())

        return made

    old, new = app(PLAIN), app(QUEUE)
    handle = old.using(id="p").start(old.registry.engines["refund"])
    work(world, old, fails="journal_record")
    world.lose("w_1")
    work(world, new, "w_2")
    assert handle.result(timeout=0) == ["paid 7", "paid 7"]
    (first, call), (other, start) = ran[:2]
    carrier = ran[-1][0]
    assert (first, len({first, other, carrier}), call != start, ran[-1]) == ("p", 3, True, (carrier, call))
    assert [process for process, key in ran if key == start] == [other]


# -- what the release before wrote


@pytest.mark.parametrize(
    ("before", "after"),
    [("queue", "plain"), ("queue", "queue"), ("queue", "limit"), ("plain", "queue"), ("plain", "plain")],
)
def test_rows_of_the_release_before_are_followed(world: World, before: str, after: str) -> None:
    def body(ctx: Ctx, charge: Tool[..., Any]) -> Any:
        found = [ctx.call(charge, 7), ctx.call(charge, 7), ctx.call(charge, 8)]
        ctx.wait("go")
        return found

    shop = Shop(world)
    old, new = shop.app(body, **FORMS[before]), shop.app(body, **FORMS[after])
    handle = shop.start(old)
    work(world, old)
    rewrite(world, "p", forget_what_is_new)
    handle.signal("go", True)
    work(world, new)
    assert (handle.result(timeout=0), shop.attempts) == (["paid 7", "paid 7", "paid 8"], [1, 1, 1])


def test_what_is_written_of_a_call_elsewhere_is_what_the_release_before_finds(world: World) -> None:
    """Old and new workers run side by side: key, kind, name and hash of the row stay as they were."""
    shop = Shop(world)
    app = shop.app(call_and_wait, **QUEUE)
    shop.start(app)
    work(world, app)
    [(key, row)] = [(key, row) for key, row in rows(world).items() if row["k"] == "start"]
    assert key == "start:charge:fec8ea3d4ca2fecd:1"
    assert (row["f"], row["e"], row["c"]) == (
        "start:charge",
        {"arguments": {"n": 7}, "id": None},
        "call:charge:800127bbdaea7be8:1",
    )


# -- what was decided about an attempt


def flaky(shop: Shop, good_at: int) -> Callable[[int], str]:
    def does(n: int) -> str:
        if shop.attempts[-1] < good_at:
            raise ValueError("again")
        return f"paid {n}"

    return does


def handles_failure(ctx: Ctx, charge: Tool[..., Any]) -> Any:
    try:
        paid = ctx.call(charge, 7)
    except (ToolFailed, ProcessFailed):
        paid = ctx.step("refund", str, "refunded")
    ctx.wait("go")
    return paid


def settle(world: World, app: App) -> None:
    """Works until all backoffs are over."""
    for _ in range(4):
        work(world, app)
        world.clock.advance("10s")
        world.tick()
    work(world, app)


@pytest.mark.parametrize("release", ["this one", "the one before"])
@pytest.mark.parametrize("form", ["plain", "queue"])
@pytest.mark.parametrize(
    ("before", "after", "good_at", "result", "attempts"),
    [
        (3, 0, 2, "paid 7", [1, 2]),
        (3, 1, 3, "paid 7", [1, 2, 3]),
        (1, 3, 3, "refunded", [1, 2]),
        (0, 5, 2, "refunded", [1]),
    ],
)
def test_changed_retries_decide_nothing_about_attempts_that_were_made(
    world: World, before: int, after: int, good_at: int, result: str, attempts: list[int], form: str, release: str
) -> None:
    shop = Shop(world)
    shop.does = flaky(shop, good_at)
    old, new = (shop.app(handles_failure, retries=n, backoff="1s", **FORMS[form]) for n in (before, after))
    handle = shop.start(old)
    settle(world, old)
    assert shop.attempts == attempts
    if release == "the one before":
        rewrite(world, "p", forget_what_is_new)
    handle.signal("go", True)
    settle(world, new)
    assert (handle.result(timeout=0), shop.attempts) == (result, attempts)


@pytest.mark.parametrize("release", ["this one", "the one before"])
def test_an_attempt_that_was_announced_is_made_and_decided_by_todays_rules(world: World, release: str) -> None:
    shop = Shop(world)
    shop.does = flaky(shop, 9)
    old, new = (shop.app(handles_failure, retries=n, backoff="8s", max_backoff="8s") for n in (5, 0))
    handle = shop.start(old)
    work(world, old)
    assert shop.attempts == [1]
    if release == "the one before":
        rewrite(world, "p", forget_what_is_new)
    settle(world, new)
    handle.signal("go", True)
    settle(world, old)
    assert (handle.result(timeout=0), shop.attempts) == ("refunded", [1, 2])


def test_a_changed_backoff_moves_no_attempt_that_was_announced(world: World) -> None:
    shop = Shop(world)

    def asks_for_time(n: int) -> str:
        if len(shop.made) == 1:
            raise RetryAfter("30s")
        return f"paid {n}"

    shop.does = asks_for_time
    old, new = (shop.app(call_and_wait, retries=3, backoff=backoff, max_backoff=backoff) for backoff in ("30s", "1ms"))
    handle = shop.start(old)
    work(world, old)
    world.clock.advance("29s")
    world.tick()
    work(world, new)
    assert shop.attempts == [1]
    world.clock.advance("1s")
    world.tick()
    work(world, new)
    handle.signal("go", True)
    work(world, new)
    assert (handle.result(timeout=0), shop.attempts) == ("paid 7", [1, 2])


def test_an_attempt_that_failed_is_recorded_with_the_delay_of_the_next_and_the_last_with_none(world: World) -> None:
    shop = Shop(world)

    def fails(_: int) -> str:
        raise RetryAfter("2s") if len(shop.made) == 1 else ValueError("no")

    shop.does = fails
    app = shop.app(handles_failure, retries=1)
    shop.start(app)
    settle(world, app)
    assert {key.partition("~")[2]: row.get("r") for key, row in rows(world).items() if row["k"] == "tool_call"} == {
        "": 2000,
        "2": -1,
    }


def test_a_failed_attempt_of_the_release_before_that_nothing_followed_is_decided_by_todays_rules(world: World) -> None:
    """Its worker died between the record and the wait."""
    shop = Shop(world)
    shop.does = flaky(shop, 2)
    old, new = (shop.app(handles_failure, retries=n, backoff="1s") for n in (1, 1))
    handle = shop.start(old)
    work(world, old, fails="wait_open")
    rewrite(world, "p", forget_what_is_new)
    world.lose("w_1")
    settle(world, new)
    handle.signal("go", True)
    settle(world, new)
    assert (handle.result(timeout=0), shop.attempts) == ("paid 7", [1, 2])


# -- the key

FORM = st.fixed_dictionaries(
    {
        "retries": st.integers(0, 4),
        "policy": st.sampled_from(["safe", "idempotent"]),
        "timeout": st.sampled_from([None, "1h"]),
    },
    optional={
        "queue": st.sampled_from(["slow", "fast"]),
        "limit": st.builds(Limit, concurrency=st.integers(1, 9)),
        "prepare": st.just(len),
    },
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    forms=st.lists(FORM, min_size=1, max_size=2),
    how=st.sampled_from(["def", "async def"]),
    n=st.integers(1, 3),
    order=st.integers(1, 2),
)
def test_the_idempotency_key_follows_from_the_call_alone(
    world: World, forms: list[dict[str, Any]], how: Literal["def", "async def"], n: int, order: int
) -> None:
    """Not from how its tool is declared, nor from how it was while a run of it was lost before its record."""
    pid = f"p{world.store.client.incr('examples')}"

    def body(ctx: Ctx, charge: Tool[..., Any]) -> Any:
        return [ctx.call(charge, order) for _ in range(n)]

    shop = Shop(world)
    for i, form in enumerate(forms):
        app = shop.app(body, how, **form)
        if i == 0:
            shop.start(app, pid)
        last = i == len(forms) - 1
        work(world, app, f"{pid}_{i}", fails=None if last else "journal_record")
        if not last:
            world.lose(f"{pid}_{i}")
    generation = [pid, world.view(pid).registration.incarnation, "1"]
    hashed = content_hash("tool_call", "call:charge", f'{{"n":{order}}}')[:16]
    assert sorted(set(shop.keys)) == sorted(
        content_hash(*generation, f"call:charge:{hashed}:{i + 1}")[:32] for i in range(n)
    )


HOWS = st.sampled_from([PLAIN, QUEUE, LIMIT])
CUTS = st.sampled_from([None, "journal_record", "process_register", "wait_open", "process_finish"])


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asks=st.lists(st.tuples(st.sampled_from(["call", "start", "keyed"]), st.integers(1, 2)), min_size=1, max_size=5),
    together=st.booleans(),
    releases=st.lists(st.tuples(HOWS, CUTS), min_size=1, max_size=4),
)
def test_whatever_releases_declare_and_wherever_workers_die_each_call_has_one_key(
    world: World, asks: list[tuple[str, int]], together: bool, releases: list[tuple[dict[str, Any], str | None]]
) -> None:
    ran: list[str] = []
    pid = f"p{world.store.client.incr('examples')}"

    def app(form: dict[str, Any]) -> App:
        made = app_of(world)
        made.tool(name="other", queue="slow")(len)  # every release takes from that queue

        @made.tool(retries=2, backoff="1ms", **form)
        def charge(n: int) -> str:
            ran.append(current().idempotency_key)
            if current().attempt == 1 and n == 2:
                raise ValueError("again")
            return f"paid {n}"

        @made.engine
        async def refund(ctx: AsyncCtx) -> list[str]:
            async def one(place: int, verb: str, n: int) -> str:
                if verb == "start":
                    return await (await ctx.start(charge, n))
                return await (ctx.using(key=f"k{place}") if verb == "keyed" else ctx).call(charge, n)

            asked = [(place, verb, n) for place, (verb, n) in enumerate(asks)]
            if together:
                return list(await asyncio.gather(*(one(*it) for it in asked)))
            return [await one(*it) for it in asked]

        return made

    first = app(PLAIN)
    handle = first.using(id=pid).start(first.registry.engines["refund"])
    for i, (form, cut) in enumerate([*releases, *[(releases[-1][0], None)] * 6]):
        work(world, app(form), f"{pid}_{i}", fails=cut)
        world.clock.advance("9s")
        world.tick()
        world.clock.advance("9s")
        world.tick()
    assert handle.result(timeout=0) == [f"paid {n}" for _, n in asks]
    assert len(set(ran)) == len(asks)
    assert world.view(pid).status == "completed"
