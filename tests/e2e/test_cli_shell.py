"""The command line as a shell sees it: options and their variables, entry points, pipes, terminals, completion."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import click
import pytest
from wakeline_workers.cli import cli
from wakeline_workers.cli.root import Root

from tests.e2e.shop import BIN, MODULE, Shop
from tests.e2e.terminals import shown_in

# -- the shell


def test_app_and_json_may_stand_before_or_after_the_command(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAKELINE_APP")
    for words in (
        ["-A", "cli_app:app", "--json", "ps"],
        ["ps", "-A", "cli_app:app", "--json"],
        ["--json", "ps", "--app", "cli_app:app"],
    ):
        assert shop.run(*words).stdout == "[]\n"


def test_every_command_takes_app_and_json_and_a_variable_for_every_option(shop: Shop) -> None:
    expected = [
        "answer",
        "approvals",
        "attachments",
        "cancel",
        "clock",
        "completion",
        "config",
        "demo",
        "dev",
        "doctor",
        "effects",
        "events",
        "follow",
        "health",
        "metrics",
        "prune",
        "ps",
        "queues",
        "redrive",
        "release",
        "resolve",
        "retry",
        "secret",
        "send",
        "session",
        "sessions",
        "show",
        "signal",
        "skip",
        "start",
        "top",
        "tree",
        "triggers",
        "version",
        "waits",
        "wakes",
        "web",
        "why",
        "worker",
        "workers",
    ]
    assert sorted(cli.commands) == expected
    for name, command in [(name, cli.chosen(name)) for name in expected]:
        described = shop.run(name, "--help").stdout
        assert "-A, --app MODULE:APP" in described, name
        assert "--json" in described, name
        own = [p for p in command.params if p.param_type_name == "option" and p.name not in ("app", "json")]
        assert described.replace("\n", " ").count("var:") == len(own), name


def test_options_come_from_their_variables(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_JSON", "1")
    monkeypatch.setenv("WAKELINE_START_ID", "from-the-environment")
    monkeypatch.setenv("WAKELINE_PS_LIMIT", "1")
    assert json.loads(shop.text("start", "refund", "[7]")) == {"id": "from-the-environment"}
    monkeypatch.delenv("WAKELINE_START_ID")
    shop.text("start", "refund", "[7]")
    assert len(json.loads(shop.run("ps").stdout)) == 1


@pytest.mark.parametrize(
    "program", [[str(BIN / "wakeline")], [str(BIN / "wl")], MODULE], ids=["wakeline", "wl", "python -m"]
)
def test_every_entry_point_works(shop: Shop, program: list[str]) -> None:
    done = subprocess.run([*program, "version", "--json"], capture_output=True, text=True, check=True)
    assert sorted(json.loads(done.stdout)) == ["format", "python", "redis", "rq", "wakeline"]
    missing = subprocess.run([*program, "show", "nothing-1"], capture_output=True, text=True, check=False)
    assert (missing.returncode, missing.stdout) == (3, "")
    assert missing.stderr == "wakeline: There is no process 'nothing-1'. Check the id and the namespace.\n"


def test_a_terminal_gets_headings_and_a_word_about_nothing(shop: Shop) -> None:
    assert shown_in(80, "ps", NO_COLOR="1") == ["no processes"]
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    heading, row = shown_in(80, "ps", NO_COLOR="1")
    assert heading.split() == ["ID", "STATUS", "KIND", "AGE", "WAITING", "FOR,", "ERROR"]
    assert row.split()[:3] == ["refund-7", "queued", "refund"]


def test_a_reader_that_leaves_early_causes_no_traceback(shop: Shop) -> None:
    for n in range(3):
        shop.text("start", "charge", "[1, 2]", "--id", f"charge-{n}")
    line = " ".join([*MODULE, "ps"]) + " | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert (done.stdout.split()[1], done.stderr) == ("queued", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_both_names(shop: Shop, shell: str) -> None:
    script = shop.run("completion", shell).stdout
    assert f"_WAKELINE_COMPLETE={shell}_complete" in script
    assert f"_WL_COMPLETE={shell}_complete" in script


def test_completion_knows_commands_bodies_and_ids(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "refund-7")

    def offered(words: str) -> list[str]:
        env = os.environ | {
            "_WAKELINE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        done = subprocess.run([str(BIN / "wakeline")], env=env, capture_output=True, text=True, check=False)
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    assert offered("wakeline sh") == ["show"]
    assert offered("wakeline start re") == ["refund"]
    assert offered("wakeline show ref") == ["refund-7"]
    assert offered("wakeline -A nosuch:app show ref") == []


def test_every_command_takes_the_options_that_all_share() -> None:
    def below(group: click.Group, words: str = "") -> Iterator[tuple[str, click.Command]]:
        for name in group.commands:
            made = group.chosen(name) if isinstance(group, Root) else group.commands[name]
            yield f"{words}{name}", made
            if isinstance(made, click.Group):
                yield from below(made, f"{words}{name} ")

    found = {name: {option for one in made.params for option in one.opts} for name, made in below(cli)}
    assert {"secret rotate", "queues pause", "triggers emit"} <= found.keys()
    assert [name for name, options in found.items() if not {"-A", "--app", "--json"} <= options] == []
