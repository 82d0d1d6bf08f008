"""`start_many`: hundreds of starts in one write, all of them checked before the first."""

from __future__ import annotations

import asyncio
from secrets import token_hex

import pytest
from wakeline import App, AsyncCtx, Attachment
from wakeline.errors import AttachmentNotFound, InvalidArguments, ProcessConflict
from wakeline.store.connection import Backend


@pytest.fixture
def app(backend: Backend) -> App:
    """An app without a worker: what is started stays queued."""
    made = App("t" + token_hex(4), backend=backend)

    @made.engine
    async def doubles(ctx: AsyncCtx, n: int) -> int:
        return 2 * n

    @made.tool
    def halves(n: int) -> float:
        return n / 2

    return made


def test_rows_are_started_in_order_and_in_few_writes(app: App) -> None:
    engine = app.registry.engines["doubles"]
    app.start(engine, 0)
    before = dict(app.store.sent.counts)
    handles = app.start_many(engine, [{"n": n} for n in range(600)])
    assert len({handle.id for handle in handles}) == 600
    assert [app.store.sent.counts[name] - before.get(name, 0) for name in ("process_register", "round_trips")] == [
        600,
        3,
    ]
    assert {handle.status().status for handle in handles[::100]} == {"queued"}
    assert len(app.processes("queued", limit=1000)) == 601


def test_tools_options_and_the_awaited_twin_are_started_alike(app: App) -> None:
    tool = app.registry.tools["halves"]
    ids = [f"order-{n}" for n in range(3)]
    first = app.using(labels={"batch": "7"}).start_many(tool, [{"n": n} for n in range(3)], ids=ids)
    assert [handle.id for handle in first] == ids

    async def again() -> list[str]:
        handles = await app.aio.start_many(tool, [{"n": n} for n in range(3)], ids=ids)
        await app.aio.close()
        return [handle.id for handle in handles]

    assert asyncio.run(again()) == ids
    assert len(app.processes("queued")) == 3


def test_one_bad_row_starts_none(app: App) -> None:
    with pytest.raises(InvalidArguments, match="doubles"):
        app.start_many(app.registry.engines["doubles"], [{"n": 1}, {"n": "many"}])
    assert app.processes("queued") == []


def test_an_attachment_that_is_not_there_starts_none_however_late_its_row_is(app: App) -> None:
    lost = Attachment(id="sha256:" + "0" * 64, media_type="text/plain", size=3)

    @app.engine
    async def reads(ctx: AsyncCtx, what: Attachment | None = None) -> None:
        """Takes a reference."""

    with pytest.raises(AttachmentNotFound):
        app.start_many(reads, [{}] * 300 + [{"what": lost}])
    assert app.processes("queued") == []


def test_a_conflict_is_told_when_the_others_are_started(app: App) -> None:
    engine = app.registry.engines["doubles"]
    app.using(id="taken").start(engine, 1)
    with pytest.raises(ProcessConflict):
        app.start_many(engine, [{"n": 5}, {"n": 6}, {"n": 7}], ids=["a", "taken", "b"])
    assert {row.id for row in app.processes("queued")} == {"taken", "a", "b"}


def test_ids_are_one_for_each_row(app: App) -> None:
    engine = app.registry.engines["doubles"]
    with pytest.raises(InvalidArguments, match="2 rows and 1 ids"):
        app.start_many(engine, [{"n": 1}, {"n": 2}], ids=["a"])
    with pytest.raises(InvalidArguments, match="give ids="):
        app.using(id="a").start_many(engine, [{"n": 1}])
    assert app.start_many(engine, []) == []
