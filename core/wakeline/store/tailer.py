"""How waiters of one OS process learn of a change: one thread reads one stream for all of them, for any change,
in threads or on event loops.

Invariant: a waiter is woken when what it waits for has changed, and may be woken without need. A change that no item
told is found by the look, once a second: the stream was full, the store went back, or a release before this one wrote
the change.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from itertools import count
from secrets import token_hex
from typing import Protocol, TypeVar
from weakref import ref

from wakeline.errors import WakelineError
from wakeline.shown import logger
from wakeline.store import tails
from wakeline.store.calls import Call
from wakeline.store.tails import ROWS_AT_ONCE, Subject, ToldItem
from wakeline.store.waiters import Waiter, wake

log = logger("wakeline.store")
T = TypeVar("T")
LOOK_S = 1.0
"""How often the thread looks by itself, in seconds: a change that no item told is found that much later at most. It
is also the longest blocking read. redis-py would resend one that is longer than the socket timeout."""
YOUNG_S = 0.1
"""What was looked at in the last tenth of a second is left for the next look."""
LOOKS_AT_ONCE = 64
"""How many calls one look makes at most. They cover 16,384 subjects; more of them are looked at in turn."""
LINGER_S = 5.0
"""How long the thread stays when nothing waits, in seconds."""
AWAY_S = 0.5
"""The pause after the second failure in a row, in seconds."""
RENEW_S = tails.KEPT_MS / 3000
"""How often the stream is kept for longer, in seconds, where there is nothing to look at."""


class TailerClient(Protocol):
    """The blocking client of a tailer, which has it for itself."""

    def execute_together(self, calls: Sequence[Call[T]]) -> list[T]: ...
    def read_told(self, tailer: str, after: str, ms: int) -> tuple[str, list[dict[str, str]]]: ...
    def close(self) -> None: ...


class Tailers:
    """The tailer of each OS process: a forked child gets its own. All clients of an app share it."""

    def __init__(self, connect: Callable[[], TailerClient]) -> None:
        self._connect = connect
        self._by_pid: dict[int, Tailer] = {}

    @property
    def here(self) -> Tailer:
        """The tailer of this OS process."""
        pid = os.getpid()
        return self._by_pid.get(pid) or self._by_pid.setdefault(pid, Tailer(self._connect))

    def end(self) -> None:
        """Lets the thread end as soon as nothing waits."""
        self.here.end()


class _Watched:
    """Those who wait for one subject, and when it was looked at last."""

    __slots__ = ("looked_s", "waiters")

    def __init__(self) -> None:
        self.looked_s = 0.0
        self.waiters: dict[int, ref[Waiter]] = {}
        """They go with the code that waits, however it ends: a signal handler may raise anywhere."""

    def alive(self) -> list[Waiter]:
        """Those who still wait; the others are forgotten."""
        found: list[Waiter] = []
        for number, one in list(self.waiters.items()):
            waiter = one()
            if waiter is None:
                self.waiters.pop(number, None)
            else:
                found.append(waiter)
        return found


class Tailer:
    """Who waits in one OS process, by what they wait for, and the thread that is told of it. The thread begins with the
    first waiter and ends a while after the last one."""

    def __init__(self, connect: Callable[[], TailerClient]) -> None:
        self._connect = connect
        self._lock = threading.RLock()  # a signal handler may enter here in the thread that holds it
        self._numbers = count()
        self._watched: dict[Subject, _Watched] = {}
        self._ear: _Ear | None = None

    @contextmanager
    def waiting(self, subject: Subject, waiter: Waiter) -> Generator[str | None]:
        """While the block runs, the waiter is woken when the subject changes. Gives the name under which the store
        tells of it; None if no thread can be started, as in an interpreter that ends."""
        number = next(self._numbers)
        with self._lock:
            watched = self._watched.setdefault(subject, _Watched())
            watched.looked_s = time.monotonic()
            watched.waiters[number] = ref(waiter)
            name = self._listening()
        del waiter  # its code alone keeps it
        try:
            yield name
        finally:
            watched.waiters.pop(number, None)

    def _listening(self) -> str | None:
        if self._ear is None or not self._ear.is_alive():
            # Known before it starts, so that none is left over where a signal handler raises meanwhile.
            self._ear = _Ear(self, self._connect())
            try:
                self._ear.start()
            except RuntimeError:
                return None
        self._ear.linger_s = LINGER_S
        return self._ear.tailer

    def end(self) -> None:
        """Lets the thread end as soon as nothing waits."""
        with self._lock:
            if self._ear is not None:
                self._ear.linger_s = 0.0

    def gives_up(self, ear: _Ear) -> bool:
        """Whether nothing has waited for a while, or another thread took over. The next waiter then begins another
        one."""
        with self._lock:
            if self._ear is not ear:
                return True
            if any(watched.alive() for watched in self._watched.values()):
                ear.needed_s = time.monotonic()
                return False
            if time.monotonic() - ear.needed_s < ear.linger_s:
                return False
            ear.left = sorted({one.marked for one in self._watched})[:ROWS_AT_ONCE]
            self._watched.clear()
            self._ear = None
            return True

    def due(self) -> tuple[list[tuple[Subject, int]], list[Subject]]:
        """What to look at now, each behind a number; and what nothing waits for any more, which is forgotten here."""
        now_s = time.monotonic()
        rows: list[tuple[float, Subject, int]] = []
        left: list[Subject] = []
        for subject, watched in list(self._watched.items()):
            waiters = watched.alive()
            if now_s - watched.looked_s < YOUNG_S:
                continue
            if waiters:
                rows.append((watched.looked_s, subject, min(one.after for one in waiters)))
            elif self._forget(subject, watched):
                left.append(subject)
        rows.sort()
        del rows[ROWS_AT_ONCE * LOOKS_AT_ONCE :]
        for _, subject, _ in rows:
            if (looked := self._watched.get(subject)) is not None:
                looked.looked_s = now_s
        gone = {one.marked for one in left}
        if gone:
            gone -= {one.marked for one in list(self._watched)}
        return [(subject, after) for _, subject, after in rows], sorted(gone)

    def _forget(self, subject: Subject, watched: _Watched) -> bool:
        with self._lock:
            if watched.waiters or self._watched.get(subject) is not watched:
                return False
            del self._watched[subject]
            return True

    def told(self, items: Iterable[ToldItem]) -> None:
        """Wakes those who wait for what was told, and hands out how it ended. What is over is not watched any more."""
        woken: list[Waiter] = []
        with self._lock:
            for item in items:
                for subject in item.subjects:
                    watched = self._watched.get(subject)
                    if watched is None:
                        continue
                    told = [one for one in watched.alive() if item.is_over or one.after < item.number]
                    woken += told
                    if item.is_over:
                        for one in told:
                            one.end = item.end
                        del self._watched[subject]
        wake(woken)

    def changed(self, subjects: Iterable[Subject]) -> None:
        """Wakes those who wait for these."""
        found = [watched for one in subjects if (watched := self._watched.get(one)) is not None]
        wake(waiter for watched in found for waiter in watched.alive())

    def wake_all(self) -> None:
        """Wakes all. Each looks by itself, and raises what its own look raises."""
        self.changed(list(self._watched))


class _Ear(threading.Thread):
    """The thread: it waits for the next item of its stream, and looks once a second."""

    def __init__(self, owner: Tailer, client: TailerClient) -> None:
        super().__init__(name="wakeline-tailer", daemon=True)
        self.tailer = "t" + token_hex(6)
        self.needed_s = time.monotonic()
        self.linger_s = LINGER_S
        self.left: list[Subject] = []
        """What nothing waits for any more, at its end."""
        self._owner = owner
        self._client = client
        self._after = "0"
        self._renewed_s = time.monotonic()
        self._next_look_s = self._renewed_s + LOOK_S
        self._failures = 0

    def run(self) -> None:
        """Ends when the tailer gives up."""
        # It asks once a turn, as a look that becomes due in between would come before the end of what nothing needs.
        while not ((is_due := self._is_due) and self._owner.gives_up(self)):
            try:
                if is_due:
                    self._look()
                self._hear()
                self._failures = 0
            except Exception as error:  # noqa: BLE001 - after any error, waiters must not hang
                self._failed(error)
        self._leave()

    @property
    def _is_due(self) -> bool:
        return time.monotonic() >= self._next_look_s

    def _hear(self) -> None:
        ms = max(1, round((self._next_look_s - time.monotonic()) * 1000))
        self._after, items = self._client.read_told(self.tailer, self._after, ms)
        if items:
            self._owner.told([one for item in items for one in tails.told(item)])

    def _look(self) -> None:
        now_s = time.monotonic()
        self._next_look_s = now_s + LOOK_S
        rows, left = self._owner.due()
        starts = list(range(0, max(len(rows), len(left)), ROWS_AT_ONCE))
        if not starts and now_s - self._renewed_s >= RENEW_S:
            starts = [0]
        if not starts:
            return
        calls = [tails.look(self.tailer, rows[at : at + ROWS_AT_ONCE], left[at : at + ROWS_AT_ONCE]) for at in starts]
        for changed in self._client.execute_together(calls):
            self._owner.changed(changed)
        self._renewed_s = now_s

    def _failed(self, error: Exception) -> None:
        """After a failure it looks at once, because the connection alone may have broken. After the second in a row
        each waiter looks by itself."""
        if not isinstance(error, WakelineError):
            log.error("What waiters are told by failed; they look by themselves.", exc_info=error)
        self._failures += 1
        self._after = "0"  # another server may have taken over, with an earlier clock
        self._next_look_s = time.monotonic()
        if self._failures > 1:
            self._owner.wake_all()
            time.sleep(AWAY_S)

    def _leave(self) -> None:
        try:
            self._client.execute_together([tails.leave(self.tailer, self.left)])
        except WakelineError as error:
            log.info("The stream of a tailer is left to expire: %s", error)
        self._client.close()
