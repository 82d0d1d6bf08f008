"""Tools as running work sees and calls them: by name, in batches, through hooks, prepared once; each outcome
recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from wakeline import App, AsyncCtx, Ctx, NonRetryable, ProcessFailed, ToolFailed, current
from wakeline.errors import BodyInvalid, DuplicateName, InvalidArguments, PayloadSchemaMismatch, ToolUnavailable
from wakeline.processes.outputs import CancelledOutput, Failure, Success
from wakeline.run.host import RunState
from wakeline.store import processes
from wakeline.tools.definition import MATERIALIZE, ToolContract, ToolManifest, preserve_projected_refs_in
from wakeline.tools.hooks import ToolRequest
from wakeline.tools.outcome import ToolOutcome

from tests.scenario.conftest import served, until


class Weather:
    """A provider with one tool that it shows and one that it only resolves."""

    def tool_manifests(self) -> Sequence[ToolManifest]:
        return [ToolManifest(id="weather:now", name="weather")]

    def resolve(self, name: str) -> ToolManifest | None:
        found = {"weather": "weather:now", "forecast": "weather:later"}.get(name)
        return ToolManifest(id=found, name=name) if found else None

    def resolve_contract(self, name: str) -> ToolContract:
        return ToolContract(input_schema={"type": "object", "required": ["city"]}, output_schema={"type": "string"})

    async def execute(self, name: str, args: dict[str, Any]) -> Any:
        return 7 if args["city"] == "nowhere" else f"{name} in {args['city']} for {current().process_id}"


def test_a_run_sees_its_catalog_and_the_defaults_beyond_it(app: App) -> None:
    app.add_provider(Weather())

    @app.tool(scheduling="serial", projection=preserve_projected_refs_in("seed"))
    def seedy(seed: str) -> str:
        return seed

    @app.tool(availability="searchable")
    def shy() -> None: ...

    @app.engine
    async def look(ctx: AsyncCtx) -> list[Any]:
        assert ctx.execution.dispatch.catalog is ctx.execution.tool_catalog
        assert ctx.execution.tool_argument_projection_policy("seedy") == preserve_projected_refs_in("seed")
        assert ctx.execution.tool_argument_projection_policy("weather") == MATERIALIZE
        found = [
            ctx.execution.callable_tool_manifest(name) for name in ("seedy", "shy", "weather", "forecast", "missing")
        ]
        by_id = [
            ctx.execution.callable_tool_manifest_by_id(i)
            for i in ("tool:seedy", "tool:shy", "weather:now", "weather:later")
        ]
        return [
            ctx.execution.tool_catalog.callable_names,
            [ctx.execution.tool_scheduling(name) for name in ("seedy", "weather")],
            [m.id if m else None for m in found],
            [m.name if m else None for m in by_id],
        ]

    assert app.start(look).result(timeout=10) == [
        ["seedy"],
        ["serial", "parallel"],
        ["tool:seedy", None, "weather:now", "weather:later", None],
        ["seedy", None, "weather", None],
    ]


def test_a_tool_is_called_by_name_the_apps_own_or_a_providers(app: App) -> None:
    app.add_provider(Weather())

    @app.tool
    def double(n: int) -> int:
        return n * 2

    @app.engine
    def calls(ctx: Ctx) -> list[Any]:
        found = [ctx.execution.call_tool("double", {"n": 4}), ctx.execution.call_tool("forecast", {"city": "Graz"})]
        for name, args, error in (
            ("missing", {}, ToolUnavailable),
            ("double", {"n": "four"}, InvalidArguments),
            ("weather", {}, InvalidArguments),
        ):
            try:
                ctx.execution.call_tool(name, args)
            except error as refused:
                found.append(refused.code)
        return found

    assert app.using(id="p1").start(calls).result(timeout=10) == [
        8, "forecast in Graz for p1", "tool_unavailable", "invalid_arguments", "invalid_arguments"
    ]  # fmt: skip


def test_a_result_that_breaks_the_output_schema_is_a_typed_failure(app: App) -> None:
    app.add_provider(Weather())

    @app.engine
    async def calls(ctx: AsyncCtx) -> Any:
        return await ctx.execution.call_tool("weather", {"city": "nowhere"})

    with pytest.raises(ProcessFailed) as caught:
        app.start(calls).result(timeout=10)
    assert caught.value.fields["failure_code"] == "invalid_payload"


def test_a_tool_may_return_its_outcome_instead_of_raising(app: App) -> None:
    tries: list[str] = []

    @app.tool(retries=3)
    def ends(how: str) -> Any:
        tries.append(how)
        return {
            "well": Success(1),
            "badly": Failure("permission_denied", "no_entry", "not you"),
            "cancelled": CancelledOutput("enough"),
        }[how]

    @app.engine
    async def calls(ctx: AsyncCtx) -> list[Any]:
        found: list[Any] = [await ctx.call(ends, "well")]
        for how in ("badly", "cancelled"):
            try:
                await ctx.call(ends, how)
            except ToolFailed as failure:
                found.append([failure.failure_class, failure.failure_code, failure.failure_message])
        return found

    assert app.start(calls).result(timeout=10) == [
        1,
        ["permission_denied", "no_entry", "not you"],
        ["execution", "cancelled", "enough"],
    ]
    assert tries == ["well", "badly", "cancelled"], "what was meant is final"


def test_a_batch_runs_the_parallel_ones_together_then_the_serial_ones_and_keeps_failures(app: App) -> None:
    running: list[int] = []
    order: list[str] = []

    @app.tool
    async def side_by_side(n: int) -> int:
        running.append(n)
        while len(running) < 2:
            await asyncio.sleep(0.005)
        order.append("parallel")
        return n

    @app.tool(scheduling="serial")
    async def in_turn(n: int) -> int:
        order.append(f"serial {n}")
        return n

    @app.tool
    async def fails() -> None:
        raise NonRetryable("no")

    @app.engine
    async def batch(ctx: AsyncCtx) -> list[Any]:
        outcomes = await ctx.call_batch(
            [(in_turn, {"n": 1}), (side_by_side, {"n": 2}), (fails, {}), (in_turn, {"n": 3}), (side_by_side, {"n": 4})]
        )
        await ctx.sleep("30ms")  # parks: what follows is a replay
        return [
            outcome.value if isinstance(outcome, Success) else getattr(outcome, "code", None) for outcome in outcomes
        ]

    assert app.start(batch).result(timeout=10) == [1, 2, "non_retryable", 3, 4]
    assert order == ["parallel", "parallel", "serial 1", "serial 3"], "each once, although the body ran twice"


def test_a_batch_is_checked_before_anything_of_it_runs(app: App) -> None:
    ran: list[int] = []

    @app.tool
    def note(n: int) -> None:
        ran.append(n)

    @app.engine
    def batch(ctx: Ctx) -> list[str]:
        found: list[str] = []
        for calls in ([(note, {"n": 1}), (note, {"n": "x"})], [(note, {"n": n}) for n in range(257)]):
            try:
                ctx.call_batch(calls)
            except InvalidArguments as refused:
                found.append(refused.code)
        return found

    assert app.start(batch).result(timeout=10) == ["invalid_arguments", "invalid_arguments"]
    assert ran == []


def test_hooks_see_every_call_once_and_may_change_stop_or_replace_it(app: App) -> None:
    seen: list[str] = []

    @app.before_call
    async def before(request: ToolRequest) -> Any:
        seen.append(f"before {request.tool} {request.args}")
        match request.args["n"]:
            case 1:
                return {"n": 10}
            case 2:
                return Success("instead")
            case 3:
                raise PermissionError("not today")
            case 4:
                return {"n": "many"}
        return None

    @app.after_call
    def after(request: ToolRequest, outcome: ToolOutcome) -> Any:
        seen.append(f"after {request.args['n']} {type(outcome).__name__}")
        return Success("healed") if isinstance(outcome, Failure) else None

    @app.tool
    def work(n: int) -> Any:
        seen.append(f"work {n}")
        if n == 5:
            raise NonRetryable("broken")
        return n

    @app.engine
    async def calls(ctx: AsyncCtx) -> list[Any]:
        found: list[Any] = []
        for n in range(1, 6):
            try:
                found.append(await ctx.call(work, n))
            except ToolFailed as failure:
                found.append(failure.failure_code)
        await ctx.sleep("30ms")  # parks: what follows is a replay
        return found

    assert app.start(calls).result(timeout=10) == [
        10,
        "instead",
        "before_tool_call_failed",
        "invalid_tool_args",
        "healed",
    ]
    assert seen == [
        "before work {'n': 1}",
        "work 10",
        "after 10 Success",
        "before work {'n': 2}",
        "before work {'n': 3}",
        "before work {'n': 4}",
        "before work {'n': 5}",
        "work 5",
        "after 5 Failure",
    ]


def test_prepare_runs_once_on_the_starter_and_its_product_reaches_every_attempt(app: App) -> None:
    prepared: list[dict[str, Any]] = []
    attempts: list[Any] = []

    def plan(args: dict[str, Any]) -> Any:
        prepared.append(args)
        return {"plan": args["n"] + len(prepared)}

    @app.tool(prepare=plan, retries=2, backoff="1ms")
    def work(n: int) -> Any:
        attempts.append(current().prepared)
        if current().attempt < 3:
            raise RuntimeError("again")
        return current().prepared

    @app.engine
    async def calls(ctx: AsyncCtx) -> list[Any]:
        inside = await ctx.call(work, 1)
        return [inside, await (await ctx.start(work, 2))]

    assert app.start(calls).result(timeout=10) == [{"plan": 2}, {"plan": 4}]
    assert prepared == [{"n": 1}, {"n": 2}]
    assert attempts == [{"plan": 2}] * 3 + [{"plan": 4}] * 3
    first = app.using(id="once").start(work, 5)
    assert app.using(id="once").start(work, 5).id == first.id, "what is prepared is no part of what a resend repeats"


def test_a_prepare_that_raises_starts_nothing(app: App) -> None:
    def plan(args: dict[str, Any]) -> Any:
        raise ValueError("no plan")

    @app.tool(prepare=plan)
    def work() -> None: ...

    with pytest.raises(ToolFailed, match="no plan"):
        app.using(id="never").start(work)
    with pytest.raises(Exception, match="never"):
        app.handle("never").status()


def test_a_tool_leaves_notes_for_the_body_that_called_it(app: App) -> None:
    @app.tool
    def work(n: int) -> None:
        current().note({"n": n})

    @app.engine
    async def calls(ctx: AsyncCtx) -> list[Any]:
        await ctx.call(work, 1)
        await ctx.call(work, 2)
        return [ctx.execution.notes.drain(), ctx.execution.notes.drain()]

    assert app.start(calls).result(timeout=10) == [[{"n": 1}, {"n": 2}], []]


def test_a_providers_tool_runs_as_a_process_of_its_own(app: App) -> None:
    app.add_provider(Weather())
    handle = app.using(id="w1").start(app.registry.tool("weather"), city="Linz")
    until(lambda: handle.status().status == "completed")
    assert handle.result() == "weather in Linz for w1"


def test_an_exhausted_call_says_how_often_it_was_tried(app: App) -> None:
    @app.tool(retries=2, backoff="1ms")
    def work() -> None:
        raise RuntimeError("never")

    @app.engine
    async def calls(ctx: AsyncCtx) -> int:
        try:
            await ctx.call(work)
        except ToolFailed as failure:
            return failure.attempts
        return 0

    assert app.start(calls).result(timeout=10) == 3


def test_what_hooks_decided_is_recorded_before_the_tool_runs_and_their_request_is_a_copy(app: App) -> None:
    asked: list[int] = []
    rows: list[str] = []

    @app.before_call
    def before(request: ToolRequest) -> Any:
        asked.append(request.args["n"])
        request.args["n"] = 99
        return {"n": 5}

    @app.tool
    def work(n: int) -> int:
        store, pid = app.store, current().process_id
        rows.extend(key for key in store.client.hkeys(f"{{{app.namespace}}}:journal:{pid}") if key.endswith("~admit"))
        return n

    @app.engine
    async def calls(ctx: AsyncCtx) -> int:
        found = await ctx.call(work, 1)
        await ctx.sleep("30ms")
        return found

    assert app.start(calls).result(timeout=10) == 5
    assert (asked, len(rows)) == ([1], 1)


def test_a_call_recorded_without_hooks_goes_on_without_them_and_one_with_hooks_keeps_their_word(app: App) -> None:
    def before(request: ToolRequest) -> Any:
        return Success("instead")

    @app.tool
    def work(n: int) -> Any:
        return n

    @app.engine(signals={"on": None})
    async def calls(ctx: AsyncCtx) -> list[Any]:
        first = await ctx.call(work, 1)
        await ctx.wait("on")
        second = await ctx.call(work, 2)
        await ctx.wait("on")
        return [first, second]

    handle = app.start(calls)
    until(lambda: handle.status().status == "waiting")
    app.before_call(before)  # the next release has a hook
    handle.signal("on")
    until(lambda: handle.status().sequence > 3 and handle.status().status == "waiting")
    app.registry.hooks.before.clear()  # the one after it has none
    handle.signal("on")
    assert handle.result(timeout=10) == [1, "instead"]


def test_a_batch_keeps_the_outcomes_of_the_others_when_one_breaks_its_schema(app: App) -> None:
    app.add_provider(Weather())

    @app.tool
    def one() -> int:
        return 1

    @app.engine
    async def batch(ctx: AsyncCtx) -> list[Any]:
        outcomes = await ctx.call_batch([(one, {}), (app.registry.tool("weather"), {"city": "nowhere"}), (one, {})])
        return [
            outcome.value if isinstance(outcome, Success) else getattr(outcome, "code", None) for outcome in outcomes
        ]

    assert app.start(batch).result(timeout=10) == [1, "invalid_payload", 1]


def test_a_tool_with_a_queue_of_its_own_is_a_process_there_however_it_is_called(app: App) -> None:
    @app.tool(queue="slow")
    def slow() -> str:
        return current().process_id

    @app.engine
    async def calls(ctx: AsyncCtx) -> list[Any]:
        by_name = await ctx.execution.call_tool("slow")
        [batched] = await ctx.call_batch([(slow, {})])
        assert isinstance(batched, Success)
        return [by_name, await ctx.execution.call_tool("slow", key="mine"), batched.value, await ctx.call(slow)]

    with served(app):  # by a worker that knows of the queue
        ran_as = app.using(id="p1").start(calls).result(timeout=10)
    assert len(set(ran_as)) == 4
    for pid in ran_as:
        found = app.store.execute(processes.read(pid)).registration
        assert (found.parent, found.queue) == ("p1", f"{app.namespace}.slow")


def test_a_batch_of_a_sync_body_that_is_handed_back_between_two_records_goes_on(app: App) -> None:
    ran: list[int] = []
    runs: list[Any] = []

    @app.tool
    async def work(n: int) -> int:
        ran.append(n)
        if n == 1 and ran.count(1) == 1:
            run = runs[-1]
            while not any(row.name == "call:work" and row.outcome == 2 for row in run.journal.rows.values()):
                await asyncio.sleep(0.005)
            run.life.end(RunState.RELEASED)  # the second is recorded, the first is not
            await asyncio.sleep(0.5)  # and what it returns comes after the hand-back
        return n

    @app.engine
    def batch(ctx: Ctx) -> list[Any]:
        runs.append(ctx.execution.services.run)
        return [
            outcome.value
            for outcome in ctx.call_batch([(work, {"n": 1}), (work, {"n": 2})])
            if isinstance(outcome, Success)
        ]

    assert app.start(batch).result(timeout=10) == [1, 2]
    assert (ran.count(1), ran.count(2), len(runs)) == (2, 1, 2)


def test_two_tools_of_one_id_and_an_async_prepare_are_refused_where_they_are_declared(app: App) -> None:
    @app.tool(id="tool:x")
    def one() -> None: ...

    with pytest.raises(DuplicateName):

        @app.tool(id="tool:x")
        def two() -> None: ...

    async def plan(args: dict[str, Any]) -> Any: ...

    with pytest.raises(BodyInvalid, match="prepare"):

        @app.tool(prepare=plan)
        def three() -> None: ...


def test_a_prepare_that_makes_nothing_runs_once_too(app: App) -> None:
    prepared: list[dict[str, Any]] = []

    @app.tool(prepare=prepared.append)
    def work(n: int) -> Any:
        return current().prepared

    assert app.start(work, 1).result(timeout=10) is None
    assert prepared == [{"n": 1}]


def test_what_completes_a_pending_call_is_checked_and_seen_by_the_hooks_like_a_result(app: App) -> None:
    tokens: list[str] = []
    seen: list[str] = []

    @app.after_call
    def after(request: ToolRequest, outcome: ToolOutcome) -> Any:
        seen.append(type(outcome).__name__)
        return Success(outcome.value + 1) if isinstance(outcome, Success) else None

    @app.tool
    def charge(order: int) -> int:
        tokens.append(current().token)
        if order:
            app.resolve(current().token, "many")  # before anything waits: there is nothing to check it against yet
        return current().pending()  # type: ignore[no-any-return]

    @app.engine
    async def calls(ctx: AsyncCtx) -> list[Any]:
        found: list[Any] = []
        for order in range(2):
            try:
                found.append(await ctx.call(charge, order))
            except ToolFailed as failure:
                found.append([failure.failure_code, failure.raw])
        await ctx.sleep("30ms")  # parks: what follows is a replay
        return found

    handle = app.start(calls)
    until(lambda: len(tokens) == 1 and handle.status().status == "waiting")
    with pytest.raises(PayloadSchemaMismatch):
        app.resolve(tokens[0], "many")
    assert app.resolve(tokens[0], 41)  # the token was not used up
    assert handle.result(timeout=10) == [42, ["invalid_tool_output", "many"]]
    assert seen == ["Success", "Failure"]


def test_what_a_tool_says_besides_of_its_failure_is_kept(app: App) -> None:
    @app.tool
    def declined(order: int) -> Any:
        return Failure("external", "declined", "the card was declined", {"bank": 7})

    @app.engine
    async def calls(ctx: AsyncCtx) -> Any:
        try:
            await ctx.call(declined, 1)
        except ToolFailed as failure:
            return failure.raw

    assert app.start(calls).result(timeout=10) == {"bank": 7}
    ended = app.start(declined, 2)
    with pytest.raises(ProcessFailed):
        ended.result(timeout=10)
    assert [event.payload for event in ended.events()][-1]["await_output"]["raw"] == {"bank": 7}
