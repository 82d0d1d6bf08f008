"""Large payloads: the caller of every script reads the payload and never its stand-in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wakeline.errors import ExternalRefConflict
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store import claims, entries, events, feed, processes, sessions, waits
from wakeline.store import journal as stored_journal
from wakeline.store.journal import Effect, Row

from tests.lua.world import World, wait

BIG = json.dumps("x" * 100_000)
OK = f'{{"status":"ok","value":{BIG}}}'


def whole(found: Any) -> bool:
    """Whether what a caller was given has a large payload in it, and no stand-in."""
    text = repr(found)
    return len(text) > 100_000 and "__claim__" not in text


def test_a_process_is_read_with_its_input_its_events_and_its_slots(world: World) -> None:
    fence = world.running("p", payload=json.loads(BIG))
    world.open(fence, wait("w1", kind="x:k"))
    world.do(waits.resolve("p", "inc00001", "w1", OK))
    world.do(events.append("p", "said", BIG, effect=Effect(fence)))
    found = world.do(processes.read("p", count=10, detail=True))
    assert whole(found.registration.input)
    assert whole(found.events)
    assert whole(found.slots)


def test_a_run_is_given_its_journal_and_its_resolutions(world: World) -> None:
    fence = world.running("p")
    world.do(stored_journal.record(fence, [Row("row", f'{{"outcome":{BIG}}}')]))
    world.open(fence, wait("w1", kind="x:k"))
    assert world.do(waits.resolve("p", "inc00001", "w1", OK)).accepted
    assert world.do(waits.resolve("p", "inc00001", "w1", '{"status":"ok","value":1}')).standing == OK
    journal, slots = world.do(stored_journal.read_journal(fence))
    assert whole(journal)
    assert whole(slots)
    assert world.do(waits.read_slots(fence, ["w1"])) == (None, [OK])
    assert [opened.text for opened in world.open(fence, wait("w1", kind="x:k"))] == [OK]
    [journaled] = world.open(fence, wait("w2", kind="x:l"), rows=[Row("wait-w2", f'{{"outcome":{BIG}}}')])
    assert (journaled.state, whole(journaled.text)) == ("journaled", True)


def test_a_session_is_read_with_what_was_said_in_it(world: World) -> None:
    bot = world.session()
    world.redis.hset(world.key("agents"), "bot", AdmissionPolicy(on_arrival="early").wire())
    world.do(sessions.create(bot))
    world.do(feed.append("bot/1", [(f'{{"role":"note","content":{BIG}}}', "m1")]))
    page = world.do(feed.follow("bot/1", None))
    world.do(sessions.send(bot, f'{{"kind":"input","input":{BIG}}}'))
    world.do(feed.tell("bot/1", "a", "c", f'{{"type":"progress","text":{BIG}}}'))
    read = world.do(sessions.read("bot/1"))
    assert whole(read.history)
    assert whole(read.entries)
    assert whole(world.do(entries.look("bot/1")))
    assert whole(world.raw(feed.follow("bot/1", page.cursor)))
    world.worker()
    [turn] = world.take()
    assert whole(world.do(sessions.admit(turn.fence, "bot/1", 9)))
    world.do(sessions.send(bot, f'{{"kind":"input","input":{BIG}}}'))
    told = world.do(sessions.arrivals(Effect(turn.fence, Row("arrivals", "[", after="]")), "bot/1", 9))
    assert whole(told)
    world.do(sessions.delete("bot/1"))
    assert whole(world.do(entries.undeliverable(9)))


def test_a_conflict_shows_the_external_reference_that_stands(world: World) -> None:
    world.start("p", kind="external")
    world.do(processes.set_external_ref("p", BIG))
    assert world.do(processes.set_external_ref("p", BIG)) is None
    with pytest.raises(ExternalRefConflict) as conflict:
        world.do(processes.set_external_ref("p", '{"id":1}'))
    assert conflict.value.fields["existing"] == BIG


def test_a_run_whose_answer_is_of_a_later_release_is_left_to_that_release_however_long_the_answer_is(
    world: World,
) -> None:
    world.parked("p", "o1", wait("w1", kind="x:k"))
    world.do(waits.resolve("p", "inc00001", "w1", f'{{"status":"deferred","value":{BIG}}}'))
    [claim] = world.take()
    assert claim.unread is None
    read = world.store.run(claims.made_whole(world.store.blobs, claim))
    assert str(read.unread).startswith(
        'a wait of it was resolved in a way that this release does not know: {"status":"deferred"'
    )
