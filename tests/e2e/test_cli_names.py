"""A name that has to exist and does not is refused by every command that takes one, with exit code 2 or 3, and nothing
is written."""

from __future__ import annotations

import pytest

from tests.e2e.shop import Shop

TYPOS: dict[tuple[str, ...], int] = {
    ("queues", "pause", "slwo"): 2,
    ("queues", "pause", "charge"): 2,  # a body, and what `queues` lists its limit as
    ("queues", "resume", "slwo"): 2,
    ("start", "chrage"): 2,
    ("show", "nobody-1"): 3,
    ("events", "nobody-1"): 3,
    ("effects", "nobody-1"): 3,
    ("tree", "nobody-1"): 3,
    ("signal", "nobody-1", "decision", "true"): 3,
    ("cancel", "nobody-1"): 3,
    ("retry", "nobody-1"): 3,
    ("send", "clrek/desk-1", "hello"): 2,
    ("session", "clerk/nobody"): 3,
    ("session", "clrek/desk-1", "--create"): 2,
    ("wakes", "clerk/nobody"): 3,
    ("skip", "clerk/nobody"): 3,
    ("redrive", "clerk/nobody#1"): 3,
    ("why", "clerk/nobody"): 3,
    ("triggers", "enable", "github.push", "typo"): 3,
    ("triggers", "disable", "github.push", "typo"): 3,
    ("triggers", "remove", "github.push", "typo"): 3,
    ("attachments", "get", "sha256:" + "0" * 64): 3,
}


@pytest.mark.parametrize("words", TYPOS, ids=" ".join)
def test_a_name_that_is_not_there_is_refused_and_nothing_is_written(shop: Shop, words: tuple[str, ...]) -> None:
    _ = shop.app.store.secret
    before = shop.keys()
    refused = shop.run(*words)
    assert (refused.exit_code, refused.stdout) == (TYPOS[words], ""), refused.output
    assert refused.stderr.startswith("wakeline: ")
    assert shop.keys() == before


def test_a_worker_that_is_given_a_queue_of_no_body_says_so(shop: Shop) -> None:
    for queue, said in (("slwo", True), ("slow", False), ("shop", False)):
        _, problems = shop.spawn("worker", "-Q", queue, "--burst").communicate(timeout=60)
        assert ("no body of this app is named for queue 'slwo'" in problems) is said


def test_a_queue_that_is_refused_is_answered_with_those_that_are_known(shop: Shop) -> None:
    refused = shop.run("queues", "pause", "slwo")
    assert (
        refused.stderr
        == "wakeline: No queue is named 'slwo'; known: shop, slow. Register it, or include the module that does.\n"
    )


def test_a_queue_that_no_body_names_is_paused_while_something_waits_in_it_and_resumed_after_that(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--queue", "night")
    assert shop.text("queues", "pause", "night") == "paused\n"
    shop.redis.delete("rq:queue:shop.night")
    assert shop.text("queues", "resume", "night") == "resumed\n"
    assert shop.text("queues", "pause", "shop") == "paused\n"
