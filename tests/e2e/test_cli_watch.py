"""Lists that are shown again and again: in place in a terminal, below a line with the moment elsewhere, and past a
server that goes away."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from wakeline.embedded import PrivateServer

from tests.e2e.shop import MODULE, Shop
from tests.e2e.terminals import Terminal, plain
from tests.e2e.test_cli_ends import interrupted

ENTERED, LEFT = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
MOMENT = re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC")
LISTS = ["ps", "workers", "queues", "sessions", "wakes", "triggers", "waits", "approvals"]


def state(pid: int) -> str:
    """R, S, T (stopped), …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


# -- in a pipe


@pytest.mark.parametrize("name", LISTS)
def test_every_list_prints_again_below_a_line_with_the_moment(busy: Shop, name: str) -> None:
    running = busy.spawn(name, "--watch", "0.2")
    assert running.stdout is not None
    once, seen = len(busy.text(name).splitlines()), 0
    lines = [running.stdout.readline().rstrip("\n") for _ in range(2 * once + 3)]
    for at in (0, once + 1, 2 * once + 2):
        assert MOMENT.fullmatch(lines[at]), lines
        seen += 1
    assert seen == 3
    assert interrupted(running)[0] == 130


def test_as_json_each_look_is_one_line(busy: Shop) -> None:
    running = busy.spawn("--json", "ps", "--watch", "0.2")
    assert running.stdout is not None
    for _ in range(2):
        assert "refund-7" in {row["id"] for row in json.loads(running.stdout.readline())}
    assert interrupted(running)[0] == 130


@pytest.mark.parametrize("wrong", ["0", "x", "-1", "1e9"])
def test_a_time_that_is_none_is_refused(shop: Shop, wrong: str) -> None:
    assert shop.run("ps", "--watch", wrong).exit_code == 2


def test_a_server_that_is_not_there_at_the_first_look_is_an_error(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_REDIS_URL", "redis://127.0.0.1:1/0")
    done = subprocess.run([*MODULE, "ps", "--watch"], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (69, "")


@pytest.fixture
def shaky(server: PrivateServer, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> PrivateServer:
    """A server that a test may kill: the shop's for commands in processes of their own."""
    from wakeline.embedded import find_server

    binary = find_server()
    assert binary is not None
    with PrivateServer(binary) as own:
        monkeypatch.setenv("WAKELINE_REDIS_URL", own.url)
        subprocess.run([*MODULE, "start", "refund", "[7]", "--id", "refund-7"], check=True, capture_output=True)
        yield own


def test_in_a_pipe_a_lost_server_is_said_once_and_rows_come_again(shaky: PrivateServer, shop: Shop) -> None:
    running = shop.spawn("ps", "--watch", "0.2")
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.readline()
    assert "refund-7" in running.stdout.readline()
    shaky.kill()
    assert running.stderr.readline().startswith("wakeline: asking again: Redis")
    shaky.start()
    os.set_blocking(running.stdout.fileno(), True)
    rows = [running.stdout.readline() for _ in range(8)]
    assert sum("refund-7" in row for row in rows) == 4
    code, problems = interrupted(running)
    assert (code, problems.strip()) == (130, "")


# -- in a terminal


def test_in_a_terminal_it_is_drawn_in_place_and_q_gives_the_terminal_back(busy: Shop) -> None:
    with Terminal("ps", "--watch", "0.2", NO_COLOR="1") as terminal:
        before = terminal.modes()
        said = terminal.until("refund-7")
        assert said.startswith(ENTERED)
        assert "every 0.2 s, q ends" in said
        assert terminal.modes() != before
        seen = len(said)
        busy.text("start", "refund", "[9]", "--id", "refund-9")
        said = terminal.until("refund-9", after=seen)
        assert "\x1b[H" in said[seen:]
        terminal.type("q")
        assert terminal.left() == 0
        assert terminal.read().endswith(LEFT)
        assert terminal.modes() == before


@pytest.mark.parametrize(("how", "code"), [("\x03", 130), (signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str)
def test_however_it_ends_the_terminal_is_as_before(busy: Shop, how: str | signal.Signals, code: int) -> None:
    with Terminal("ps", "--watch", "60") as terminal:
        before = terminal.modes()
        terminal.until("refund-7")
        if isinstance(how, str):
            terminal.type(how)
        else:
            terminal.process.send_signal(how)
        assert terminal.left(3) == code
        said = terminal.read()
        assert (LEFT in said, "Traceback" in said) == (True, False)
        assert terminal.modes() == before


def test_a_stopped_view_gives_the_terminal_back_and_takes_it_again(busy: Shop) -> None:
    with Terminal("ps", "--watch", "60") as terminal:
        before = terminal.modes()
        terminal.until("refund-7")
        terminal.process.send_signal(signal.SIGTSTP)
        said = terminal.until(LEFT)
        while state(terminal.process.pid) != "T":
            terminal.read(0.02)
        assert terminal.modes() == before
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until("refund-7", after=len(said))
        assert terminal.modes() != before
        terminal.type("Q")
        assert terminal.left() == 0


def test_another_size_draws_again_and_what_has_no_room_is_said(busy: Shop) -> None:
    with Terminal("ps", "--watch", "60", NO_COLOR="1") as terminal:
        said = terminal.until("WAITING FOR, ERROR")
        terminal.resize(40, 5)
        said = terminal.until("more lines", after=len(said))[len(said) :]
        frame = plain(said.rpartition("\x1b[H")[2]).replace("\r\n", "\n").splitlines()
        assert len(frame) <= 5
        assert re.fullmatch(r"… \d more lines", frame[-1])
        terminal.type("q")
        assert terminal.left() == 0


def test_in_a_terminal_a_lost_server_is_said_in_the_view_which_goes_on(shaky: PrivateServer) -> None:
    with Terminal("ps", "--watch", "0.2", NO_COLOR="1") as terminal:
        said = terminal.until("refund-7")
        shaky.kill()
        said = terminal.until("asking again: Redis", after=len(said))
        assert "refund-7" in said.rpartition("\x1b[H")[2]  # what was last seen stays
        shaky.start()
        until_back = len(said)
        while "asking again" in (frame := terminal.read(0.1).rpartition("\x1b[H")[2]) or "refund-7" not in frame:
            assert terminal.process.poll() is None
        assert len(terminal.read()) > until_back
        terminal.type("q")
        assert terminal.left() == 0


def test_a_terminal_that_cannot_be_drawn_on_gets_it_below(busy: Shop) -> None:
    with Terminal("ps", "--watch", "0.2", TERM="dumb") as terminal:
        said = terminal.until("refund-7")
        terminal.until("refund-7", after=len(said))
        assert "\x1b" not in terminal.read()
        terminal.type("\x03")
        assert terminal.left() == 130
