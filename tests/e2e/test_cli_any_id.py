"""People name processes and sessions as they please: real commands and a real worker, with an email, a telephone
number, a URL and names of any script."""

from __future__ import annotations

import json
import re
import shlex
import signal

import pytest
from wakeline.sessions.addresses import argument

from tests.e2e.shop import Shop, until

IDS = [
    "zoe@example.com",
    "+49 (0)30 1234",
    "U024BE7LH",
    "https://example.com/a?b=c#3",
    "Zoë",
    "日本",
    "clerk/1",
    "{x}*",
    "it's #1",
    "-x",
]


def command(shop: Shop, *words: str) -> str:
    """What a command in a process of its own prints; it succeeds."""
    with shop.spawn(*words) as running:
        out, problems = running.communicate(timeout=60)
    assert (running.returncode, problems) == (0, "")
    return out


def test_ids_of_people_go_through_every_command(shop: Shop) -> None:
    for own in IDS:
        assert command(shop, "start", "refund", "[7]", "--id", own) == f"{own}\n"
        assert command(shop, "send", f"clerk/{own}", "hello") == f"entry 1 of clerk/{own}\n"
    with shop.spawn("worker", "-n", "1") as worker:
        for own in IDS:
            until(lambda own=own: shop.json("show", "--", own)["status"] == "waiting")
            command(shop, "signal", "--key", own, "--", own, "decision", "true")
        for own in IDS:
            until(lambda own=own: shop.json("show", "--", own)["status"] == "completed")
            until(lambda own=own: shop.text("why", f"clerk/{own}") == "the session has nothing to read\n")
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)
    for own in IDS:
        assert "order 7: -500, approved" in command(shop, "show", "--", own)
        assert json.loads(shop.text("--json", "events", "--", own).splitlines()[-1])["type"] == "process.completed"
        assert own in [row["id"] for row in shop.json("ps", "--status", "completed")]
        assert shop.text("retry", "--", own) == f"{own}~r1\n"
        assert shop.run("cancel", "--", f"{own}~r1").exit_code == 0
        assert (
            shop.text("why", "--", f"{own}#1")
            == f"event 1 of {own} (process.started) wakes no session: the process has none to wake\n"
        )
        assert [(row["session"], row["n"], row["state"]) for row in shop.json("wakes", f"clerk/{own}")] == [
            (f"clerk/{own}", 1, "settled")
        ]
        assert re.match("turn process:turn:.* read it and ended", command(shop, "why", f"clerk/{own}#1"))
        assert shop.json("session", f"clerk/{own}", "--delete")["deleted"]


def test_what_a_message_suggests_can_be_typed() -> None:
    for own in IDS:
        for text in (own, f"clerk/{own}#1"):
            assert shlex.split(argument(text)) == [text]
    assert [argument(text) for text in ("clerk/1#3", "a~r1", "#1", "~x", "a b", "日本")] == [
        "clerk/1#3",
        "a~r1",
        "'#1'",
        "'~x'",
        "'a b'",
        "'日本'",
    ]


@pytest.mark.parametrize("wrong", ["a\nb", "", "x" * 201, "\x1b[31m", "\u202ea"])
def test_an_id_that_is_no_printable_text_is_refused_and_none_of_it_reaches_the_terminal(shop: Shop, wrong: str) -> None:
    _ = shop.app.store.secret
    before = shop.keys()
    for words in (("start", "refund", "[7]", "--id", wrong), ("send", f"clerk/{wrong}", "hello")):
        refused = shop.run(*words)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "it has to match 1 to 200 bytes of printable text, not all of it blank" in refused.stderr
        assert "\x1b" not in refused.stderr and "\u202e" not in refused.stderr and refused.stderr.count("\n") == 1
    assert shop.run("show", "--", wrong).exit_code == 3
    assert shop.keys() == before


def test_an_address_that_can_be_read_in_two_ways_means_what_is_there(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "clerk/1")
    shop.text("send", "clerk/general#2", "hello")
    nothing = shop.run("why", "clerk/1#9")
    assert (nothing.exit_code, nothing.stdout) == (3, "")
    assert nothing.stderr.startswith("wakeline: Process 'clerk/1' has no event 9; it is queued, and its latest is 0.")
    assert shop.json("why", "clerk/1#9", code=3)["error"]["code"] == "event_not_found"
    assert "it waits in the inbox" in shop.text("why", "clerk/general#2#1")
    assert shop.text("why", "clerk/general#2").startswith("turn process:turn:")
    for _ in range(2):
        shop.text("send", "clerk/general", "hello")
    assert shop.text("why", "clerk/general#2").startswith("it waits in the inbox")
    assert (shop.run("why", "clerk/general#3").exit_code, shop.run("redrive", "clerk/general#3").exit_code) == (3, 3)
