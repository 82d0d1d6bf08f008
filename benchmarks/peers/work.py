"""What the tasks and the client of every measured system do, and how they are told to.

Invariant: standard library only. The modules of the measured systems run in environments in which Wakeline is not
installed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import NoReturn

PROCESSES = 2
URL = os.environ.get("PEER_REDIS_URL", "redis://127.0.0.1:6379/0")
POSTGRES = os.environ.get("PEER_POSTGRES_URL", "postgresql://postgres@127.0.0.1/postgres")
FOLDER = os.environ.get("PEER_FOLDER", ".")


def nothing() -> None:
    """The no-op: one byte to a file, so that what ran is counted in the same way for all, without a command to the
    server."""
    os.write(_file("done"), b".")


def began(sent: float) -> None:
    """How long ago it was sent, in seconds: a line in a file."""
    os.write(_file("began"), f"{time.time() - sent}\n".encode())


def parks() -> None:
    """It waits for its signal from here on: one byte to a file. Once a workflow, unless its replay runs this again: the
    counts of the next round begin where those of this one ended."""
    os.write(_file("parked"), b".")


@cache
def _file(name: str) -> int:
    return os.open(os.path.join(FOLDER, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def main(workers: Sequence[Sequence[str]], client: Callable[[], Mapping[str, Callable[[int], object]]]) -> None:
    """``… workers`` runs the worker commands (arguments of this python); ``… client`` follows orders, a line each:
    which one, and how many."""
    if sys.argv[1] == "workers":
        together([[sys.executable, *command] for command in workers])
    orders = client()
    for line in sys.stdin:
        name, number = line.split()
        orders[name](int(number))


def together(commands: Sequence[Sequence[str]], user: str | None = None) -> NoReturn:
    """Runs them until all have ended, or until whoever measures is gone; a user is whom they run as."""
    children = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, user=user, extra_groups=[] if user else None)
        for command in commands
    ]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the whole group is told: this one stays until they have left
    threading.Thread(target=_leave_with_the_measurement, daemon=True).start()
    sys.exit(max(abs(child.wait()) for child in children))


def _leave_with_the_measurement() -> None:
    """Input ends when whoever measures is gone, killed or not: so do this process and its group."""
    sys.stdin.read()
    os.killpg(0, signal.SIGTERM)  # a database that is not asked first leaves its shared memory behind
    time.sleep(5)
    os.killpg(0, signal.SIGKILL)


async def gathered(n: int, one: Callable[[], Awaitable[object]], *, at_once: int = 100) -> None:
    """Runs ``one`` n times, at most ``at_once`` at a time."""
    numbers = iter(range(n))

    async def take() -> None:
        for _ in numbers:
            await one()

    await asyncio.gather(*(take() for _ in range(at_once)))


if __name__ == "__main__":  # a server of its own that a system needs: ``… USER COMMAND``, with "" for no other user
    together([sys.argv[2:]], sys.argv[1] or None)
