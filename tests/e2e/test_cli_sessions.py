"""The command line on sessions: show, create, delete, why, redrive, skip."""

from __future__ import annotations

import json
import re
import shlex
import time
from typing import Any

import pytest
from wakeline.store import claims, ends, feed, owners, sessions

from tests.e2e.shop import Shop

FAILED = '{"type":"failure","class":"execution","code":"broken","message":"it raised"}'


def failed_turn(shop: Shop, policy: str = "") -> None:
    """An entry whose turn failed for good."""
    store = shop.app.store
    store.execute(owners.register_owner("o1", ["shop"], lease_ms=60_000, agents={"clerk": policy}))
    shop.text("send", "clerk/u1", "poison")
    (claim,) = store.execute(claims.take("o1", "r1", ["shop"], 1, lease_ms=60_000)).claims
    store.execute(sessions.admit(claim.fence, "clerk/u1", 256))
    store.execute(ends.finish(claim.process_id, "failed", FAILED, fence=claim.fence))


def test_a_session_is_created_shown_and_deleted(shop: Shop) -> None:
    assert shop.json("session", "clerk/u1", "--create")["status"] == "idle"
    shown = shop.text("session", "clerk/u1").splitlines()
    assert {"id: clerk/u1", "status: idle", "the session has nothing to read"} <= set(shown)
    assert shop.json("session", "clerk/u1", "--delete") == {
        "session": "clerk/u1",
        "deleted": True,
        "orphaned": [],
        "preserved": [],
    }
    assert shop.text("session", "clerk/u1", "--delete") == "clerk/u1 was not there, or deleted before\n"
    assert shop.json("session", "clerk/u1")["status"] == "deleted"
    refused = shop.run("send", "clerk/u1", "hello")
    assert (refused.exit_code, "never used again" in refused.stderr) == (3, True)


def next_page(shop: Shop, *words: str, of: str = "") -> list[Any]:
    """The rows behind the first one, by the cursor that the note of a cut list names; with --json it is named too."""
    [note] = shop.run(*words, "--limit", "1").stderr.splitlines()
    assert shop.run("--json", *words, "--limit", "1").stderr == f"{note}\n"
    told = re.fullmatch(rf"wakeline: there are more than these 1{of}; (--after .+) shows the next", note)
    assert told is not None, note
    found: list[Any] = shop.json(*words, *shlex.split(told[1]))
    return found


def test_each_cut_list_names_the_next_page(shop: Shop) -> None:
    keys = ("u1", "u2", "u 3")
    for key in keys:
        shop.text("send", f"clerk/{key}", "hello")
        time.sleep(0.002)
    for n in (1, 2, 3):
        shop.text("start", "nap", "--id", f"nap {n}")
        shop.work()
        time.sleep(0.002)
    waiting = ("ps", "--status", "waiting")
    assert [row["id"] for row in next_page(shop, *waiting)] == ["nap 2", "nap 1"]
    assert [row["process_id"] for row in next_page(shop, "waits", of=" processes")] == ["nap 2", "nap 1"]
    assert sorted(row["id"] for row in next_page(shop, "ps")) == sorted(row["id"] for row in shop.json("ps")[1:])
    rest = [row["id"] for row in shop.json("sessions")[1:]]
    assert [row["id"] for row in next_page(shop, "sessions")] == rest
    assert [row["session"] for row in next_page(shop, "wakes", of=" sessions")] == rest
    failed_turn(shop)
    shop.text("send", "clerk/u2", "hello")
    for key in keys:
        shop.text("send", f"clerk/{key}", "hello")
        shop.text("session", f"clerk/{key}", "--delete")
    bad = shop.json("wakes", "--undeliverable")
    assert len(bad) > 2
    assert next_page(shop, "wakes", "--undeliverable") == bad[1:]
    for words in (("sessions",), ("ps",), ("waits",), ("wakes",), ("wakes", "--undeliverable")):
        assert shop.json(*words, "--after", "nowhere", code=2)["error"]["code"] == "invalid_arguments"
    assert shop.run("wakes", "clerk/u1", "--after", "1:x").exit_code == 2


def test_a_list_that_is_cut_says_so_and_how_to_see_the_rest(shop: Shop) -> None:
    for text in ("one", "two", "three"):
        shop.text("send", "clerk/u1", text)
    shop.text("send", "clerk/u2", "other")
    cut = shop.run("wakes", "clerk/u1", "--limit", "2")
    assert "wakeline: clerk/u1 has entries before 2; `wakeline wakes clerk/u1 --before 2` shows them" in cut.stderr
    assert [row["n"] for row in shop.json("wakes", "clerk/u1", "--before", "2")] == [1]
    assert shop.run("wakes", "clerk/u1", "--limit", "3").stderr == ""
    assert shop.run("wakes", "--before", "2").exit_code == 2
    assert [row["session"] for row in next_page(shop, "wakes", of=" sessions")] == ["clerk/u1"] * 3
    assert [row["id"] for row in next_page(shop, "sessions")] == ["clerk/u1"]
    assert len(next_page(shop, "ps")) == 1
    shop.app.attachments.put(b"a")
    shop.app.attachments.put(b"b")
    first = shop.run("attachments", "--limit", "1")
    last = first.stdout.split()[0]
    assert f"there are more than these 1; --after {last} shows the next" in first.stderr
    assert len(shop.json("attachments", "--after", last)) == 1


def test_a_session_of_nobody_is_not_made_by_a_typing_error(shop: Shop) -> None:
    assert shop.run("session", "clark/u1", "--create").exit_code == 2
    assert shop.run("session", "clark/u1").exit_code == 3
    assert shop.run("session", "clerk/u1", "--create", "--delete").exit_code == 2


def test_why_says_what_became_of_an_entry_and_redrive_offers_it_again(shop: Shop) -> None:
    failed_turn(shop)
    assert "(broken: it raised); offer it again with `wakeline redrive clerk/u1#1`" in shop.text("why", "clerk/u1#1")
    (row,) = shop.json("wakes", "--undeliverable")
    assert (row["session"], row["n"], row["state"], row["reason"]) == ("clerk/u1", 1, "failed", "failed: it raised")
    assert "1 entry is undeliverable, failed or blocking a session" in shop.run("doctor").stdout
    assert shop.json("redrive", "clerk/u1#1") == {"session": "clerk/u1", "entry": 2}
    assert shop.text("why", "clerk/u1#1") == "it was offered again, as entry 2\n"
    assert shop.json("wakes", "--undeliverable") == []
    shop.work()
    assert shop.text("why", "clerk/u1") == "the session has nothing to read\n"


@pytest.mark.parametrize("words", [("redrive", "clerk/u1"), ("skip", "clerk/u1")], ids=" ".join)
def test_a_blocked_session_goes_on_when_told(shop: Shop, words: tuple[str, ...]) -> None:
    failed_turn(shop, '{"f":"b"}')
    assert shop.json("session", "clerk/u1")["status"] == "blocked"
    assert shop.json(*words)["entry"] == 1
    shop.work()
    assert shop.json("session", "clerk/u1")["status"] == "idle"


@pytest.mark.parametrize(
    "address", ["clerk/u1#", "clerk/u1#x", "clerk/u1#0", "clerk/u1#-1", "clerk/u1#1#x", "clerk/u1#1\n"]
)
def test_an_address_that_is_none_is_refused(shop: Shop, address: str) -> None:
    assert shop.run("why", address).exit_code == 2


def test_what_is_not_there_is_said_so(shop: Shop) -> None:
    shop.text("session", "clerk/u1", "--create")
    assert shop.run("why", "clerk/u1#7").exit_code == 3
    assert shop.run("redrive", "clerk/u1").exit_code == 1


# -- follow


def test_follow_prints_each_change_once_and_goes_on_behind_a_cursor(shop: Shop) -> None:
    app = shop.app
    session = app.session("clerk", "7")
    session.create()
    start = app.store.execute(feed.follow("clerk/7", None)).cursor
    session.send("hello")
    shop.work()
    first = [
        json.loads(line)
        for line in shop.run("--json", "follow", "clerk/7", "--after", start, "--most", "2").stdout.splitlines()
    ]
    assert [(item["item"], item.get("entry"), item.get("state")) for item in first] == [
        ("entry", 1, "delivered"),
        ("entry", 1, "admitted"),
    ]
    rest = shop.run("follow", "clerk/7", "--after", first[-1]["cursor"], "--most", "1").stdout
    assert "turn_started" in rest or "commit 1 with" in rest
    assert shop.run("follow", "clerk/8").exit_code == 3
    foreign = shop.run("follow", "clerk/7", "--after", "x:1")
    assert (foreign.exit_code, foreign.stderr) == (
        2,
        "wakeline: 'x:1' is no cursor of this session. Follow it without a cursor, or from the cursor of one of "
        "its items.\n",
    )
