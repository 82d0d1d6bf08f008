"""Following a session: every change once and in order over reconnects, and a gap where something was missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from wakeline.errors import ForeignCursor, SessionDeleted, SessionNotFound, StaleBranch
from wakeline.sessions.feed import Committed, EntryChanged, FeedItem, Gap
from wakeline.store import feed, sessions
from wakeline.values import to_json

if TYPE_CHECKING:
    from tests.contract.conftest import World

SID = "bot/1"


def send(world: World, text: str = "hello") -> None:
    world.do(sessions.send(world.session(SID), to_json({"kind": "input", "input": text})))


def look(world: World, cursor: str | None) -> tuple[list[FeedItem], str]:
    page = world.do(feed.follow(SID, cursor))
    return list(page.items), page.cursor


def shown(items: list[FeedItem]) -> list[Any]:
    out: list[Any] = []
    for item in items:
        match item:
            case EntryChanged():
                out.append((item.entry, item.state))
            case Committed():
                out.append(("commit", item.revision, list(item.messages)))
            case other:
                out.append(type(other).__name__)
    return out


def test_changes_are_told_in_order_and_once_over_reconnects(world: World) -> None:
    world.do(sessions.create(world.session(SID)))
    _, cursor = look(world, None)
    send(world)
    first, cursor = look(world, cursor)
    assert shown(first) == [(1, "delivered")]
    assert look(world, cursor)[0] == []
    send(world)
    again, _ = look(world, cursor)
    assert shown(again) == shown(look(world, cursor)[0]) == [(2, "delivered")]
    assert look(world, first[0].cursor)[0] == again


def test_what_happens_while_nobody_follows_is_a_gap_and_costs_nothing(world: World) -> None:
    send(world)
    assert world.backend.sync().exists(f"{world.store.address.prefix}feed:{SID}") == 0
    _, cursor = look(world, None)
    send(world)
    world.backend.sync().delete(f"{world.store.address.prefix}followed:{SID}")  # a minute without a look
    send(world)
    items, after = look(world, cursor)
    assert shown(items) == [(2, "delivered"), "Gap"]
    send(world)
    assert shown(look(world, after)[0]) == [(4, "delivered")]


def test_a_reader_that_fell_behind_what_is_kept_is_told(world: World) -> None:
    world.do(sessions.create(world.session(SID)))
    _, cursor = look(world, None)
    for number in range(1_100):
        send(world, str(number))
    items: list[FeedItem] = []
    while page := look(world, cursor)[0]:
        items.extend(page)
        cursor = page[-1].cursor
    assert isinstance(items[0], Gap)
    assert [item.entry for item in items[1:] if isinstance(item, EntryChanged)] == list(range(101, 1_101))


def test_a_cursor_of_another_session_or_of_the_future_is_foreign(world: World) -> None:
    world.do(sessions.create(world.session(SID)))
    world.do(sessions.create(world.session("bot/2")))
    _, cursor = look(world, None)
    other = world.do(feed.follow("bot/2", None)).cursor
    mark = cursor.split(":")[0]
    for foreign in (other, f"{mark}:99"):
        with pytest.raises(ForeignCursor):
            look(world, foreign)
    with pytest.raises(SessionNotFound):
        world.do(feed.follow("bot/3", None))


def test_a_deletion_ends_the_feed(world: World) -> None:
    send(world)
    _, cursor = look(world, None)
    world.do(sessions.delete(SID))
    page = world.do(feed.follow(SID, cursor))
    assert (shown(list(page.items))[-1], page.over) == ("SessionGone", True)
    assert world.do(feed.follow(SID, page.cursor)).over


def test_a_deletion_is_told_last_and_also_to_who_was_not_there(world: World) -> None:
    world.do(sessions.create(world.session(SID)))
    _, cursor = look(world, None)
    world.backend.sync().delete(f"{world.store.address.prefix}followed:{SID}")
    world.do(sessions.delete(SID))
    world.do(feed.tell(SID, "a1", "late", '{"type":"progress"}'))
    for from_here in (cursor, None):
        page = world.do(feed.follow(SID, from_here))
        assert (shown(list(page.items))[-1], page.over) == ("SessionGone", True)


def test_every_entry_of_a_large_inbox_is_told_before_the_deletion_is(world: World) -> None:
    for number in range(300):
        send(world, str(number))
    _, cursor = look(world, None)
    world.do(sessions.delete(SID))
    assert not world.do(feed.follow(SID, cursor)).over
    world.tick()
    told: list[Any] = []
    over = False
    while not over:
        page = world.do(feed.follow(SID, cursor))
        told += shown(list(page.items))
        cursor, over = page.cursor, page.over
    assert told == [*((n, "undeliverable") for n in range(1, 301)), "SessionGone"]


# -- the history as a graph of commits


def message(text: str, own: str | None = None) -> tuple[str, str]:
    return to_json({"role": "agent", "content": text}), own or f"id of {text}"


def test_an_append_that_is_sent_again_is_there_once(world: World) -> None:
    world.do(sessions.create(world.session(SID)))
    call = feed.append(SID, [message("a"), message("b"), message("b")], ancestor=0)
    assert [world.do(call), world.do(call)] == [1, 1]
    assert len(world.do(sessions.read(SID)).history) == 2


def test_history_is_appended_to_the_head_that_its_writer_read_or_not_at_all(world: World) -> None:
    world.do(sessions.create(world.session(SID)))
    _, cursor = look(world, None)
    assert world.do(feed.append(SID, [message("a"), message("b")], ancestor=0)) == 1
    with pytest.raises(StaleBranch, match="at revision 1, not 0"):
        world.do(feed.append(SID, [message("c")], ancestor=0))
    assert world.do(feed.append(SID, [message("d")])) == 2
    assert shown(look(world, cursor)[0]) == [("commit", 1, [1, 2]), ("commit", 2, [3])]
    assert len(world.do(sessions.read(SID)).history) == 3


def test_a_message_with_an_id_is_appended_once(world: World) -> None:
    world.do(sessions.create(world.session(SID)))
    assert world.do(feed.append(SID, [message("a", "m1")], ancestor=0)) == 1
    assert world.do(feed.append(SID, [message("a", "m1")], ancestor=0)) == 1
    assert world.do(feed.append(SID, [message("a", "m1"), message("b", "m2")], ancestor=1)) == 2
    assert len(world.do(sessions.read(SID)).history) == 2


def test_a_session_that_is_not_there_has_no_history_to_append_to(world: World) -> None:
    with pytest.raises(SessionNotFound):
        world.do(feed.append(SID, [message("a")]))
    send(world)
    world.do(sessions.delete(SID))
    with pytest.raises(SessionDeleted):
        world.do(feed.append(SID, [message("a")]))
    with pytest.raises(SessionNotFound):
        world.do(feed.graph(SID))
