"""Attachments through the public face: put by hosts, bodies, turns and tools; passed on with arguments, signals, inputs
and results, and only so."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex

import pytest
from wakeline import App, AsyncCtx, AsyncTurn, Attachment, Ctx, Event, Turn, current
from wakeline.attachments.directory import DirectoryBlobs
from wakeline.errors import AttachmentNotFound, InvalidArguments, ProcessFailed, SettingsInvalid
from wakeline.settings import Settings

from tests.scenario.conftest import served, until

PNG = b"\x89PNG\r\n" + bytes(range(256))


def test_an_argument_makes_the_process_an_owner(app: App) -> None:
    @app.engine
    async def measure(ctx: AsyncCtx, picture: Attachment) -> int:
        return len(await ctx.attachments.get(picture))

    @app.engine
    def measure_too(ctx: Ctx, picture: Attachment) -> int:
        return len(ctx.attachments.get(picture))

    picture = app.attachments.put(PNG, "image/png")
    assert (picture.media_type, picture.size) == ("image/png", 262)
    for body in (measure, measure_too):
        handle = app.start(body, picture)
        assert handle.result(timeout=10) == 262
        assert handle.attachments.list() == [picture]


def test_a_result_makes_the_parent_an_owner_and_a_stranger_none(app: App) -> None:
    @app.engine
    async def draws(ctx: AsyncCtx) -> Attachment:
        return await ctx.attachments.put(PNG, "image/png")

    @app.engine
    async def parent(ctx: AsyncCtx) -> list[int]:
        picture = await (await ctx.start(draws))
        return [len(await ctx.attachments.get(picture)), len(await ctx.attachments.list())]

    @app.engine
    async def stranger(ctx: AsyncCtx, attachment_id: str) -> str:
        try:
            await ctx.attachments.get(attachment_id)
        except AttachmentNotFound as error:
            return error.code
        return "read"

    assert app.start(parent).result(timeout=10) == [262, 1]
    picture = app.start(draws).result(timeout=10)
    assert app.attachments.get(picture) == PNG  # code that holds the app
    assert app.start(stranger, picture.id).result(timeout=10) == "attachment_not_found"


def test_a_result_that_names_an_attachment_its_process_does_not_own_makes_its_parent_no_owner(app: App) -> None:
    @app.engine
    async def claims(ctx: AsyncCtx, attachment_id: str) -> dict[str, object]:
        return {"__attachment__": attachment_id, "media_type": "image/png", "size": 262}

    @app.engine
    async def parent(ctx: AsyncCtx, attachment_id: str) -> list[object]:
        named = await (await ctx.start(claims, attachment_id))
        try:
            await ctx.attachments.get(attachment_id)
        except AttachmentNotFound as error:
            return [named["__attachment__"] == attachment_id, error.code]
        return ["read"]

    picture = app.attachments.put(PNG, "image/png")
    assert app.start(parent, picture.id).result(timeout=10) == [True, "attachment_not_found"]


def test_nobody_passes_on_what_is_not_his(app: App) -> None:
    @app.engine
    async def takes(ctx: AsyncCtx, picture: Attachment) -> None:
        pass

    @app.engine
    async def thief(ctx: AsyncCtx, attachment_id: str) -> None:
        await ctx.start(takes, Attachment(id=attachment_id, size=1))

    picture = app.attachments.put(PNG)
    with pytest.raises(ProcessFailed) as failed:
        app.start(thief, picture.id).result(timeout=10)
    assert failed.value.fields["failure_code"] == "attachment_not_found"
    with pytest.raises(AttachmentNotFound):
        app.start(takes, Attachment(id="sha256:" + "0" * 64, size=1))


def test_a_signal_and_a_session_input_pass_it_on(app: App) -> None:
    @app.engine(signals={"picture": Attachment})
    async def waits(ctx: AsyncCtx) -> int:
        return len(await ctx.attachments.get(await ctx.wait("picture", Attachment)))

    @app.agent
    async def looks(turn: AsyncTurn) -> int:
        [item] = turn.inbox
        return len(await turn.attachments.get(item.input["__attachment__"]))

    picture = app.attachments.put(PNG)
    handle = app.start(waits)
    handle.signal("picture", picture)
    assert handle.result(timeout=10) == 262
    session = app.session("looks", "1")
    assert session.ask(picture, timeout=10) == 262
    assert session.attachments.list() == [picture]


def test_what_a_turn_puts_is_its_sessions(app: App) -> None:
    @app.agent
    def paints(turn: Turn) -> Attachment:
        return turn.attachments.put(PNG, "image/png")

    session = app.session("paints", "1")
    session.ask("please", timeout=10)
    [picture] = session.attachments.list()
    assert session.attachments.get(picture) == PNG


def test_the_end_of_a_process_passes_it_on_to_the_session_it_wakes(app: App) -> None:
    @app.engine
    async def draws(ctx: AsyncCtx) -> Attachment:
        return await ctx.attachments.put(PNG, "image/png")

    @app.agent
    async def hears(turn: AsyncTurn) -> None:
        pass

    session = app.session("hears", "1")
    picture = app.using(wake=session).start(draws).result(timeout=10)
    assert session.attachments.list() == [picture]


def test_what_a_tool_emits_passes_it_on_to_the_session_it_wakes(app: App) -> None:
    @app.tool
    async def draws() -> None:
        current().emit("drawn", {"picture": await current().attachments.put(PNG, "image/png")})

    @app.engine(events={"drawn": Event(dict[str, Attachment], wake="drawn")})
    async def calls(ctx: AsyncCtx) -> None:
        await ctx.call(draws)

    @app.agent
    async def hears(turn: AsyncTurn) -> None:
        pass

    session = app.session("hears", "1")
    app.using(wake=session).start(calls).result(timeout=10)
    [picture] = session.attachments.list()
    assert session.attachments.get(picture) == PNG


def test_external_work_owns_what_its_metadata_names_and_names_nothing_that_is_not_there(app: App) -> None:
    picture = app.attachments.put(PNG, "image/png")
    work = app.external("ci", metadata={"picture": picture})
    assert work.attachments.list() == [picture]
    app.attachments.delete(picture)
    assert work.attachments.get(picture) == PNG
    with pytest.raises(AttachmentNotFound):
        app.external("ci", metadata={"picture": Attachment(id="sha256:" + "0" * 64, size=1)})


def test_tools_have_the_attachments_of_their_process(app: App) -> None:
    @app.tool
    def render(n: int) -> Attachment:
        return current().attachments.put(PNG * n, "image/png")

    @app.tool
    async def render_too(n: int) -> Attachment:
        made: Attachment = await current().attachments.put(PNG * n, "image/png")
        return made

    @app.engine
    async def calls(ctx: AsyncCtx) -> list[int]:
        pictures = [await ctx.call(render, 2), await ctx.call(render_too, 3)]
        return [len(await ctx.attachments.get(one)) for one in pictures]

    @app.engine
    def calls_too(ctx: Ctx) -> list[int]:
        pictures = [ctx.call(render, 2), ctx.call(render_too, 3)]
        return [len(ctx.attachments.get(one)) for one in pictures]

    assert app.start(calls).result(timeout=10) == [524, 786]
    assert app.start(calls_too).result(timeout=10) == [524, 786]
    assert app.start(render, 1).result(timeout=10).size == 262


def test_a_put_that_is_replayed_is_the_same_attachment_of_the_same_owner(app: App) -> None:
    seen: list[Attachment] = []

    @app.engine(signals={"go": bool})
    async def puts(ctx: AsyncCtx) -> int:
        seen.append(await ctx.attachments.put(PNG))
        await ctx.wait("go")
        return len(await ctx.attachments.list())

    handle = app.start(puts)
    until(lambda: handle.status().status == "waiting")
    handle.signal("go", True)
    assert handle.result(timeout=10) == 1
    assert len(seen) == 2 and seen[0] == seen[1]


def test_a_directory_holds_the_bytes_where_the_app_says_so(app: App, tmp_path: Path) -> None:
    other = App(
        "t" + token_hex(4), backend=app.backend, settings=Settings(hold_ms=50), attachments=DirectoryBlobs(tmp_path)
    )

    @other.engine
    async def measure(ctx: AsyncCtx, picture: Attachment) -> int:
        return len(await ctx.attachments.get(picture))

    with served(other):
        picture = other.attachments.put(PNG)
        assert other.start(measure, picture).result(timeout=10) == 262
    [file] = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert file.read_bytes() == PNG
    other.close()


@pytest.mark.parametrize("setting", ["dir:relative", "ftp://x", "s3:///prefix", "nothing"])
def test_a_setting_that_cannot_work_is_refused_by_name(setting: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        App("t", settings=Settings(attachments=setting))
    assert refused.value.fields["name"] == "WAKELINE_ATTACHMENTS"


def test_what_is_not_bytes_is_refused_with_what_to_do(app: App) -> None:
    with pytest.raises(InvalidArguments, match="mode 'rb'"):
        app.attachments.put("a text")  # type: ignore[arg-type]
    with pytest.raises(InvalidArguments, match="1 to 1000"):
        app.attachments.list(0)


def test_more_tools_than_threads_may_use_attachments_at_once(app: App) -> None:
    other = App("t" + token_hex(4), backend=app.backend, settings=Settings(hold_ms=50, concurrency=2))

    @other.tool
    def stores(n: int) -> int:
        made = current().attachments.put(PNG * n)
        return len(current().attachments.get(made))

    with served(other):
        handles = [other.start(stores, n) for n in range(1, 9)]
        assert [handle.result(timeout=20) for handle in handles] == [262 * n for n in range(1, 9)]
    other.close()
