"""What terminals show: tables of 80 and 40 cells, and text of others that no terminal gets as it is, in any command."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest
from wakeline.store import feed, owners
from wakeline_workers import cli as command_line
from wakeline_workers.cli import cli
from wakeline_workers.cli.tables import columns

from tests.e2e.shop import MODULE, Shop, until
from tests.e2e.terminals import plain, shown_in

HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202e\x9b31m\u200bname\x00\x08 日本 e\u0301"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e]")
LISTS = ("ps", "workers", "queues", "sessions", "wakes", "triggers", "waits", "approvals", "attachments", "config")
ELSEWHERE = {
    "clock": "logs, of which tests/unit/test_shown.py knows",
    "completion": "the name of a shell",
    "demo": "an app of its own",
    "dev": "logs, and what bodies print, which is theirs",
    "redrive": "a session that stands on its line, and a number",
    "secret": "words of its own",
    "skip": "a session that stands on its line, and a number",
    "version": "words of its own",
    "web": "logs",
    "worker": "logs, and what bodies print, which is theirs",
}
"""Commands that show no text of others, or in another way, and which."""
LONG = "refund-of-a-customer-with-a-long-name-7"


@pytest.fixture
def hostile(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """An app whose users say what a terminal would obey, wherever they may."""
    monkeypatch.setenv("WAKELINE_APP", "hostile_app:app")
    from hostile_app import app, asks, raises, waits

    app.session("clerk", "u1").create()
    monkeypatch.setenv("CURSOR", app.store.execute(feed.follow("clerk/u1", None)).cursor)
    app.using(id="asks-1", labels={"of": HOSTILE}).start(asks, HOSTILE)
    app.using(id="waits-1", labels={HOSTILE: "x"}).start(waits, HOSTILE)
    app.using(id="fails-1").start(raises, HOSTILE)
    app.session("clerk", "u1").send(HOSTILE, key=HOSTILE)
    app.trigger("paid").subscribe(raises, name="on-paid", input={"text": HOSTILE})
    app.attachments.put(HOSTILE.encode(), "text/plain")
    app.attachments.put(b"\x1b\xff", "image/png")
    app.store.execute(owners.register_owner("o_1", ["hostile"], lease_ms=600_000, release=HOSTILE))
    with shop.spawn("worker", "-n", "1", "--burst") as worker:
        worker.communicate(timeout=60)
    until(lambda: app.handle("asks-1").status().status == "waiting")
    yield shop
    app.close()


IN_ARGV = HOSTILE.replace("\x00", "")
PRINTING: list[tuple[int, tuple[str, ...]]] = [
    (0, ("ps",)),
    (0, ("show", "asks-1")),
    (0, ("show", "fails-1")),
    (0, ("events", "asks-1")),
    (0, ("events", "fails-1")),
    (0, ("effects", "asks-1")),
    (0, ("tree", "asks-1")),
    (0, ("tree", "fails-1")),
    (0, ("why", "asks-1")),
    (0, ("why", "fails-1")),
    (0, ("why", "clerk/u1")),
    (0, ("waits",)),
    (0, ("workers",)),
    (0, ("queues",)),
    (0, ("sessions",)),
    (0, ("session", "clerk/u1")),
    (0, ("wakes",)),
    (0, ("wakes", "--undeliverable")),
    (0, ("follow", "clerk/u1", "--after", "$CURSOR", "--most", "2")),
    (0, ("triggers",)),
    (0, ("approvals",)),
    (0, ("attachments",)),
    (0, ("attachments", "get", "$TEXT")),
    (2, ("attachments", "get", "$IMAGE")),
    (0, ("config",)),
    (0, ("config", "--explain")),
    (0, ("metrics",)),
    (1, ("doctor",)),
    (1, ("health",)),
    (0, ("release",)),
    (0, ("top", "--once", "--every", "0.2")),
    (0, ("prune", "--all", "--dry-run")),
    (0, ("send", "clerk/u2", IN_ARGV)),
    (0, ("start", "says", '{"text": "\\u001b[2J\\u202e"}')),
    (0, ("signal", "waits-1", "go", '"\\u001b[2J"')),
    (0, ("cancel", "waits-1", "--reason", IN_ARGV)),
    (0, ("retry", "fails-1")),
    (3, ("answer", IN_ARGV)),
    (3, ("resolve", f"wt1.{IN_ARGV}")),
    (3, ("show", IN_ARGV)),
    (2, (IN_ARGV,)),
    (2, ("ps", "--label", IN_ARGV)),
    (2, ("-A", f"{IN_ARGV}:app", "ps")),
]


def test_no_terminal_obeys_what_others_have_said(hostile: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_\x1b[31mLEASE", HOSTILE.replace("\x00", ""))
    monkeypatch.setenv("WAKELINE_PS_LABEL", "")
    named = {"image/png": "$IMAGE", "text/plain": "$TEXT"}
    given = {named[one["media_type"]]: one["id"] for one in hostile.json("attachments")}
    given["$CURSOR"] = os.environ["CURSOR"]
    told = {}
    for code, words in PRINTING:
        typed = [given.get(word, word) for word in words]
        lines = shown_in(80, *typed, code=code, NO_COLOR="1")
        assert [line for line in lines if OBEYED.search(line)] == [], words
        told[" ".join(words)] = "\n".join(lines)
        assert not any(line.startswith("Traceback") for line in lines), (words, lines)
    # What was said is there, as escapes.
    for words in ("show asks-1", "events asks-1", "why fails-1", "attachments get $TEXT"):
        assert re.search(r"\\(x|u00)1b\[2J", told[words]) and "日本" in told[words], (words, told[words])
    assert "These bytes are no text, and standard output is a terminal" in told["attachments get $IMAGE"]


def test_every_command_that_shows_text_of_others_is_tried() -> None:
    assert sorted({words[0] for _, words in PRINTING} & cli.commands.keys() | ELSEWHERE.keys()) == sorted(cli.commands)


def test_commands_print_through_the_console_alone() -> None:
    found = []
    for path in sorted(Path(command_line.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
            if text in ("click.echo", "click.secho", "print", "sys.stdout", "sys.stderr", "sys.__stdout__", "os.write"):
                found.append(f"{path.name} {text}")
    assert {one for one in found if not one.startswith("console.py ")} == {
        "fleet.py click.echo",  # a line that a user types, which is no entry of a log
        "fleet.py sys.stderr",  # where the story of the demo goes under --json
        "root.py click.echo",  # the script of the completion
        "root.py sys.stderr",  # flushed, once its reader is gone
        "root.py sys.stdout",
        "screen.py os.write",  # to a pipe of its own, to wake itself
        "screen.py sys.stdout",  # what the console drew, and where it stands
    }


# -- how wide a table is


@pytest.fixture
def full(busy: Shop) -> Shop:
    """A shop with something long in every list."""
    busy.text("start", "refund", "[8]", "--id", LONG)
    busy.text("send", "clerk/u1", "日本語のテキスト " * 20)
    busy.app.trigger("order.paid.by.a.card.of.a.bank").subscribe(busy.app.registry.tools["charge"], name="a-name")
    busy.app.attachments.put(b"x", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
    busy.app.store.execute(owners.register_owner("o_1", ["shop", "shop.night"], lease_ms=600_000, release="v" * 60))
    return busy


@pytest.mark.parametrize("width", [80, 40])
def test_no_list_is_wider_than_its_terminal_and_no_id_is_cut(full: Shop, width: int) -> None:
    for name in LISTS:
        lines = shown_in(width, name, NO_COLOR="1")
        rows = [line for line in lines if not line.startswith("wakeline: ")]
        alone = [line for line in rows if columns(line) > width]
        assert [line for line in alone if " " in line] == [], name  # an id on a line of its own
        assert len(rows) > 1, name
    assert any(LONG in line for line in shown_in(width, "ps", NO_COLOR="1"))


def test_a_column_that_has_no_room_is_named_and_a_pipe_has_all_of_it(full: Shop) -> None:
    *rows, note = shown_in(40, "approvals", NO_COLOR="1")
    assert note == "wakeline: no room for PROCESS, UNTIL; a wider terminal or --json has all"
    assert rows[0].split() == ["ID", "WHAT", "NAME", "QUESTION", "SINCE"]
    piped = subprocess.run([*MODULE, "wakes"], capture_output=True, text=True, check=True).stdout
    assert "日本語のテキスト " * 20 in piped


def test_labels_are_the_first_that_give_way_and_no_column_without_any(shop: Shop) -> None:
    charge = shop.app.registry.tools["charge"]
    shop.app.using(id="plain").start(charge, 1, 2)
    assert shown_in(80, "ps", NO_COLOR="1")[0].split()[-1] == "ERROR"
    shop.app.using(id="labelled", labels={"tenant": "acme inc", "tier": "gold"}).start(charge, 1, 2)
    heading, labelled, unlabelled = shown_in(200, "ps", NO_COLOR="1")
    assert heading.split()[-1] == "LABELS"
    assert labelled.endswith("  'tenant=acme inc' tier=gold")
    assert unlabelled.startswith("plain")
    heading, _, _, note = shown_in(62, "ps", NO_COLOR="1")
    assert heading.split() == ["ID", "STATUS", "KIND", "AGE", "WAITING", "FOR,", "ERROR"]
    assert note == "wakeline: no room for LABELS; a wider terminal or --json has all"
    assert [row["labels"] for row in shop.json("ps")] == [{"tenant": "acme inc", "tier": "gold"}, {}]


def test_a_failed_process_says_the_first_line_of_its_error(shop: Shop) -> None:
    shop.text("start", "decline", "[7]", "--id", "declined")
    shop.work()
    [row] = shop.text("ps", "--status", "failed").splitlines()
    assert re.split("  +", row)[4] == "ValueError: order 7 has no card"


def test_a_terminal_has_colours_unless_it_is_dumb_or_the_user_wants_none(busy: Shop) -> None:
    def coloured(**env: str) -> bool:
        lines = shown_in(80, "ps", **env)
        assert any(plain(line).startswith("refund-7") for line in lines)
        return "\x1b[33mwaiting\x1b[0m" in "".join(lines)

    assert coloured()
    assert not coloured(NO_COLOR="1")
    assert coloured(NO_COLOR="")
    assert not coloured(TERM="dumb")
    assert coloured(TERM="dumb", FORCE_COLOR="1")
    assert not coloured(NO_COLOR="1", FORCE_COLOR="1")


def test_a_pipe_has_no_colours_unless_they_are_asked_for(busy: Shop) -> None:
    def piped(*words: str, **env: str) -> str:
        kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        return subprocess.run(
            [*MODULE, *words], env=kept | {"TERM": "xterm"} | env, capture_output=True, text=True, check=True
        ).stdout

    assert "\x1b" not in piped("ps")
    assert "\x1b[33mwaiting\x1b[0m" in piped("ps", FORCE_COLOR="1")
    assert "\x1b" not in piped("--json", "ps", FORCE_COLOR="1")
