"""Processes of a measurement, in a group each, and what is said of a system that could not be measured."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]


class LeftOut(Exception):
    """Why a system is not in the table."""


@contextmanager
def running(command: Sequence[str], env: Mapping[str, str], log: IO[bytes]) -> Generator[subprocess.Popen[bytes]]:
    """A process in a group of its own; it and whatever it started are gone after the block."""
    with subprocess.Popen(
        command, env=env, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
    ) as child:
        try:
            yield child
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(child.pid, number)
                    child.wait(5)


def installed(command: Sequence[str]) -> None:
    """Runs a step of an installation. Raises `LeftOut`."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LeftOut(f"not installed: {last_line(done.stderr)}")


def last_line(text: str) -> str:
    """The last one that says something, cut where it is long."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"
