"""A reader of an example: types the commands of its README into one shell, at the root of a clone, and compares what he
sees.

Invariant: a line after ``$ `` is typed as written. What is shown below it is all that it prints, where ``…`` stands for
any text within a line. A command that only looks is typed again until it shows that, as a reader does who is quicker
than a worker.
"""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
from wakeline.embedded import PrivateServer

ROOT = Path(__file__).parents[2]
LOOKS = re.compile(r"wakeline (waits|ps|show|wakes|session|sessions|events)\b(?! -f)")
PATIENCE_S = 60
OVER = "-- typed --"


@dataclass(frozen=True)
class Typed:
    """A command of a README, and the lines it shows."""

    command: str
    shown: tuple[str, ...]

    def fits(self, lines: list[str]) -> bool:
        return len(lines) == len(self.shown) and all(
            re.fullmatch(".*".join(map(re.escape, wanted.split("…"))), line)
            for wanted, line in zip(self.shown, lines, strict=True)
        )


def commands_of(readme: Path) -> list[Typed]:
    """What a README has its reader type, in order; the blocks of it are ``console``."""
    blocks: list[str] = re.findall(
        r"^```console\n(.*?)^```$", readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return commands_in("".join(blocks))


def commands_in(console: str) -> list[Typed]:
    lines = console.splitlines()
    assert lines and lines[0].startswith("$ ")
    starts = [n for n, line in enumerate(lines) if line.startswith("$ ")]
    return [
        Typed(lines[n][2:], tuple(lines[n + 1 : end])) for n, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


class Shell:
    """One shell, in which all commands of a README are typed. ``background``: the file for what goes on in the
    background and writes when it likes."""

    def __init__(self, environment: dict[str, str], folder: Path = ROOT, background: Path = Path(os.devnull)) -> None:
        self.background = background
        self.process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def type(self, command: str) -> list[str]:
        """Types a command; what it prints, its complaints among it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        # The log of a worker in the background is no part of what the command shows.
        line = command.removesuffix("&") + f"2>>{self.background} &" if command.endswith("&") else command
        self.process.stdin.write(f"{line}\necho; echo '{OVER}'\n")
        self.process.stdin.flush()
        lines: list[str] = []
        for line in self.process.stdout:
            if line.rstrip("\n") == OVER:
                return lines[:-1] if lines and not lines[-1] else lines
            lines.append(line.rstrip("\n"))
        raise AssertionError(f"the shell ended at {command!r}: {lines}")

    def show(self, typed: Typed) -> None:
        """Types a command; it shows what it should, or the assertion tells what it showed."""
        lines, end = self.type(typed.command), time.monotonic() + PATIENCE_S
        while not typed.fits(lines) and LOOKS.match(typed.command) and time.monotonic() < end:
            time.sleep(0.2)
            lines = self.type(typed.command)
        assert typed.fits(lines), f"$ {typed.command}\n" + "\n".join(lines) + "\nis not\n" + "\n".join(typed.shown)

    def kill(self) -> None:
        """SIGKILL for the shell and everything that it left running."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def leave(self) -> None:
        """Ends the worker that a README leaves running, and the shell; both leave in order."""
        assert self.process.stdin is not None
        self.process.stdin.write("kill -TERM $(jobs -p)\nwait $(jobs -p)\nexit $?\n")
        self.process.stdin.flush()
        try:
            assert self.process.wait(60) == 0
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)


def environment(server: PrivateServer, **more: str) -> dict[str, str]:
    """A reader's, with a private server that comes before the REDIS_URL which the README sets."""
    return without_server(**({"WAKELINE_REDIS_URL": server.url} | more))


def without_server(**more: str) -> dict[str, str]:
    """A reader's: our programs on its PATH, and no server."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WAKELINE", "REDIS", "RQ")) and name != "DYNO"
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | {"PATH": path, "WAKELINE_HOLD": "0"} | more


def follow(readme: Path, server: PrivateServer) -> None:
    """Types the commands of a README in order; each shows what the README says, or the assertion tells what it
    showed."""
    empty(server)
    shell = Shell(environment(server))
    try:
        for typed in commands_of(readme):
            shell.show(typed)
    except BaseException:
        shell.kill()
        raise
    shell.leave()


def empty(server: PrivateServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()


@contextmanager
def opened(name: str, server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of an example, as a client of the emptied server."""
    empty(server)
    monkeypatch.setenv("WAKELINE_REDIS_URL", server.url)
    monkeypatch.syspath_prepend(str(ROOT))
    for loaded in [module for module in sys.modules if module.startswith("examples")]:
        monkeypatch.delitem(sys.modules, loaded)
    module = importlib.import_module(f"examples.{name}.app")
    yield module
    module.app.close()


def until(look: Callable[[], Any], what: str) -> Any:
    """Looks until it is so."""
    end = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)
    return found


@contextmanager
def worker(server: PrivateServer, app: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker of an example, which leaves in order at the end where it was not killed."""
    given = environment(server, WAKELINE_APP=app, WAKELINE_LEASE="1500ms", WAKELINE_BEAT="300ms", **more)
    running = subprocess.Popen(["wakeline", "worker"], cwd=ROOT, env=given, start_new_session=True)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.terminate()
        running.wait(60)


def kill(running: subprocess.Popen[bytes]) -> None:
    """SIGKILL for a worker: its supervisor and its processes."""
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(10)
