"""What bodies ask of people: questions, the list of open ones, answers from it, and several in one group."""

from __future__ import annotations

import asyncio
import enum
import gc
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from wakeline import App, AsyncCtx, AsyncTurn, Ctx, WaitTimeout
from wakeline.errors import (
    ApprovalAnswered,
    ApprovalNotOpen,
    AwaitEventUnknownOrRevoked,
    InvalidArguments,
    InvalidId,
    InvalidPayload,
    PayloadSchemaMismatch,
    PayloadTooLarge,
    ProcessCancelled,
)
from wakeline.observe import ApprovalView
from wakeline.waits.questions import MAX_QUESTION, options_of

from tests.scenario.conftest import until


class Verdict(BaseModel):
    ship: bool
    why: str = ""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def opened(app: App, n: int) -> list[ApprovalView]:
    until(lambda: len(app.approvals()) == n)
    return list(app.approvals())


def types(app: App, pid: str) -> list[str]:
    return [event.type for event in app.handle(pid).events()]


# -- questions


def test_an_approval_leaves_its_question_in_the_log_and_in_the_list_and_its_token_in_neither(app: App) -> None:
    tokens: list[str] = []

    @app.engine(label="release {version}")
    async def releases(ctx: AsyncCtx, version: str) -> bool:
        asked = await ctx.approval("ship", bool, timeout="1d", question={"text": "Ship it?", "version": version})
        tokens.append(asked.token)
        return await asked.wait(default=False)

    handle = app.start(releases, "1.2")
    [view] = opened(app, 1)
    [event] = [event for event in handle.events() if event.type == "approval.requested"]
    until(lambda: bool(tokens))
    due_ms = view.due_ms
    assert due_ms is not None
    assert 86_390_000 < due_ms - view.since_ms <= 86_400_000 + 5_000
    wanted = {
        "name": "ship",
        "question": {"text": "Ship it?", "version": "1.2"},
        "schema": {"type": "boolean"},
        "options": [True, False],
        "due_ms": due_ms,
    }
    assert event.payload == wanted
    assert (view.process_id, view.process_kind, view.label) == (handle.id, "releases", "release 1.2")
    assert (view.name, view.question, view.schema) == ("ship", wanted["question"], {"type": "boolean"})
    assert (view.options, view.session) == ([True, False], None)
    for text in (repr(view), str([event.payload for event in handle.events()])):
        assert tokens[0] not in text
    assert app.resolve(tokens[0], True)
    assert handle.result(timeout=10) is True
    assert app.approvals() == []


def test_an_approval_without_a_kind_or_a_question_is_listed_once_its_body_waits(app: App) -> None:
    @app.engine
    def asks(ctx: Ctx) -> Any:
        return ctx.approval("ship").wait()

    handle = app.start(asks)
    [view] = opened(app, 1)
    assert (view.name, view.question, view.schema, view.options, view.due_ms) == ("ship", None, None, None, None)
    assert types(app, handle.id).count("approval.requested") == 1
    assert app.answer(view, {"any": "thing"})
    assert handle.result(timeout=10) == {"any": "thing"}
    assert types(app, handle.id).count("approval.requested") == 1


@pytest.mark.parametrize(
    ("question", "error"),
    [("x" * MAX_QUESTION, PayloadTooLarge), (object(), InvalidPayload)],
    ids=["too long", "no JSON"],
)
def test_a_question_that_cannot_be_shown_is_refused_and_nothing_is_asked(
    app: App, question: Any, error: type[Exception]
) -> None:
    @app.engine
    async def asks(ctx: AsyncCtx) -> None:
        with pytest.raises(error, match="the question of approval ship"):
            await ctx.approval("ship", bool, question=question)

    handle = app.start(asks)
    handle.result(timeout=10)
    assert "approval.requested" not in types(app, handle.id)
    assert app.approvals() == []


def test_a_question_that_a_deploy_words_anew_is_no_mismatch_and_is_not_asked_again(app: App) -> None:
    worded = ["Ship it?"]

    @app.engine
    async def asks(ctx: AsyncCtx) -> bool:
        asked = await ctx.approval("ship", bool, question=worded[0])
        return await asked.wait()

    handle = app.start(asks)
    [view] = opened(app, 1)
    until(lambda: handle.status().status == "waiting")
    worded[0] = "Shall we ship it?"
    assert app.answer(view, True)
    assert handle.result(timeout=10) is True
    assert types(app, handle.id).count("approval.requested") == 1


def test_the_options_of_an_answer_are_those_that_its_type_names(app: App) -> None:
    kinds: dict[str, Any] = {
        "flag": bool,
        "literal": Literal["a", "b"],
        "enum": Colour,
        "optional": Literal["a"] | None,
        "model": Verdict,
        "text": str,
    }

    @app.engine
    async def asks(ctx: AsyncCtx) -> None:
        asked = [await ctx.approval(name, kind) for name, kind in kinds.items()]
        await ctx.gather(asked, default=None)

    handle = app.start(asks)
    found = {view.name: view.options for view in opened(app, len(kinds))}
    assert found == {
        "flag": [True, False],
        "literal": ["a", "b"],
        "enum": ["red", "blue"],
        "optional": ["a", None],
        "model": None,
        "text": None,
    }
    handle.cancel("enough")
    until(lambda: app.approvals() == [])


def test_more_options_than_are_worth_a_list_are_none() -> None:
    assert options_of({"enum": list(range(64))}) == list(range(64))
    assert options_of({"enum": list(range(65))}) is None


def test_of_a_turn_the_list_names_the_session(app: App) -> None:
    @app.agent("desk")
    async def desk(turn: AsyncTurn) -> Any:
        return await (await turn.approval("refund", bool, question="Refund?")).wait()

    app.session("desk", "one").send("please")
    [view] = opened(app, 1)
    assert (view.session, view.process_kind) == ("desk/one", "session_turn")
    assert app.answer(view, True)


# -- answers from the list


def test_an_answer_from_the_list_is_checked_and_the_first_one_stands(app: App) -> None:
    @app.engine
    async def asks(ctx: AsyncCtx) -> str:
        verdict = await (await ctx.approval("ship", Verdict, question="Ship?")).wait()
        return f"{verdict.ship} {verdict.why}"

    handle = app.start(asks)
    [view] = opened(app, 1)
    with pytest.raises(PayloadSchemaMismatch):
        app.answer(view, "yes")
    assert opened(app, 1) == [view]
    assert app.answer(view.id, {"ship": True, "why": "green"}) is True
    assert handle.result(timeout=10) == "True green"
    with pytest.raises(ApprovalAnswered, match=r"was answered before, at 20\d\d-.*and the first answer stands"):
        app.answer(view, {"ship": False})


def test_a_second_answer_is_told_when_the_first_one_was_also_once_its_process_has_ended(app: App) -> None:
    @app.engine
    def asks(ctx: Ctx) -> None:
        first, second = ctx.approval("first", bool), ctx.approval("second", bool)
        ctx.gather([first])
        ctx.gather([second], timeout="10ms", default=None)

    handle = app.start(asks)
    answered, late = opened(app, 2)
    assert app.answer(answered, True) is True
    for _ in range(2):
        with pytest.raises(ApprovalAnswered) as told:
            app.answer(answered.id, False)
        assert told.value.answered_at_ms is not None
        assert answered.since_ms <= told.value.answered_at_ms <= app.fleet().now_ms
        handle.result(timeout=10)
    with pytest.raises(ApprovalNotOpen) as closed:
        app.answer(late, True)
    assert type(closed.value) is ApprovalNotOpen


def test_a_second_answer_to_an_approval_that_a_release_before_took_is_told_too(app: App) -> None:
    @app.engine
    def asks(ctx: Ctx) -> None:
        ctx.approval("ship", bool).wait()
        ctx.wait("go")

    app.start(asks)
    [view] = opened(app, 1)
    assert app.answer(view, True) is True
    app.store.client.delete(app.store.address.prefix + f"answer:{view.id}")
    with pytest.raises(ApprovalAnswered, match="was answered before, and the first answer stands") as told:
        app.answer(view, True)
    assert told.value.answered_at_ms is None


def test_a_bearer_token_is_no_id_of_an_approval_and_is_not_repeated(app: App) -> None:
    tokens: list[str] = []

    @app.engine
    def asks(ctx: Ctx) -> None:
        question = ctx.approval("ship", bool)
        tokens.append(question.token)
        question.wait()

    app.start(asks)
    opened(app, 1)
    until(lambda: bool(tokens))  # the body has it a moment later
    for given in (tokens[0], tokens[0][:-1], 5, None):
        with pytest.raises(InvalidId) as refused:
            app.answer(given, True)  # type: ignore[arg-type]
        assert tokens[0][8:-2] not in str(refused.value.to_json())
    assert app.resolve(tokens[0], True) is True


@pytest.mark.parametrize("given", ["", "nonsense", "v1AAAAAAAAAAAAAAAAAAAAAAAA"])
def test_an_answer_to_what_is_no_open_approval_is_refused(app: App, given: str) -> None:
    with pytest.raises(ApprovalNotOpen):
        app.answer(given, True)


def test_a_wait_of_another_kind_is_answered_by_no_id_of_it(app: App) -> None:
    from wakeline import current

    @app.tool
    def charge() -> int:
        return current().pending()  # type: ignore[no-any-return]

    handle = app.start(charge)
    until(lambda: handle.status().status == "waiting")
    [slot] = app.store.client.smembers(app.store.address.prefix + f"waits:{handle.id}")
    with pytest.raises(ApprovalNotOpen):
        app.answer(str(slot), 1)
    assert app.approvals() == []


def test_both_faces_page_through_the_list_in_the_order_of_asking(app: App) -> None:
    @app.engine
    async def asks(ctx: AsyncCtx, n: int) -> None:
        await ctx.gather([await ctx.approval(f"q{i}", bool, question=i) for i in range(n)], default=None)

    handle = app.start(asks, 7)
    names = [view.name for view in opened(app, 7)]
    assert names == [f"q{i}" for i in range(7)]
    first = app.approvals(limit=3)
    assert ([view.name for view in first], first.more) == (["q0", "q1", "q2"], True)
    second = app.approvals(after=first[-1], limit=3)
    assert ([view.name for view in second], second.more) == (["q3", "q4", "q5"], True)
    assert app.answer(second[-1], True)

    async def rest() -> tuple[list[str], bool]:
        page = await app.aio.approvals(after=second[-1].cursor, limit=3)
        assert await app.aio.answer(page[0], False)
        await app.aio.store.close()
        return [view.name for view in page], page.more

    assert asyncio.run(rest()) == (["q6"], False)
    for given in ("somewhere", "1:", ":a", "x:a", "-1:a"):
        with pytest.raises(InvalidArguments, match="no place in the list"):
            app.approvals(after=given)
    with pytest.raises(InvalidArguments):
        app.approvals(limit=0)
    handle.cancel("enough")


# -- groups


def test_several_approvals_are_one_group_with_one_park_and_one_resume(app: App) -> None:
    runs: list[int] = []

    @app.engine
    async def asks(ctx: AsyncCtx) -> list[Any]:
        runs.append(1)
        asked = [await ctx.approval(f"item-{n}", bool, question=f"Item {n}?") for n in range(3)]
        return await ctx.gather(asked)

    @app.engine
    def blocking(ctx: Ctx) -> list[Any]:
        runs.append(1)
        return ctx.gather([ctx.approval(f"item-{n}", bool, question=f"Item {n}?") for n in range(3)])

    for body in (asks, blocking):
        runs.clear()
        handle = app.start(body)
        views = opened(app, 3)
        until(lambda handle=handle: handle.status().status == "waiting")  # type: ignore[misc]
        assert len({view.id for view in views}) == 3
        for view, answer in zip(views, (True, False, True), strict=True):
            assert app.answer(view, answer)
        assert handle.result(timeout=10) == [True, False, True]
        assert len(runs) == 2
        assert [types(app, handle.id).count(f"process.{word}") for word in ("waiting", "resumed")] == [1, 1]


def test_a_group_holds_children_and_approvals_and_each_late_one_gives_the_default(app: App) -> None:
    @app.tool
    def one() -> int:
        return 1

    @app.engine
    async def mixed(ctx: AsyncCtx) -> list[Any]:
        child = await ctx.start(one)
        short = await ctx.approval("short", bool, timeout="100ms")
        long = await ctx.approval("long", bool, timeout="1d")
        return await ctx.gather([child, short, long], timeout="400ms", default="late")

    assert app.start(mixed).result(timeout=10) == [1, "late", "late"]
    assert app.approvals() == []


def test_a_group_without_a_default_raises_for_the_late_one(app: App) -> None:
    @app.engine
    async def asks(ctx: AsyncCtx) -> str:
        asked = [await ctx.approval("a", bool), await ctx.approval("b", bool)]
        with pytest.raises(WaitTimeout, match="approval a"):
            await ctx.gather(asked, timeout="100ms")
        return "raised"

    assert app.start(asks).result(timeout=10) == "raised"
    assert app.approvals() == []


def test_the_tokens_of_a_group_answer_each_its_own_and_a_cancel_revokes_them_all(app: App) -> None:
    tokens: list[str] = []

    @app.engine
    async def asks(ctx: AsyncCtx) -> Any:
        asked = [await ctx.approval(f"q{n}", bool) for n in range(2)]
        tokens.extend(one.token for one in asked if one.token not in tokens)
        return await ctx.gather(asked)

    handle = app.start(asks)
    until(lambda: handle.status().status == "waiting")
    assert len(set(tokens)) == 2
    assert app.resolve(tokens[0], True)
    assert [view.name for view in app.approvals()] == ["q1"]
    handle.cancel("enough")
    with pytest.raises(ProcessCancelled):
        handle.result(timeout=10)
    assert app.approvals() == []
    with pytest.raises(AwaitEventUnknownOrRevoked):
        app.resolve(tokens[1], True)


def test_a_blocking_body_that_parks_on_a_group_leaves_no_error_in_the_log(
    app: App,
) -> None:
    """Each wait of the group is told that the body parks, and the body asks the first one alone."""
    told: list[str] = []

    @app.engine
    async def listens(ctx: AsyncCtx) -> None:
        # On this worker's loop alone: a task that an earlier test left may be collected at any time.
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))

    app.start(listens).result(timeout=20)

    @app.engine
    def asks(ctx: Ctx) -> list[bool]:
        return ctx.gather([ctx.approval(f"a{n}", bool, question="?") for n in range(3)])

    handle = app.start(asks)
    views = opened(app, 3)
    until(lambda: handle.status().status == "waiting")
    for view in views:
        app.answer(view, True)
    assert handle.result(timeout=20) == [True, True, True]
    gc.collect()
    assert told == []
