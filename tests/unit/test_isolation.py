"""Children of isolated tools that end, or are asked to, at a moment that is hard to meet: at the end of a call, and
between its arrival and its begin."""

from __future__ import annotations

import asyncio
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from wakeline.cancellation import CancellationToken
from wakeline.run.isolation import IsolatedCall, IsolatedFailure, NotReady, Returned
from wakeline_workers import isolation
from wakeline_workers.isolate_line import IsolateLine
from wakeline_workers.isolation import Isolate, IsolatedTools

APP = """
import time
from wakeline import App
app = App("alone")

@app.tool(isolation="process")
def naps(seconds: float) -> str:
    time.sleep(seconds)
    return "rested"
"""
ENDS_FIRST = """
import os, signal
from wakeline import App
from wakeline.telemetry.instrument import Instrument

class Ends(Instrument):
    def isolated(self, call):
        with open("begun", "a") as begun:
            begun.write("a call arrived\\n")
        os.kill(os.getpid(), getattr(signal, os.environ["ENDS_BY"]))

app = App("alone", instrument=Ends())

@app.tool(isolation="process")
def naps(seconds: float) -> str:
    with open("begun", "a") as begun:
        begun.write("its code ran\\n")
    return "rested"
"""


def call(seconds: float) -> IsolatedCall:
    return IsolatedCall("naps", {"seconds": seconds}, "p", "k", 1, "t", None, "{}", "process:p", ["process:p"])


def test_a_cancel_that_comes_with_the_end_of_its_call_harms_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alone_app.py").write_text(APP)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    async def go() -> list[Any]:
        child = await Isolate.started("alone_app:app")
        token = CancellationToken()
        first = await child.run(call(0.0), lambda verb, args: None, token, grace_ms=50, timeout_ms=None)
        token.cancel("too late")
        racing = CancellationToken()
        answered = asyncio.ensure_future(
            child.run(call(0.1), lambda verb, args: None, racing, grace_ms=50, timeout_ms=None)
        )
        asyncio.get_running_loop().call_later(0.1, racing.cancel)
        second = await answered
        third = await child.run(call(0.4), lambda verb, args: None, CancellationToken(), grace_ms=50, timeout_ms=None)
        child.kill("the test is over")
        await child.bury()
        return [first, second, third]

    assert asyncio.run(go()) == [Returned("rested")] * 3


def ends_first(folder: Path, monkeypatch: pytest.MonkeyPatch, by: str, *, timeout_ms: int | None) -> BaseException:
    """What a call raises whose children end by a signal once it has arrived there."""
    (folder / "alone_app.py").write_text(ENDS_FIRST)
    (folder / "begun").touch()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    monkeypatch.setenv("ENDS_BY", by)
    monkeypatch.chdir(folder)

    async def go() -> None:
        tools = IsolatedTools("alone_app:app", most=1, memory_mb=512)
        try:
            await tools.call(
                call(0.0), lambda verb, args: None, CancellationToken(), grace_ms=50, timeout_ms=timeout_ms
            )
        finally:
            await tools.close()

    with pytest.raises((IsolatedFailure, TimeoutError)) as raised:
        asyncio.run(go())
    return raised.value


def test_a_call_that_three_children_took_and_none_began_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = ends_first(tmp_path, monkeypatch, "SIGKILL", timeout_ms=None)
    assert isinstance(failure, IsolatedFailure)
    assert (failure.code, str(failure)) == ("tool_process_died", "its process was ended by SIGKILL")
    assert (tmp_path / "begun").read_text() == "a call arrived\n" * 3


def test_a_child_that_its_worker_kills_before_it_began_is_no_reason_to_try_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = ends_first(tmp_path, monkeypatch, "SIGSTOP", timeout_ms=300)
    assert str(over) == "it took longer than its timeout of 300 ms"
    assert (tmp_path / "begun").read_text() in ("", "a call arrived\n")


def unready(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, tool: str = "naps") -> str:
    """Why no child of a module is ready for a call."""
    (folder / "alone_app.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    monkeypatch.chdir(folder)
    given = replace(call(0.0), tool=tool)

    async def go() -> None:
        tools = IsolatedTools("alone_app:app", most=1, memory_mb=512)
        try:
            await tools.call(given, lambda verb, args: None, CancellationToken(), grace_ms=50, timeout_ms=None)
        finally:
            await tools.close()

    with pytest.raises(NotReady) as raised:
        asyncio.run(go())
    return str(raised.value)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (
            "raise ConnectionError('Redis is away')",
            "that process could not load its app. No App at 'alone_app:app': importing it raised ConnectionError at"
            " alone_app.py:1: Redis is away. It was found; correct it",
        ),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
            "that process ended before it had loaded its app: its process was ended by SIGKILL",
        ),
        (
            "import os\nos._exit(3)",
            "that process ended before it had loaded its app: its process ended with exit code 3; what it wrote to"
            " stderr says why",
        ),
        (
            "import time\ntime.sleep(60)",
            "that process did not load its app within 2 s",
        ),
    ],
    ids=["raises", "is killed", "exits", "takes too long"],
)
def test_a_child_that_does_not_load_its_app_is_not_ready_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, why: str
) -> None:
    monkeypatch.setattr(isolation, "START_S", 2.0 if "sleep" in module else 60.0)
    assert unready(tmp_path, monkeypatch, module) == why


def test_a_child_that_cannot_be_started_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert unready(tmp_path, monkeypatch, APP) == (
        f"that process could not be started: [Errno 2] No such file or directory: '{tmp_path}/python'"
    )


def test_a_child_that_has_loaded_other_code_is_not_ready_for_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unready(tmp_path, monkeypatch, APP, "gone") == (
        "that process has loaded an app without it. No tool is named 'gone'; known: naps. Register it, or include"
        " the module that does"
    )


@pytest.mark.parametrize("sent_again", [False, True], ids=["a read finds it", "a write finds it"])
def test_what_a_child_said_is_heard_though_it_ended_without_reading_what_it_was_sent(sent_again: bool) -> None:
    async def go() -> list[bytes | None]:
        ours, theirs = socket.socketpair()
        line = IsolateLine(ours)
        theirs.sendall(b"began\nand a beginning")
        line.send(b"a cancel that is never read")
        theirs.close()  # resets the connection
        if sent_again:
            line.send(b"one that cannot be sent")
        heard = [await line.line(), await line.line()]
        line.close()
        return heard

    assert asyncio.run(go()) == [b"began", None]


def test_a_fork_of_a_dead_child_that_keeps_its_connection_open_holds_up_nothing() -> None:
    async def go() -> list[bytes | None]:
        ours, theirs = socket.socketpair()
        line = IsolateLine(ours)
        theirs.sendall(b"began\n")
        line.finish()
        heard = [await line.line(), await line.line()]
        theirs.close()
        line.close()
        return heard

    assert asyncio.run(go()) == [b"began", None]


def test_long_lines_pass_in_both_directions() -> None:
    long = b"x" * 3_000_000

    async def go() -> bool:
        ours, theirs = (IsolateLine(end) for end in socket.socketpair())
        ours.send(long)
        ours.send(b"short")
        heard = [await theirs.line(), await theirs.line()]
        ours.close()
        theirs.close()
        return heard == [long, b"short"]

    assert asyncio.run(go())
