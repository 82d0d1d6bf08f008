"""What a client knows of its writes: which were answered, and whether the store still has them. If it has not, the
store went back: a rewind.

Invariant: a script that writes numbers the write for its client, in the same step (lib/bundle.lua). So a store that
lost a write lost its number too. The client that was answered that number finds out, by the answer to its next write,
or by a look, once a beat.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from wakeline.clock import machine_ms
from wakeline.shown import logger, moment
from wakeline.store.calls import Call, Program
from wakeline.waits.keys import Keyring

log = logger("wakeline.store")
LOOK = "client_look"
FIRST_MS, KEEP_MS, RENEW_S = 300_000, 3_600_000, 2_700
"""How long the row of a client is kept after its first write (lib/bundle.lua) and after a look, and how much may be
left when a look renews it. Many clients live for one call, so their rows go soon.
"""
OVER_S = 10
"""A missing row with no more time left than this was not lost."""
APART_MS, REMEMBERED = 100, 1024
"""How often (ms) the time of an answer is kept, and how many of these times. Beyond that every second one of the older
half goes."""
TOGETHER_MS = 60_000
"""The time (ms) in which finds of several clients count as one rewind."""
TOLD_FOR_MS = 24 * 3_600_000
"""How long the store keeps it, in ms."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """What the store lost of one client's answered writes: how many, and when (ms, server time) the first and the last
    of them were answered."""

    client: str
    writes: int
    first_ms: int = 0
    last_ms: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What a look of a client found: how many of its writes the store has, and the secret of the namespace."""

    client: str
    answered: int
    number: int
    secret_id: str
    kept: bool = False
    """Whether the look renewed the row."""


class Answered:
    """The answered writes of one client of one OS process; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: Rewind | None = None
        self.begin()

    def begin(self) -> None:
        """Begins to count anew under a new name; earlier answers do not count any more."""
        self._client = token_hex(8)
        self._number = self._last_ms = 0
        self._times: list[tuple[int, int]] = []
        self._keep(FIRST_MS)

    def _keep(self, ms: int) -> None:
        # The clock of the process in seconds, and that of the machine in ms.
        self._until = time.monotonic() + ms / 1000, machine_ms() + ms

    @property
    def _left_s(self) -> float:
        # By both clocks, because one of them stands still while a machine sleeps.
        return min(self._until[0] - time.monotonic(), (self._until[1] - machine_ms()) / 1000)

    def stamp(self) -> tuple[str, int]:
        """What a script gets: the client, and the number of its last answered write."""
        with self._lock:
            return self._client, self._number

    def heard(self, client: str, number: int | str, now_ms: int) -> None:
        """Takes a script's answer to this stamp: the number of its last write, or '' if it only looked. A number from 0
        down means that writes are missing; it is the negated count of those that the store has."""
        with self._lock:
            if client != self._client or isinstance(number, str):
                return
            if number <= 0:
                self._lost(-number)
                return
            if self._number == 0:
                self._keep(FIRST_MS)
            if not self._times or now_ms - self._times[-1][1] >= APART_MS:
                self._remember(min(number, self._number + 1), now_ms)
            self._number = max(self._number, number)
            self._last_ms = now_ms

    def _remember(self, number: int, now_ms: int) -> None:
        """Keeps the time at which a write and those that came with it were answered."""
        if len(self._times) == REMEMBERED:
            del self._times[1 : REMEMBERED // 2 : 2]  # the first stays, because a loss may begin with it
        self._times.append((number, now_ms))

    def _lost(self, there: int) -> None:
        if there == 0 and self._left_s < OVER_S:
            self.begin()
            return
        first = next(
            (at for number, at in reversed(self._times) if number <= there + 1), self._times[0][1] if self._times else 0
        )
        self._found = Rewind(self._client, self._number - there, first, self._last_ms)
        # Answers that are still on their way under the old name tell nothing new.
        self.begin()

    @property
    def noticed(self) -> bool:
        """Whether there is a rewind that was not reported yet."""
        return self._found is not None

    def found(self) -> Rewind | None:
        """A rewind that was found since the last call; None if there is none."""
        with self._lock:
            found, self._found = self._found, None
            return found

    def put_back(self, rewind: Rewind | None) -> None:
        """Takes a rewind back that could not be reported yet."""
        with self._lock:
            self._found = self._found or rewind

    def look(self) -> Call[Look]:
        """The call that looks whether all is there."""
        client, answered = self.stamp()
        keep = answered > 0 and self._left_s < RENEW_S
        args = {"client": client, "keep_ms": KEEP_MS if keep else None}
        return Call(LOOK, args, lambda reply: Look(client, answered, int(reply[0]), str(reply[1]), keep))

    def looked(self, look: Look) -> None:
        """Takes what a look found. The store may already have writes that were answered meanwhile, so a higher number
        is no fault."""
        with self._lock:
            if look.client != self._client:
                return
            if look.number < look.answered:
                self._lost(look.number)
            elif look.kept:
                self._keep(KEEP_MS)


def renewing(
    opening: Call[Keyring], known: Keyring, rewind: Rewind | None, forget: Callable[[], None]
) -> Program[Keyring]:
    """Renews what is known after the store went back, or may be another one; returns the present secrets of the
    namespace.

    It forgets what is known of another namespace or of lost data, and reports to the log and to doctor.
    """
    ring: Keyring = yield opening
    emptied = ring.origin != known.origin
    if rewind is None and not emptied:
        return ring
    forget()
    lost = rewind or Rewind(token_hex(8), 0)
    log.error(said(lost, emptied=emptied))
    yield tell(lost, emptied=emptied)
    return ring


def tell(lost: Rewind, *, emptied: bool) -> Call[None]:
    """Keep for doctor what this client found."""
    args: dict[str, Any] = {
        "client": lost.client,
        "writes": lost.writes,
        "first": lost.first_ms,
        "last": lost.last_ms,
        "emptied": "1" if emptied else None,
    }
    return Call("rewind_tell", args | {"together_ms": TOGETHER_MS, "keep_ms": TOLD_FOR_MS}, lambda _: None)


def lost_writes(writes: int, first_ms: int, last_ms: int) -> str:
    """How much was lost, in words for log and doctor."""
    return (
        f"{writes} acknowledged write{'' if writes == 1 else 's'}, answered from {moment(first_ms, exact=True)} to"
        f" {moment(last_ms, exact=True)}"
    )


def said(lost: Rewind, *, emptied: bool) -> str:
    """What a client logs about a rewind."""
    much = (
        f": {lost_writes(lost.writes, lost.first_ms, lost.last_ms)}, {'is' if lost.writes == 1 else 'are'} gone"
        if lost.writes
        else ""
    )
    if emptied:
        return (
            f"the store was emptied, or is another one now{much}. Send again what still has to be done, with the same"
            f" ids and keys."
        )
    return (
        f"the store has gone back, by a crash, a failover or a restore{much}. Starts, signals and events of that time"
        " may be gone; their senders send them again with the same ids and keys. Live work goes on from what is there."
    )
