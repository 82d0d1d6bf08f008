"""The parent of worker processes: it beats for them, sees a death at once, gives their work away and starts them again.

Invariant: user code never runs here, so nothing a body does can stop a heartbeat.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

from wakeline.errors import StoreError
from wakeline.names import new_owner_id
from wakeline.store import fleet

from wakeline_workers.loading import load_app


@dataclass(slots=True)
class _Child:
    owner: str
    process: subprocess.Popen[bytes]
    running: list[str] | None = None
    buffer: bytes = b""
    started: float = field(default_factory=time.monotonic)


class Supervisor:
    """Runs ``processes`` children of one app until it is told to stop."""

    def __init__(self, target: str, processes: int) -> None:
        self._target = target
        self._app = load_app(target)
        self._count = processes
        self._children: list[_Child] = []
        self._stopping = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Serves until SIGTERM or SIGINT; 0 when every child left in time."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        for _ in range(self._count):
            self._spawn()
        next_beat = 0.0
        deadline: float | None = None
        while self._children:
            self._hear(0.05)
            self._bury()
            now = time.monotonic()
            if now >= next_beat:
                self._beat()
                next_beat = now + self._app.settings.beat_ms / 1000
            if self._stopping:
                deadline = deadline or now + self._app.settings.shutdown_ms / 1000 + 2
                if now > deadline:
                    for child in self._children:
                        child.process.kill()
        return 0

    def _stop(self, *_: object) -> None:
        self._stopping = True
        for child in self._children:
            child.process.terminate()

    def _spawn(self) -> None:
        owner = new_owner_id()
        command = [sys.executable, "-m", "wakeline_workers.child", self._target, owner]
        # In a session of its own: a signal to the whole terminal group reaches it through us only.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, start_new_session=True)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        child = _Child(owner, process)
        self._children.append(child)
        self._selector.register(process.stdout, selectors.EVENT_READ, child)

    def _hear(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            child: _Child = key.data
            data = child.process.stdout.read() if child.process.stdout else None
            if not data:
                self._selector.unregister(key.fileobj)
                continue
            *lines, child.buffer = (child.buffer + data).split(b"\n")
            if lines:
                child.running = lines[-1].decode().split()

    def _bury(self) -> None:
        for child in [c for c in self._children if c.process.poll() is not None]:
            self._children.remove(child)
            try:
                lost = self._app.store.execute(fleet.reap(child.owner))
            except StoreError as error:
                # Unreachable now: its lease runs out and the tick of any worker does the same.
                print(f"wakeline: could not give away the work of {child.owner}: {error}", file=sys.stderr)
            else:
                if child.process.returncode:
                    print(f"wakeline: worker {child.process.pid} died ({child.process.returncode}); {lost} processes handed on", file=sys.stderr)
            if not self._stopping:
                if time.monotonic() - child.started < 1:
                    time.sleep(0.5)  # a worker that cannot start must not spin
                self._spawn()

    def _beat(self) -> None:
        for child in self._children:
            try:
                self._app.store.execute(fleet.beat(child.owner, child.running, lease_ms=self._app.settings.lease_ms))
            except StoreError as error:
                print(f"wakeline: no heartbeat for {child.owner}: {error}", file=sys.stderr)
            child.running = None


def run(target: str, processes: int = 1) -> int:
    """Supervises until stopped."""
    return Supervisor(target, processes).run()
