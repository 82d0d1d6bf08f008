"""A list that is cut says so, and its caller can see the rest."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest
from wakeline import App, AsyncTurn
from wakeline.errors import InvalidArguments
from wakeline.store import entries
from wakeline.store.connection import Backend
from wakeline.verbs import inbox


@pytest.fixture
def app(backend: Backend) -> Iterator[App]:
    """An app without a worker: what is sent stays."""
    made = App("t" + token_hex(4), backend=backend)

    @made.agent("clerk")
    async def clerk(turn: AsyncTurn) -> None: ...

    yield made
    made.close()


def told(app: App, count: int, key: str = "1") -> None:
    """Entries that no turn reads; their texts are their numbers."""
    session = app.session("clerk", key)
    for n in range(1, count + 1):
        session.send(str(n))


def test_the_latest_entries_of_a_session_say_that_there_are_others_and_page_back_to_the_first(app: App) -> None:
    told(app, 7)
    session = app.session("clerk", "1")
    latest = session.wakes(limit=3)
    assert ([entry.n for entry in latest], latest.more) == ([5, 6, 7], True)
    earlier = session.wakes(before=latest[0].n, limit=3)
    assert ([entry.n for entry in earlier], earlier.more) == ([2, 3, 4], True)
    first = session.wakes(before=earlier[0].n, limit=3)
    assert ([entry.n for entry in first], first.more) == ([1], False)
    assert [entry.n for entry in session.wakes()] == [1, 2, 3, 4, 5, 6, 7]
    assert not session.wakes().more
    with pytest.raises(InvalidArguments, match="after= and before= exclude each other"):
        session.wakes(after=1, before=3)


def test_entries_after_a_number_say_that_others_follow(app: App) -> None:
    told(app, 5)
    session = app.session("clerk", "1")
    page = session.wakes(after=1, limit=2)
    assert ([entry.n for entry in page], page.more) == ([2, 3], True)
    page = session.wakes(after=page[-1].n, limit=2)
    assert ([entry.n for entry in page], page.more) == ([4, 5], False)


def test_a_limit_above_what_one_look_brings_is_kept(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MOST", 2)
    told(app, 7)
    session = app.session("clerk", "1")
    latest, after, whole = session.wakes(limit=5), session.wakes(after=1, limit=5), session.wakes(limit=7)
    assert ([entry.n for entry in latest], latest.more) == ([3, 4, 5, 6, 7], True)
    assert ([entry.n for entry in after], after.more) == ([2, 3, 4, 5, 6], True)
    assert ([entry.n for entry in whole], whole.more) == ([1, 2, 3, 4, 5, 6, 7], False)


def test_an_entry_behind_many_that_are_forgotten_is_found(app: App) -> None:
    told(app, 1)
    client, prefix = app.store.client, app.store.address.prefix
    # As of a session whose first entry waits while 5,000 that came to no good end were forgotten.
    client.hset(f"{prefix}sess:clerk/1", "n", "5001")
    client.hset(
        f"{prefix}wakes:clerk/1", mapping={"5001": '{"kind":"input","input":"last"}', "5001:s": "settled t 1 2"}
    )
    session = app.session("clerk", "1")
    assert [entry.n for entry in session.wakes()] == [1, 5001]
    assert [entry.n for entry in session.wakes(after=1)] == [5001]
    assert [entry.n for entry in session.wakes(before=5001)] == [1]
    latest = session.wakes(limit=1)
    assert ([entry.n for entry in latest], latest.more) == ([5001], True)


def test_entries_that_came_to_no_good_end_are_all_had_however_many_there_are(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "MOST", 2)
    told(app, 3, "1")
    told(app, 4, "2")
    for key in ("1", "2"):
        app.session("clerk", key).delete()
    some = app.undeliverable(limit=5)
    assert (len(some), some.more) == (5, True)
    whole = app.undeliverable(limit=7)
    assert ({(entry.session_id, entry.n) for entry in whole}, whole.more) == (
        {("clerk/1", n) for n in (1, 2, 3)} | {("clerk/2", n) for n in (1, 2, 3, 4)},
        False,
    )
    mine = app.store.run(inbox.undeliverable(2, "clerk/1"))
    assert ([entry.session_id for entry in mine], mine.more) == (["clerk/1"] * 2, True)


def test_processes_say_that_there_are_others(app: App) -> None:
    for n in range(3):
        app.external("poem", id=f"p{n}")
    assert (len(app.processes(limit=2)), app.processes(limit=2).more) == (2, True)
    assert (len(app.processes(limit=3)), app.processes(limit=3).more) == (3, False)


def test_messages_say_that_others_follow_also_those_of_one_frame_behind_many_of_another(app: App) -> None:
    session = app.session("clerk", "1")
    session.create()
    session.append([{"role": "user", "content": n} for n in range(3)])
    page = session.history(count=2)
    assert ([message.content for message in page], page.more) == ([0, 1], True)
    rest = session.history(after=page[-1].n, count=2)
    assert ([message.content for message in rest], rest.more) == ([2], False)
    pipeline: Any = app.store.client.pipeline()
    for n in range(4, 4_204):
        frame = "other" if n < 4_203 else ""
        row = {"m": f'{{"role":"user","content":"of {frame}"}}', "rev": "1", "at": "1", "f": frame}
        pipeline.xadd(f"{app.store.address.prefix}hist:clerk/1", row, id=f"{n}-0")
    pipeline.execute()
    assert [message.content for message in session.history(after=3, frame="")] == ["of "]


def test_attachments_say_that_others_follow(app: App) -> None:
    put = sorted(app.attachments.put(bytes([n])).id for n in range(3))
    page = app.attachments.list(2)
    assert ([one.id for one in page], page.more) == (put[:2], True)
    rest = app.attachments.list(2, after=page[-1])
    assert ([one.id for one in rest], rest.more) == (put[2:], False)
