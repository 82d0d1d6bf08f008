"""What the command line loads: the help and the completion of its commands load none of them, a command loads itself
when it is chosen."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from wakeline_workers.cli import COMMANDS, cli
from wakeline_workers.cli.root import Later, Root

HEAVY = {
    "asyncio",
    "croniter",
    "jsonschema",
    "pydantic",
    "redis",
    "rq",
    "wakeline.app",
    "wakeline.store",
    "wakeline.run",
    "wakeline.body",
    "wakeline.client",
}
"""What takes most of the time of a start, and what of ours brings it."""
CLIENT = {"asyncio", "redis", "rq", "wakeline.app", "wakeline.client", "wakeline.run", "wakeline.body"}
"""What a command needs once it does something."""
SHARED = {"wakeline_workers.cli.console", "wakeline_workers.cli.root"}
"""What all commands share."""
LOADED = """
import json, sys
from wakeline_workers.cli import main
sys.argv[0] = "wakeline"
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def loaded(*words: str, **more: str) -> tuple[int, str, set[str]]:
    """The exit code, what was printed, and which modules were imported for it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WAKELINE", "_WAKELINE"))}
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words], env=kept | more, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--help"], 0, "  start        Start an engine or a tool."),
        (["-h"], 0, "  worker "),
        (["completion", "bash"], 0, "_WAKELINE_COMPLETE=bash_complete"),
        (["completion", "--help"], 0, "Print a shell's completion script."),
        (["nosuch"], 2, ""),
        (["--nosuch"], 2, ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_about_no_command_loads_none(words: list[str], code: int, says: str) -> None:
    ended, printed, modules = loaded(*words)
    assert ended == code
    assert says in printed
    assert {name for name in modules if name.startswith("wakeline_workers.cli.")} == SHARED
    assert modules & HEAVY == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(("given", "offered"), [("", sorted(cli.commands)), ("si", ["signal"])])
def test_the_completion_of_a_commands_name_loads_none(shell: str, given: str, offered: list[str]) -> None:
    asked = {
        "_WAKELINE_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": f"wakeline {given}",
        "COMP_CWORD": given if shell == "fish" else "1",
    }
    _, printed, modules = loaded(**asked)
    assert [name for name in offered if name not in printed] == []
    assert ("Send a signal to a process." in printed) is (shell != "bash")
    assert modules & HEAVY == set()


@pytest.mark.parametrize("name", [name for names in COMMANDS.values() for name in names])
def test_the_help_of_a_command_loads_neither_the_app_nor_a_client(name: str) -> None:
    code, printed, modules = loaded(name, "--help")
    assert code == 0
    assert f"Usage: wakeline {name} " in printed
    assert modules & CLIENT == set()


def test_the_completion_of_an_option_loads_neither_the_app_nor_a_client() -> None:
    _, printed, modules = loaded(_WAKELINE_COMPLETE="bash_complete", COMP_WORDS="wakeline start --un", COMP_CWORD="2")
    assert printed == "plain,--unique\n"
    assert modules & CLIENT == set()


def test_a_chosen_command_loads_the_file_of_its_noun_alone() -> None:
    _, printed, modules = loaded("queues", "--help")
    assert "List queues and limits, or pause, resume." in printed
    assert {name for name in modules if name.startswith("wakeline_workers.cli.")} == {
        "wakeline_workers.cli.queues",
        "wakeline_workers.cli.watching",
        *SHARED,
    }


@pytest.mark.parametrize(("file", "name"), [(file, name) for file, names in COMMANDS.items() for name in names])
def test_the_list_says_of_a_command_what_the_command_says_in_its_file(file: str, name: str) -> None:
    later, command = Later(name, COMMANDS[file][name], "unused"), cli.chosen(name)
    assert command.callback is not None
    assert command.callback.__module__ == f"wakeline_workers.cli.{file}"
    for limit in (20, 45, 120, 1000):
        assert later.get_short_help_str(limit) == command.get_short_help_str(limit)


def test_no_file_declares_a_command_that_no_list_has() -> None:
    listed = {name for names in COMMANDS.values() for name in names} | {"completion", "version"}
    assert {name for name in cli.commands if not isinstance(cli.chosen(name), Later)} == listed


def test_a_list_that_names_a_command_its_file_does_not_declare_is_a_bug_that_shows() -> None:
    group = Root("group")
    group.expect("json", {"nosuch": "It is not there."})
    with pytest.raises(LookupError, match="json declares no command 'nosuch'"):
        group.chosen("nosuch")
