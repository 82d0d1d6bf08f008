"""A command whose reader leaves ends without a word, and Ctrl-C ends each long command soon and without a traceback."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.e2e.shop import MODULE, Shop

SOON_S = 3.0
"""It takes some hundredths of a second; the rest is for a machine that has much else to do."""


# -- a reader that leaves


@pytest.mark.parametrize(
    "words",
    [
        ["ps"],
        ["--json", "events", "refund-7"],
        ["events", "refund-7", "--follow"],
        ["show", "refund-7"],
        ["queues"],
        ["--help"],
        ["ps", "--help"],
        ["config", "--explain"],
    ],
    ids=" ".join,
)
def test_a_command_whose_reader_left_ends_with_141_and_says_nothing(busy: Shop, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*MODULE, *words], stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_so_does_one_that_follows_once_there_is_more_to_say(busy: Shop) -> None:
    following = busy.spawn("events", "refund-7", "--follow")
    assert following.stdout is not None
    assert "process.started" in following.stdout.readline()
    following.stdout.close()
    busy.text("signal", "refund-7", "decision", "true")
    busy.work()
    assert following.wait(20) == 141
    assert following.stderr is not None
    assert following.stderr.read() == ""


@pytest.mark.parametrize(
    ("words", "code"), [(["show", "nothing-1"], 141), (["ps", "--nosuch"], 141), (["version"], 0)], ids=str
)
def test_an_error_that_has_no_reader_is_no_traceback(shop: Shop, words: list[str], code: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*MODULE, *words], stdout=subprocess.PIPE, stderr=writing, timeout=60, check=False)
    os.close(writing)
    assert done.returncode == code


def test_in_a_shell_the_pipeline_has_the_first_line_and_no_complaint(busy: Shop) -> None:
    line = " ".join([*MODULE, "events", "refund-7", "--follow"]) + " | head -1"
    # `head` leaves, and what follows learns it with the next event.
    running = subprocess.Popen(["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert "process.started" in running.stdout.readline()
    busy.text("signal", "refund-7", "decision", "true")
    busy.work()
    rest, problems = running.communicate(timeout=20)
    assert (running.returncode, rest, problems) == (0, "", "")


# -- Ctrl-C


def interrupted(running: subprocess.Popen[str]) -> tuple[int, str]:
    """What a command that gets a Ctrl-C ends with, and all that it says then. It ends soon."""
    at = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, problems = running.communicate(timeout=20)
    assert time.monotonic() - at < SOON_S
    return running.returncode, problems


def says(what: str) -> Callable[[subprocess.Popen[str]], None]:
    """Waits until a command has printed a text."""

    def wait(running: subprocess.Popen[str]) -> None:
        assert running.stderr is not None
        while what not in (line := running.stderr.readline()):
            assert line, f"it ended before it said {what!r}"

    return wait


def prints(running: subprocess.Popen[str]) -> None:
    """Waits until a command has printed its first line."""
    assert running.stdout is not None
    assert running.stdout.readline()


@pytest.mark.parametrize(
    ("words", "ready", "codes"),
    [
        (["events", "refund-7", "--follow"], prints, {130}),
        (["start", "refund", "[8]", "--id", "refund-8", "--wait", "1h"], says("refund-8"), {130}),
        (["start", "nap", "--id", "nap-2", "--wait", "1h", "--json"], says("nap-2"), {130}),
        (["worker", "-n", "2"], says("2 workers of shop"), {0, 130}),
        (["clock"], says("clock of shop"), {0, 130}),
        (["dev"], says("export WAKELINE_APP"), {0, 130}),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, list) else "",
)
def test_ctrl_c_ends_a_long_command_soon_and_without_a_traceback(
    busy: Shop, words: list[str], ready: Callable[[subprocess.Popen[str]], None], codes: set[int]
) -> None:
    """What serves ends with 0, as for SIGTERM, and with 130 if it does not serve yet."""
    running = busy.spawn(*words)
    ready(running)
    ended, problems = interrupted(running)
    assert ended in codes
    assert "Traceback" not in problems, problems


def test_ctrl_c_ends_following_a_session(busy: Shop) -> None:
    busy.text("send", "clerk/u1", "hello")
    running = busy.spawn("follow", "clerk/u1")
    assert running.stdout is not None
    while not select.select([running.stdout], [], [], 0.5)[0]:
        busy.text("send", "clerk/u1", "more")  # it follows from its first look on, which nothing tells of
    prints(running)
    assert interrupted(running) == (130, "\n")


@pytest.mark.parametrize(
    "words", [["ps"], ["show", "refund-7"], ["doctor"], ["health", "--timeout", "1h"]], ids=" ".join
)
def test_ctrl_c_ends_a_command_whose_server_hangs(busy: Shop, words: list[str]) -> None:
    server = int(busy.redis.info("server")["process_id"])
    os.kill(server, signal.SIGSTOP)
    try:
        running = busy.spawn(*words)
        time.sleep(1.5)  # until it waits for an answer
        assert running.poll() is None
        ended, problems = interrupted(running)
    finally:
        os.kill(server, signal.SIGCONT)
    assert (ended, "Traceback" in problems) == (130, False), problems
