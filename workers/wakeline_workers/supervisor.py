"""The parent of worker processes: it beats for them, sees a death at once, gives their work away and starts them again.

Invariant: no body runs here, so user code cannot stop a heartbeat, and no call to Redis blocks the watch over
processes.
"""

from __future__ import annotations

import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

from wakeline.app import App
from wakeline.errors import StoreError
from wakeline.names import new_owner_id
from wakeline.store import owners
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import LostSeen

from wakeline_workers.child import Orders
from wakeline_workers.heartbeat import sent
from wakeline_workers.loading import load_for_work
from wakeline_workers.restarts import GIVE_UP, Ending, Restarts
from wakeline_workers.said import begin_log, say
from wakeline_workers.scrape import serve_metrics
from wakeline_workers.signals import ENDING, ignore_ending
from wakeline_workers.streams import hold_places, keep_output

WATCH_S = 0.05
TRIES_PER_BEAT = 4
NAMED = 5
SAID_S = 1.0
"""A start that waits for longer, in seconds, is logged."""
WEIGH_S = 1.0
GRACE_S = 2.0
"""Seconds after the shutdown time until a child that does not leave is killed."""
SILENT_S = 0.5
"""A stop that takes longer, in seconds, says what it waits for."""


@dataclass(slots=True)
class _Child:
    owner: str
    process: subprocess.Popen[bytes]
    line: socket.socket
    running: list[str] | None = None
    served: float | None = None
    """When it first said what it runs. A death after that is no failed start."""
    buffer: bytes = b""
    beats: int = 0
    """How many of its heartbeats were answered."""
    worn: float | None = None
    """When it was told to leave because it used too much memory."""
    killed: bool = False
    """Whether its supervisor killed it. Then what it ran is handed on, and is no loss."""


@dataclass(frozen=True, slots=True)
class _Death:
    owner: str
    pid: int
    code: int
    killed: bool


class _Pulse(threading.Thread):
    """Speaks to Redis for the supervisor: beats for every child, and gives the work of a dead one away at once."""

    def __init__(self, app: App, children: list[_Child]) -> None:
        super().__init__(name="wakeline-pulse", daemon=True)
        self._app = app
        self._children = children
        self._deaths: Queue[_Death | None] = Queue()
        self._beating = True

    def died(self, child: _Child) -> None:
        self._deaths.put(_Death(child.owner, child.process.pid, child.process.returncode, child.killed))

    def finish(self, timeout: float) -> None:
        """Lets it give away what is left, and then ends it."""
        self._deaths.put(None)
        self.join(timeout)

    def run(self) -> None:
        next_beat = 0.0
        while True:
            try:
                death = self._deaths.get(timeout=max(0.0, next_beat - time.monotonic()))
            except Empty:
                pause = self._app.settings.beat_ms / 1000
                # After an outage all owners look dead until they beat, and others wait one heartbeat for them. So a
                # failed beat is tried again sooner (race 29).
                next_beat = time.monotonic() + (pause if self._beat() else pause / TRIES_PER_BEAT)
                continue
            if death is None:
                return
            self._give_away(death)

    def _beat(self) -> bool:
        """Beats for all. Returns False, and says it once, if Redis refuses or does not answer."""
        if self._app.instruments.points:
            self._app.instruments.point(Phase.beat, "")
        for child in list(self._children):
            running, child.running = child.running, None
            s = self._app.settings
            try:
                beating = owners.beat(
                    child.owner, running, lease_ms=s.lease_ms, n=child.beats + 1, patience_ms=s.bug_patience_ms
                )
                heard = sent(self._app.store, child.owner, beating)
                child.beats += heard.alive  # before it has registered, the store keeps nothing of it
            except StoreError as error:
                if self._beating:
                    say(f"no heartbeat for {child.owner}: {error}")
                self._beating = False
                return False
        self._beating = True
        return True

    def _give_away(self, death: _Death) -> None:
        writer, patience_ms = "shutdown" if death.killed else "owner_lost", self._app.settings.bug_patience_ms
        try:
            handed_on = self._app.store.execute(owners.reap(death.owner, writer, patience_ms=patience_ms))
        except StoreError as error:
            # If Redis is away now, its lease runs out, and the tick of any worker does the same.
            say(f"could not give away the work of {death.owner}: {error}")
            return
        if self._app.instruments.deaths:
            self._app.instruments.lost(LostSeen(death.owner, death.killed, len(handed_on)))
        if death.code:
            how = "was killed" if death.killed else f"died ({_why(death.code)})"
            say(f"worker {death.pid} {how}; {_handed_on(handed_on)}")


def _handed_on(pids: tuple[str, ...]) -> str:
    if not pids:
        return "0 processes handed on"
    more = f" and {len(pids) - NAMED} more" if len(pids) > NAMED else ""
    return f"{len(pids)} {'process' if len(pids) == 1 else 'processes'} handed on: {', '.join(pids[:NAMED])}{more}"


def memory_mb(pid: int) -> int | None:
    """The present memory of a process in MB; None on systems that do not tell (only Linux does)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024
    except (OSError, IndexError, ValueError):
        return None


def _why(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class Supervisor:
    """Runs ``processes`` children of one app until it is told to stop, or (burst) until each finds nothing left to
    do."""

    def __init__(
        self,
        target: str,
        processes: int,
        *,
        queues: Sequence[str] = (),
        concurrency: int | None = None,
        burst: bool = False,
    ) -> None:
        self._orders = (target, tuple(queues), concurrency, burst)
        self._app = load_for_work(target)
        self._count = processes
        self._burst = burst
        self._children: list[_Child] = []
        self._pulse = _Pulse(self._app, self._children)
        self._stopping = False
        self._interrupts = 0
        self._said = False
        self._restarts = Restarts()
        self._gave_up = False
        self._weigh_at = 0.0
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Serves until SIGTERM or SIGINT. Returns the exit code: 0 if every child left as it was told to, 1 if none can
        start."""
        for number in ENDING:
            signal.signal(number, self._stop)
        for _ in range(self._count):
            self._spawn()
        self._pulse.start()
        scraped = serve_metrics(self._app)
        told: float | None = None
        while self._children or (self._restarts.pending and not self._stopping):
            self._hear(WATCH_S)
            self._bury()
            if not self._stopping:
                for _ in range(self._restarts.take_due(time.monotonic())):
                    self._spawn()
            self._replace_worn()
            if self._stopping:
                told = told or time.monotonic()
                self._wait_for_the_last(time.monotonic() - told)
        ignore_ending()
        self._pulse.finish(GRACE_S)
        if scraped is not None:
            scraped.shutdown()
            scraped.server_close()
        return 1 if self._gave_up else 0

    def _wait_for_the_last(self, waited: float) -> None:
        """Says what a stop waits for. Kills children that do not leave in time, or at a second Ctrl-C."""
        shutdown_s = self._app.settings.shutdown_ms / 1000
        if waited > SILENT_S and not self._said:
            self._said = True
            sooner = "; Ctrl-C again ends it now" if self._interrupts else ""
            say(f"stopping: what runs has {shutdown_s:g} s to end, to park or to be handed back{sooner}", level="INFO")
        if waited > shutdown_s + GRACE_S or self._interrupts > 1:
            for child in self._children:
                child.killed = child.killed or child.process.poll() is None
                child.process.kill()

    def _stop(self, number: int = signal.SIGTERM, _: object = None) -> None:
        self._stopping = True
        # Only a second SIGINT after we announced the stop means "now": platforms repeat SIGTERM, and a parent may
        # forward the terminal's SIGINT.
        if number == signal.SIGINT and (self._said or not self._interrupts):
            self._interrupts += 1
        for child in self._children:
            child.process.terminate()

    def _spawn(self) -> None:
        target, queues, concurrency, burst = self._orders
        ours, theirs = socket.socketpair()
        orders = Orders(
            target, new_owner_id(), theirs.fileno(), queues, concurrency, burst, again=self._restarts.failed_starts > 0
        )
        # In a separate session: a signal to the whole terminal group reaches it only through us.
        process = subprocess.Popen(
            orders.command(), stdin=subprocess.DEVNULL, pass_fds=[orders.line], start_new_session=True
        )
        theirs.close()
        ours.setblocking(False)
        child = _Child(orders.owner, process, ours)
        self._children.append(child)
        self._selector.register(ours, selectors.EVENT_READ, child)
        if self._stopping:
            process.terminate()  # the signal came between the fork and the list

    def _hear(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            self._read(key.data)

    def _read(self, child: _Child) -> None:
        """Reads what a child says on its line; stops listening to a closed line."""
        try:
            data = child.line.recv(65_536)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._hang_up(child)
        else:
            *lines, child.buffer = (child.buffer + data).split(b"\n")
            if lines:
                child.served = child.served or time.monotonic()
                child.running = lines[-1].decode(errors="replace").split()

    def _hang_up(self, child: _Child) -> None:
        if child.line.fileno() != -1:
            self._selector.unregister(child.line)
            child.line.close()

    def _replace_worn(self) -> None:
        """Lets a worker process that leaks memory hand its work back; another takes its place."""
        most = self._app.settings.worker_memory_mb
        if most is None or self._stopping or time.monotonic() < self._weigh_at:
            return
        self._weigh_at = time.monotonic() + WEIGH_S
        for child in self._children:
            used = memory_mb(child.process.pid)
            if child.worn is not None:
                if time.monotonic() > child.worn + self._app.settings.shutdown_ms / 1000 + GRACE_S:
                    # it handed its work back, but does not end; what it could not hand back is a loss
                    child.process.kill()
            elif used is not None and used > most:
                child.worn = time.monotonic()
                say(
                    f"worker {child.process.pid} uses {used} MB, more than WAKELINE_WORKER_MEMORY={most}; it hands its"
                    " work back and is replaced"
                )
                child.process.terminate()

    def _bury(self) -> None:
        for child in [c for c in self._children if c.process.poll() is not None]:
            self._children.remove(child)
            if child.line.fileno() != -1:
                self._read(child)  # its last lines; a fork that it left behind may hold the other end
                self._hang_up(child)
            self._pulse.died(child)
            if not (self._stopping or (self._burst and not child.process.returncode and child.worn is None)):
                self._follow(child)

    def _follow(self, child: _Child) -> None:
        """Starts another in place of one that ended: soon, or later if they end quickly one after the other."""
        code = child.process.returncode if child.worn is None else 0
        now = time.monotonic()
        ending = Ending.of(code, None if child.served is None else now - child.served)
        pause = self._restarts.ended(ending, now)
        # If one serves, the code works. What stops another from starting may pass, and is no reason to end what runs.
        if self._restarts.failed_starts >= GIVE_UP and all(other.served is None for other in self._children):
            say(f"{GIVE_UP} workers in a row could not start; the lines above say why")
            self._gave_up = True
            self._stop()
        elif pause > SAID_S:
            what = "could not start" if self._restarts.failed_starts else "died soon after they started"
            say(f"workers {what}, one after the other; the next one starts in {pause:.0f} s")


def run(
    target: str, processes: int = 1, *, queues: Sequence[str] = (), concurrency: int | None = None, burst: bool = False
) -> int:
    """Supervises until stopped; returns the exit code."""
    hold_places()
    keep_output()
    begin_log("WARNING")  # the supervisor prints the rest itself
    return Supervisor(target, processes, queues=queues, concurrency=concurrency, burst=burst).run()
