"""Commands for many: they count, show, ask, and say how far they are; nothing is done that was not confirmed."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.shop import MODULE, Shop, events_of, ids, until
from tests.e2e.terminals import Terminal


def ended(shop: Shop, n: int, name: str = "e") -> None:
    for i in range(n):
        shop.app.external("ci", id=f"{name}{i:04}").finish()


def typed(words: list[str], answer: str) -> tuple[int, str]:
    """A command in a terminal, whose user types an answer once it is asked: the exit code and the screen."""
    with Terminal(*words, NO_COLOR="1") as terminal:
        if answer:
            terminal.until("to go on")
            time.sleep(0.2)  # Python's own input() loses a Ctrl-C that comes right before it reads
            terminal.type(answer)
        code = terminal.left()
        return code, terminal.said.decode().replace("\r\n", "\n")


# -- prune


def test_prune_with_yes_prints_what_it_did_and_tells_on_stderr_what_it_meant(shop: Shop) -> None:
    ended(shop, 3)
    result = shop.run("prune", "--status", "completed", "--yes")
    assert (result.exit_code, result.stdout) == (0, "3 pruned, of 3\n")
    assert result.stderr == "wakeline: prune: 3 match: e0002, e0001, e0000\nwakeline: 3 of 3\n"
    assert ids(shop) == []
    assert shop.run("show", "e0000").exit_code == 3


def test_prune_as_json_is_the_report(shop: Shop) -> None:
    ended(shop, 1)
    assert shop.json("prune", "--all", "--expect", "1") == {
        "matched": 1,
        "done": 1,
        "unchanged": 0,
        "refused": 0,
        "refusals": [],
        "examples": ["e0000"],
        "key": None,
    }


def test_a_person_types_the_number(shop: Shop) -> None:
    ended(shop, 2)
    code, screen = typed(["prune", "--all"], "2\n")
    assert (code, screen.splitlines()[-1]) == (0, "2 pruned, of 2")
    assert "2 match: e0001, e0000\n2 processes: type 2 to go on: 2\n" in screen
    assert ids(shop) == []


@pytest.mark.parametrize("answer", ["\n", "y\n", "yes\n", "22\n"])
def test_anything_but_the_number_does_nothing_and_exits_1(shop: Shop, answer: str) -> None:
    ended(shop, 2)
    code, screen = typed(["prune", "--all"], answer)
    assert (code, screen.splitlines()[-1]) == (1, "Error: nothing was done: 2 was to be typed")
    assert len(ids(shop)) == 2


def test_ctrl_c_at_the_question_does_nothing_and_exits_130(shop: Shop) -> None:
    ended(shop, 2)
    assert typed(["prune", "--all"], "\x03")[0] == 130
    assert len(ids(shop)) == 2


def test_without_a_terminal_it_asks_no_one_and_says_what_to_type(shop: Shop) -> None:
    ended(shop, 1)
    done = subprocess.run([*MODULE, "prune", "--all"], input="1\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no terminal to ask at. Give --yes, --expect N, or --dry-run." in done.stderr
    assert ids(shop) == ["e0000"]


def test_yes_needs_no_terminal(shop: Shop) -> None:
    ended(shop, 1)
    done = subprocess.run(
        [*MODULE, "prune", "--all", "--yes"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1 pruned, of 1\n")


def test_more_than_were_expected_is_a_conflict(shop: Shop) -> None:
    ended(shop, 3)
    result = shop.run("prune", "--all", "--expect", "2")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "prune did nothing: 3 match by now, and 2 were confirmed" in result.stderr
    assert len(ids(shop)) == 3


def test_no_filter_is_refused_and_nothing_that_matches_is_fine(shop: Shop) -> None:
    refused = shop.run("prune", "--yes")
    assert (refused.exit_code, "--all" in refused.stderr) == (2, True)
    for words in (["--status", "failed", "--yes"], ["--status", "failed", "--expect", "3"], ["--all", "--dry-run"]):
        result = shop.run("prune", *words)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "nothing matches\n", "")


def test_a_dry_run_counts_and_does_nothing(shop: Shop) -> None:
    ended(shop, 7)
    assert shop.text("prune", "--all", "--dry-run") == "7 match: e0006, e0005, e0004, e0003, e0002, …\n"
    assert len(ids(shop)) == 7


def test_what_had_to_stay_is_listed_and_exits_1(shop: Shop) -> None:
    ended(shop, 2)
    shop.redis.sadd(shop.app.store.address.prefix + "waiters:e0000", "slot")
    result = shop.run("prune", "--all", "--yes")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "1 pruned, 1 refused, of 2",
        "e0000: untold: a process that waits for it has not been told of its end yet; try again in a moment",
    ]


def test_ctrl_c_in_the_middle_says_how_far_it_came_and_the_same_command_goes_on(shop: Shop) -> None:
    ended(shop, 1_500)
    pruning = shop.spawn("prune", "--all", "--yes", stdin=subprocess.DEVNULL)
    assert pruning.stderr is not None
    until(lambda: pruning.stderr and pruning.stderr.readline() == "wakeline: 100 of 1500\n")
    pruning.send_signal(signal.SIGINT)
    output, problems = pruning.communicate(timeout=20)
    assert (pruning.returncode, output) == (130, "")
    left = len(ids(shop, "--limit", "2000"))
    assert 0 < left < 1_500
    last = problems.strip().splitlines()[-1]
    assert last.startswith("wakeline: prune ended after ")
    assert last.endswith("of 1500; the same command goes on")
    assert shop.json("prune", "--all", "--yes")["done"] == left
    assert ids(shop) == []


def test_a_reader_of_its_progress_that_leaves_does_not_end_it(shop: Shop, tmp_path: Path) -> None:
    ended(shop, 300)
    line = " ".join([*MODULE, "prune", "--all", "--yes"]) + f" 2>&1 >{tmp_path / 'out'} | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("wakeline: prune: 300 match")
    until(lambda: ids(shop) == [])
    assert (tmp_path / "out").read_text() == "300 pruned, of 300\n"


# -- cancel, retry, signal, redrive


def test_cancel_retry_and_signal_take_a_filter_in_place_of_an_id(shop: Shop) -> None:
    for n in range(3):
        shop.app.using(id=f"refund-{n}", labels={"tenant": "a" if n else "b"}).start(
            shop.app.registry.engines["refund"], n
        )
    shop.work()
    signalled = shop.run("signal", "decision", "true", "--label", "tenant=b", "--yes")
    assert (signalled.exit_code, signalled.stdout) == (0, "1 signalled, of 1\n")
    shop.work()
    assert shop.text("cancel", "--name", "refund", "--dry-run").startswith("2 match: refund-")
    assert shop.json("cancel", "--name", "refund", "--status", "waiting", "--expect", "2")["done"] == 2
    shop.work()
    again = shop.run("retry", "--status", "cancelled", "--yes")
    assert (again.exit_code, again.stdout) == (0, "2 run again, of 2\n")
    assert ids(shop, "--status", "queued") == ["refund-1~r1", "refund-2~r1"]


def test_a_redrive_of_all_that_failed_counts_entries(shop: Shop) -> None:
    code, screen = typed(["redrive", "--state", "failed"], "")
    assert (code, screen) == (0, "nothing matches\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cancel"], "Missing argument 'ID', or a filter for many, such as --status."),
        (["cancel", "x", "--status", "waiting", "--yes"], "Give ID for one, or a filter for many."),
        (["retry", "x", "--yes"], "Options about many go with a filter."),
        (["signal", "x"], "`wakeline signal` takes ID NAME [JSON]."),
        (["signal", "a", "b", "c", "--all", "--yes"], "`wakeline signal` takes NAME [JSON], with a filter."),
        (["signal", "go", "{", "--all", "--yes"], "The payload"),
        (["cancel", "--status", "completed", "--yes"], "'completed' is not one of"),
        (["cancel", "--label", "tenant", "--yes"], "is not KEY=VALUE"),
        (["cancel", "--beginning", "ref", "--yes"], "6 characters or more"),
        (["redrive"], "Missing argument 'AGENT/KEY[#N]', or a filter for many"),
    ],
)
def test_a_command_that_means_neither_one_nor_many_does_nothing(shop: Shop, words: list[str], told: str) -> None:
    shop.app.external("ci", id="x")
    result = shop.run(*words)
    assert (result.exit_code, told in result.stderr) == (2, True), result.stderr
    assert shop.json("show", "x")["cancel_requested"] is False


def test_a_signal_to_many_that_is_interrupted_says_under_which_key_it_goes_on(shop: Shop) -> None:
    for n in range(250):
        shop.app.using(id=f"refund-{n:03}").start(shop.app.registry.engines["refund"], n)
    command = [*MODULE, "signal", "decision", "true", "--status", "queued", "--yes"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        first = [running.stderr.readline(), running.stderr.readline()]
        running.send_signal(signal.SIGINT)
        said = "".join(first) + running.stderr.read()
    key = re.search(r"--key (many-[0-9a-f]+)", said)
    if running.returncode == 0:
        pytest.skip("it was done before the signal came")
    assert (running.returncode, key is not None) == (130, True), said
    assert key is not None
    report = shop.json("signal", "decision", "true", "--status", "queued", "--yes", "--key", key[1])
    assert (report["matched"], report["done"] + report["unchanged"]) == (250, 250)
    assert report["unchanged"] >= 100
    assert [
        len([one for one in events_of(shop, f"refund-{n:03}") if one["type"] == "signal.decision"]) for n in (0, 249)
    ] == [1, 1]
