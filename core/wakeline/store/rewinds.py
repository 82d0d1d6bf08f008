"""What a client knows of its writes: which were answered, and that the store has them still. Where it has not, the
store went back: a rewind.

Invariant: a script that writes numbers the write among its client's own, in the same step (lib/bundle.lua). So a store
that lost a write lost its number too,
and whoever was answered that number finds out: by the answer to the next write, or by a look, once a beat.
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
"""How long the row of a client is kept from its first write (lib/bundle.lua) and from a look, and with how much left a
look renews that. Many clients live
for one call: theirs go soon.
"""
OVER_S = 10
"""A row that is missing and had no longer to live was not lost."""
APART_MS, REMEMBERED = 100, 1024
"""When writes were answered is remembered once in so many ms, and so many of these times; beyond that every second one
of the older half goes."""
TOGETHER_MS = 60_000
"""Clients that find within so long that the store went back tell of one rewind."""
TOLD_FOR_MS = 24 * 3_600_000
"""How long the store says so."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """What the store lost of what it had answered to one client: how many writes, and when (ms, server time) the first
    and the last of them were answered."""

    client: str
    writes: int
    first_ms: int = 0
    last_ms: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What a look of a client found: how many of its writes are there, and which secret the namespace has."""

    client: str
    answered: int
    number: int
    secret_id: str
    kept: bool = False
    """Whether it had the row kept for longer."""


class Answered:
    """The writes of one client of one OS process that were answered; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: Rewind | None = None
        self.begin()

    def begin(self) -> None:
        """Counts anew, under a name of its own: what was answered before is nobody's any more."""
        self._client = token_hex(8)
        self._number = self._last_ms = 0
        self._times: list[tuple[int, int]] = []
        self._keep(FIRST_MS)

    def _keep(self, ms: int) -> None:
        # The time of a process in seconds, and that of the machine in ms.
        self._until = time.monotonic() + ms / 1000, machine_ms() + ms

    @property
    def _left_s(self) -> float:
        # By either clock: one of them stands still while a machine sleeps.
        return min(self._until[0] - time.monotonic(), (self._until[1] - machine_ms()) / 1000)

    def stamp(self) -> tuple[str, int]:
        """What a script is given: the client, and the number of its last write that was answered."""
        with self._lock:
            return self._client, self._number

    def heard(self, client: str, number: int | str, now_ms: int) -> None:
        """A script's answer to this stamp: the number of its last write; '' where it only looked; from 0 down, how many
        are there, negated: not all."""
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
        """Since when a write and those that came with it are answered."""
        if len(self._times) == REMEMBERED:
            del self._times[1 : REMEMBERED // 2 : 2]  # the first stays: what is lost may begin with it
        self._times.append((number, now_ms))

    def _lost(self, there: int) -> None:
        if there == 0 and self._left_s < OVER_S:
            self.begin()
            return
        first = next(
            (at for number, at in reversed(self._times) if number <= there + 1), self._times[0][1] if self._times else 0
        )
        self._found = Rewind(self._client, self._number - there, first, self._last_ms)
        # What is still on its way under the old name tells nothing new.
        self.begin()

    @property
    def noticed(self) -> bool:
        """Whether there is a rewind that was not told yet."""
        return self._found is not None

    def found(self) -> Rewind | None:
        """A rewind that was found since the last time this was asked."""
        with self._lock:
            found, self._found = self._found, None
            return found

    def put_back(self, rewind: Rewind | None) -> None:
        """It could not be told yet."""
        with self._lock:
            self._found = self._found or rewind

    def look(self) -> Call[Look]:
        """The call that looks whether all is there."""
        client, answered = self.stamp()
        keep = answered > 0 and self._left_s < RENEW_S
        args = {"client": client, "keep_ms": KEEP_MS if keep else None}
        return Call(LOOK, args, lambda reply: Look(client, answered, int(reply[0]), str(reply[1]), keep))

    def looked(self, look: Look) -> None:
        """What a look found. What was answered meanwhile may be there already, so more is no fault."""
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
    """After the store went back, or may be another one: the namespace's secrets as they are now. What was known of
    another namespace, or of what is gone, is
    forgotten; the log and doctor are told.
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
    """How much was lost, as log and doctor say it."""
    return (
        f"{writes} acknowledged write{'' if writes == 1 else 's'}, answered from {moment(first_ms, exact=True)} to"
        f" {moment(last_ms, exact=True)}"
    )


def said(lost: Rewind, *, emptied: bool) -> str:
    """What a client logs of a rewind."""
    much = (
        f": {lost_writes(lost.writes, lost.first_ms, lost.last_ms)}, {'is' if lost.writes == 1 else 'are'} gone"
        if lost.writes
        else ""
    )
    if emptied:
        return (
            f"the store was emptied, or is another one now{much}. What is still to be done has to be sent again, with"
            " the same ids and keys."
        )
    return (
        f"the store has gone back, by a crash, a failover or a restore{much}. Starts, signals and events of that time"
        " may be gone; their senders send them again with the same ids and keys. Live work goes on from what is there."
    )
