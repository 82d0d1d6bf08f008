"""`ctx.effect`: one recorded effect under a key of the caller's, with the exceptions of what it performs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, Turn, current_context
from wakeline.errors import (
    EffectRepeated,
    InvalidArguments,
    InvalidId,
    InvalidPayload,
    NonRetryable,
    PayloadTooLarge,
    ProcessExecutionUnavailable,
    ProcessFailed,
)
from wakeline.values import MAX_PAYLOAD

from tests.scenario.conftest import until


class Overloaded(Exception):
    """An exception of a framework, with what no record would keep."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the model answers {status}")
        self.socket = object()


def rows(app: App, pid: str) -> dict[str, dict[str, Any]]:
    """The journal of a process."""
    found: dict[Any, Any] = app.store.client.hgetall(app.store.address.prefix + f"journal:{pid}")
    return {str(key): json.loads(text) for key, text in found.items() if not str(key).startswith("@")}


def test_an_effect_is_performed_once_and_recorded_under_the_key_of_its_caller(app: App) -> None:
    performed: list[str] = []

    async def ask() -> dict[str, int]:
        performed.append("ask")
        return {"tokens": 12}

    @app.engine
    async def awaited(ctx: AsyncCtx) -> Any:
        found = await ctx.effect("model.request", ask, args={"model": "m"}, key="support__model.request:1")
        await ctx.wait("go")
        return found

    @app.engine
    def blocking(ctx: Ctx) -> Any:
        found = ctx.effect("model.request", ask, args={"model": "m"}, key="support__model.request:1")
        ctx.wait("go")
        return found

    for n, body in enumerate((awaited, blocking), 1):
        handle = app.start(body)
        until(lambda handle=handle: handle.status().status == "waiting")  # type: ignore[misc]
        handle.signal("go")
        assert handle.result(timeout=10) == {"tokens": 12}
        assert performed == ["ask"] * n
        row = rows(app, handle.id)["support__model.request:1"]
        assert (row["k"], row["f"], row["e"], row["o"]) == ("effect", "model.request", {"model": "m"}, {"tokens": 12})


def test_what_performs_may_be_any_function_that_gives_json_or_an_awaitable_of_it(app: App) -> None:
    class Answer(BaseModel):
        text: str

    async def later() -> Answer:
        return Answer(text="later")

    def body(ctx: Ctx) -> list[Any]:
        return [
            ctx.effect("function", lambda: Answer(text="now")),
            ctx.effect("coroutine function", later),
            ctx.effect("lambda of a coroutine", lambda: later()),
            ctx.effect("none", lambda: None),
            ctx.effect("context", lambda: current_context() is None),
        ]

    @app.engine
    def blocking(ctx: Ctx) -> list[Any]:
        return body(ctx)

    @app.engine
    async def awaited(ctx: AsyncCtx) -> list[Any]:
        return [
            await ctx.effect("function", lambda: Answer(text="now")),
            await ctx.effect("coroutine function", later),
            await ctx.effect("lambda of a coroutine", lambda: later()),
            await ctx.effect("none", lambda: None),
            await ctx.effect("context", lambda: current_context() is None),
        ]

    wanted = [{"text": "now"}, {"text": "later"}, {"text": "later"}, None, True]
    assert app.start(blocking).result(timeout=10) == wanted
    assert app.start(awaited).result(timeout=10) == wanted


def test_a_turn_has_it_too(app: App) -> None:
    @app.agent("awaited")
    async def awaited(turn: AsyncTurn) -> Any:
        return await turn.effect("ask", lambda: 1, key="k")

    @app.agent("blocking")
    def blocking(turn: Turn) -> Any:
        return turn.effect("ask", lambda: 2, key="k")

    assert app.session("awaited", "s").ask("?", timeout=10) == 1
    assert app.session("blocking", "s").ask("?", timeout=10) == 2


@pytest.mark.parametrize("raised", [Overloaded(503), NonRetryable("no such model")], ids=["of a framework", "final"])
def test_what_it_raises_passes_as_it_is_and_is_not_recorded(app: App, raised: Exception) -> None:
    caught: list[Any] = []

    def fails() -> None:
        raise raised

    @app.engine
    async def awaited(ctx: AsyncCtx) -> Any:
        try:
            await ctx.effect("ask", fails, key="k")
        except type(raised) as error:
            caught.append((error, list(rows(app, ctx.id))))
        return await ctx.effect("ask", lambda: "at last", key="k")  # one that failed leaves its key

    @app.engine
    def blocking(ctx: Ctx) -> Any:
        try:
            ctx.effect("ask", fails, key="k")
        except type(raised) as error:
            caught.append((error, list(rows(app, ctx.id))))
        return ctx.effect("ask", lambda: "at last", key="k")

    for body in (awaited, blocking):
        assert app.start(body).result(timeout=10) == "at last"
        error, recorded = caught.pop()
        assert error is raised
        assert recorded == []


def test_a_turn_that_failed_with_one_performs_again_when_it_is_tried_again(app: App) -> None:
    performed: list[int] = []

    def ask() -> str:
        performed.append(1)
        if len(performed) < 3:
            raise Overloaded(503)
        return "answered"

    @app.agent("patient", max_attempts=5)
    async def patient(turn: AsyncTurn) -> Any:
        before = await turn.effect("before", lambda: len(performed), key="before")
        return [before, await turn.effect("ask", ask, key="k")]

    assert app.session("patient", "s").ask("?", timeout=20) == [0, "answered"]
    assert len(performed) == 3


def test_a_process_that_it_fails_has_the_code_of_the_exception(app: App) -> None:
    def fails() -> None:
        raise Overloaded(503)

    @app.engine
    async def body(ctx: AsyncCtx) -> None:
        await ctx.effect("ask", fails, key="k")

    with pytest.raises(ProcessFailed, match="the model answers 503") as failed:
        app.start(body).result(timeout=10)
    assert failed.value.failure_code == "Overloaded"


def test_effects_side_by_side_have_keys_of_their_own_and_replay_in_any_order(app: App) -> None:
    performed: list[int] = []

    @app.engine
    async def fan(ctx: AsyncCtx) -> Any:
        async def one(n: int) -> int:
            async def perform() -> int:
                await asyncio.sleep(0.02 if n % 2 else 0)
                performed.append(n)
                return n * 10

            return int(await ctx.effect("square", perform, args=n, key=f"call:{n}"))

        order = [3, 1, 2, 0] if ctx.run.journal.is_replaying else [0, 1, 2, 3]
        found = dict(zip(order, await asyncio.gather(*map(one, order)), strict=True))
        await ctx.wait("go")
        return [found[n] for n in range(4)]

    handle = app.start(fan)
    until(lambda: handle.status().status == "waiting")
    handle.signal("go")
    assert handle.result(timeout=10) == [0, 10, 20, 30]
    assert sorted(performed) == [0, 1, 2, 3]


@pytest.mark.parametrize("beside", [False, True], ids=["one after the other", "side by side"])
def test_one_key_for_two_effects_of_a_run_is_refused(app: App, beside: bool) -> None:
    performed: list[str] = []

    async def slow() -> str:
        performed.append("slow")
        await asyncio.sleep(0.05)
        return "slow"

    @app.engine
    async def twice(ctx: AsyncCtx) -> Any:
        if beside:
            return await asyncio.gather(ctx.effect("a", slow, key="k"), ctx.effect("a", slow, key="k"))
        return [await ctx.effect("a", slow, key="k"), await ctx.effect("a", slow, key="k")]

    with pytest.raises(ProcessFailed, match="Effect key 'k' of process .* was used before in this run"):
        app.start(twice).result(timeout=10)
    assert performed == ["slow"]
    assert EffectRepeated.code == "effect_repeated"


def test_without_a_key_effects_of_one_name_and_arguments_are_numbered(app: App) -> None:
    @app.engine
    async def three(ctx: AsyncCtx) -> Any:
        return [await ctx.effect("draw", lambda n=n: n) for n in range(3)]

    handle = app.start(three)
    assert handle.result(timeout=10) == [0, 1, 2]
    assert sorted(key.rpartition(":")[2] for key in rows(app, handle.id)) == ["1", "2", "3"]


def test_other_arguments_under_a_recorded_key_are_a_mismatch_and_nothing_is_performed(app: App) -> None:
    performed: list[int] = []
    cents = [100]

    @app.engine
    async def charges(ctx: AsyncCtx) -> Any:
        await ctx.effect("charge", lambda: performed.append(1), args={"cents": cents[0]}, key="charge-1")
        await ctx.wait("go")
        return "done"

    handle = app.start(charges)
    until(lambda: handle.status().status == "waiting")
    cents[0] = 900
    handle.signal("go")
    until(lambda: handle.status().misfit is not None)
    misfit = handle.status().misfit
    assert misfit is not None
    assert misfit.kind == "mismatch"
    assert "args.cents: recorded 100, asked for 900" in misfit.what
    cents[0] = 100
    assert handle.result(timeout=10) == "done"
    assert performed == [1]


def test_a_large_outcome_is_kept_beside_the_journal_and_comes_back_whole(app: App) -> None:
    @app.engine
    async def large(ctx: AsyncCtx) -> Any:
        found = await ctx.effect("read", lambda: "x" * 300_000, key="k")
        await ctx.wait("go")
        return len(found)

    handle = app.start(large)
    until(lambda: handle.status().status == "waiting")
    stored = app.store.client.hget(app.store.address.prefix + f"journal:{handle.id}", "k")
    assert len(str(stored)) < 1_000
    handle.signal("go")
    assert handle.result(timeout=10) == 300_000


def test_an_outcome_that_is_no_json_or_too_large_is_refused_and_leaves_the_key_free(app: App) -> None:
    @app.engine
    async def refused(ctx: AsyncCtx) -> Any:
        with pytest.raises(InvalidPayload, match="The outcome of effect ask"):
            await ctx.effect("ask", object, key="k")
        with pytest.raises(PayloadTooLarge, match="The outcome of ask"):
            await ctx.effect("ask", lambda: "x" * MAX_PAYLOAD, key="k")
        return await ctx.effect("ask", lambda: "small", key="k")

    assert app.start(refused).result(timeout=10) == "small"


@pytest.mark.parametrize(
    "key", ["", "  ", "@told:1", "x" * 5_000, "c~2", "c~2~backoff", "c~after"], ids=lambda key: key[:12]
)
def test_an_invalid_key_is_refused_before_anything_is_performed(app: App, key: str) -> None:
    performed: list[int] = []

    @app.engine
    async def refused(ctx: AsyncCtx) -> None:
        with pytest.raises(InvalidId):
            await ctx.effect("ask", lambda: performed.append(1), key=key)

    app.start(refused).result(timeout=10)
    assert performed == []


def test_arguments_that_are_no_json_are_refused_before_anything_is_performed(app: App) -> None:
    performed: list[int] = []

    @app.engine
    async def refused(ctx: AsyncCtx) -> None:
        with pytest.raises(InvalidPayload):
            await ctx.effect("ask", lambda: performed.append(1), args=object(), key="k")

    app.start(refused).result(timeout=10)
    assert performed == []


def test_what_cannot_be_called_is_refused(app: App) -> None:
    async def later() -> int:
        return 1

    @app.engine
    async def refused(ctx: AsyncCtx) -> None:
        made = later()
        with pytest.raises(InvalidArguments, match="cannot be called"):
            await ctx.effect("ask", made, key="k")  # type: ignore[arg-type]
        made.close()

    app.start(refused).result(timeout=10)


def test_a_context_whose_run_is_over_says_so(app: App) -> None:
    kept: list[AsyncCtx] = []

    @app.engine
    async def keeps(ctx: AsyncCtx) -> None:
        kept.append(ctx)

    app.start(keeps).result(timeout=10)
    until(lambda: kept[0].run.life.is_used_up)
    with pytest.raises(ProcessExecutionUnavailable, match=r"ctx\.effect needs a running process"):
        asyncio.run(kept[0].effect("ask", lambda: 1, key="k"))


def test_a_deferred_function_may_record_effects_of_its_own(app: App) -> None:
    performed: list[str] = []

    @app.engine
    async def defers(ctx: AsyncCtx) -> None:
        async def clean() -> None:
            await ctx.effect("clean", lambda: performed.append("clean"), key="clean")

        ctx.defer(clean)

    handle = app.start(defers)
    handle.result(timeout=10)
    assert performed == ["clean"]
    assert "clean" in rows(app, handle.id)
