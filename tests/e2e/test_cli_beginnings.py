"""A process is named by the beginning of its id, in every command that takes one."""

from __future__ import annotations

import re

import pytest
from wakeline_workers.cli import cli
from wakeline_workers.cli.lookup import complete_process

from tests.e2e.shop import Shop, until

LOOKS: dict[str, tuple[str, ...]] = {
    "show": ("show", "{}"),
    "events": ("events", "{}"),
    "effects": ("effects", "{}"),
    "tree": ("tree", "{}"),
    "why": ("why", "{}"),
    "why of an event": ("why", "{}#1"),
    "ps": ("ps", "--parent", "{}"),
    "attachments": ("attachments", "--owner", "process:{}"),
}
ACTS: dict[str, tuple[str, ...]] = {
    "signal": ("signal", "{}", "decision", "true"),
    "cancel": ("cancel", "{}"),
    "retry": ("retry", "{}"),
}
TAKE_AN_ID = {**LOOKS, **ACTS}


def typed(words: tuple[str, ...], pid: str) -> tuple[str, ...]:
    return tuple(word.format(pid) for word in words)


def of(name: str) -> str:
    """A process that a command can do something to."""
    return "archive-1" if name == "retry" else "the-child" if name == "tree" else "refund-7"


def test_these_are_the_commands_that_take_the_id_of_a_process() -> None:
    found = {
        name
        for name in cli.commands
        for one in cli.chosen(name).params
        if one.name == "parent" or vars(one).get("_custom_shell_complete") is complete_process
    }
    assert found | {"attachments"} == {words[0] for words in TAKE_AN_ID.values()}


@pytest.mark.parametrize("name", TAKE_AN_ID)
def test_a_beginning_of_six_characters_is_as_good_as_the_whole_id(busy: Shop, name: str) -> None:
    words, pid = TAKE_AN_ID[name], of(name)
    done = busy.json(*typed(words, pid[:6])) if name in ACTS else busy.run(*typed(words, pid[:6]))
    if name in ACTS:
        assert done["retry_of" if name == "retry" else "id"] == pid
    else:
        whole = busy.run(*typed(words, pid))
        assert (done.exit_code, whole.exit_code) == (0, 0), done.output
        assert [re.sub(r"\d+", "0", one) for one in (done.stdout, done.stderr)] == [
            re.sub(r"\d+", "0", one) for one in (whole.stdout, whole.stderr)
        ]


@pytest.mark.parametrize("name", TAKE_AN_ID)
def test_one_that_is_shorter_or_begins_no_id_is_not_found(busy: Shop, name: str) -> None:
    for beginning in (of(name)[:5], "nothing-begins-so"):
        missing = busy.run(*typed(TAKE_AN_ID[name], beginning))
        assert (missing.exit_code, missing.stdout) == (3, "")
        assert re.match(r"wakeline: There is no (process|session) '", missing.stderr), missing.stderr


@pytest.mark.parametrize("name", TAKE_AN_ID)
def test_one_that_begins_several_ids_names_them_and_does_nothing(busy: Shop, name: str) -> None:
    pid = of(name)
    busy.text("start", "charge", "[1, 2]", "--id", f"{pid[:6]}-other")
    keys = busy.keys()
    refused = busy.run(*typed(TAKE_AN_ID[name], pid[:6]))
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"wakeline: Several processes begin with '{pid[:6]}': ")
    assert f"{pid[:6]}-other (queued charge)" in refused.stderr
    assert re.search(rf"{pid} \((waiting|completed) (refund|archive)\)", refused.stderr)
    assert {key for key in busy.keys() - keys if ":by:" not in key and not key.endswith(":indexed")} == set()


def test_the_index_answers_and_not_a_look_at_all_that_is_there(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "oldest-refund")
    rows = [{"order": n, "cents": 2} for n in range(1_000)]
    shop.app.start_many(shop.app.registry.tools["charge"], rows, ids=[f"charge-{n}" for n in range(1_000)])
    counts = shop.app.store.sent.counts

    def cost() -> int:
        before = counts.get("process_list", 0)
        assert shop.json("show", "oldest")["id"] == "oldest-refund"
        return counts["process_list"] - before

    assert cost() > 3  # all of the queued ones
    until(lambda: cost() == 1)  # what is younger than half a second is not in the index yet
