"""What the short fields of stored hashes say, by name: their letters are known to the store alone.

Invariant: nothing here decides; a field that is not there, or that another release keeps as something else, reads as
its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wakeline.fixed import fixed
from wakeline.processes.misfit import Misfit
from wakeline.values import number
from wakeline.waits.kinds import as_question

LOST_WITH_OTHERS = 2
"""So often a process is lost with its worker before it runs apart from others (scripts say so: crashes.APART)."""


class ProcessFields:
    """The record of a process, beside its registration."""

    __slots__ = ()
    fields: Mapping[str, str]

    @property
    def status(self) -> str:
        """queued, running, waiting, or how it ended."""
        return self.fields.get("st", "unknown")

    @property
    def queue(self) -> str | None:
        """RQ's name of its queue."""
        return self.fields.get("q")

    @property
    def incarnation(self) -> str:
        """Which registration of the id this is."""
        return self.fields["inc"]

    @property
    def created_ms(self) -> int:
        """When it was registered."""
        return number(self.fields.get("ca"))

    @property
    def status_since_ms(self) -> int:
        """When it got its status."""
        return number(self.fields.get("sn") or self.fields.get("ua"))

    @property
    def runnable_ms(self) -> int | None:
        """Since when a worker could take it: a claim says so that was asked (`take(seen=…)`)."""
        return number(self.fields.get("bs")) or None

    @property
    def queue_ms(self) -> int:
        """How long it was queued, in all its claims that were asked."""
        return number(self.fields.get("qm"))

    @property
    def parked_ms(self) -> int:
        """How long it was parked, likewise."""
        return number(self.fields.get("pm"))

    @property
    def headers(self) -> str | None:
        """What instruments gave the run before (JSON)."""
        return self.fields.get("hs")

    @property
    def originator(self) -> str | None:
        """Who its chain of starts began with, where that is not the host."""
        return self.fields.get("by")

    @property
    def generation_began_ms(self) -> int | None:
        """When its generation began, where that is not the first."""
        return number(self.fields.get("gs")) or None

    @property
    def sequence(self) -> int:
        """The number of its latest event."""
        return number(self.fields.get("seq"))

    @property
    def deadline_ms(self) -> int | None:
        """When its time is over; None without a deadline."""
        return number(self.fields.get("dl")) or None

    @property
    def owner(self) -> str | None:
        """The worker that runs it, or ran it last."""
        return self.fields.get("ow")

    @property
    def release(self) -> str | None:
        """The release of the code that ran it last."""
        return self.fields.get("rel")

    @property
    def wake_session(self) -> str | None:
        """The session that its wakes go to."""
        return self.fields.get("ws")

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """Names of the signals it waits for."""
        return tuple(name[2:] for name in self.fields if name.startswith("n:"))

    @property
    def has_begun(self) -> bool:
        """Whether its body was called before."""
        return "fs" in self.fields

    @property
    def has_failed(self) -> bool:
        """Whether a run of it failed before."""
        return "fa" in self.fields

    @property
    def failed_attempts(self) -> int:
        """Attempts that failed since its last progress."""
        return number(self.fields.get("at"))

    @property
    def losses(self) -> int:
        """Runs that were lost with their workers since its last progress."""
        return number(self.fields.get("ls"))

    @property
    def runs_beside(self) -> int | None:
        """How many others, which were lost with their workers, too, may at most run in the worker of a process that was
        lost twice or more often; None of a process that may run beside any other."""
        crash = self.misfit
        lost = self.losses + (crash.looks if crash is not None and crash.kind == "crash" else 0)
        return None if lost < LOST_WITH_OTHERS else max(0, number(self.fields.get("lb"), 1) - 1)

    @property
    def runs_again_ms(self) -> int | None:
        """When a queued process that was lost with its worker more than twice is run again, apart from others (server
        ms); None of others."""
        over = self.losses - LOST_WITH_OTHERS
        if over <= 0 or self.status != "queued":
            return None
        return number(self.fields.get("sn")) + min(1_000 << (min(over, 10) - 1), 60_000)

    @property
    def attempt(self) -> int:
        """Which attempt runs or comes next, from 1: failed ones and losses since its last progress count. The one that
        runs keeps its number, as in the log, however far it gets."""
        if self.status == "running":
            return number(self.fields.get("tr")) or 1
        return self.failed_attempts + self.losses + 1

    @property
    def engine_version(self) -> str | None:
        """The version of its engine that runs it; None without one."""
        return self.fields.get("ver") or None

    @property
    def turn_of(self) -> str | None:
        """The session that it is a turn of."""
        return self.fields.get("sid")

    @property
    def held_at(self) -> str | None:
        """The limit (`limit_id`, or ``q:<queue>``) at which it waits for a place."""
        return self.fields.get("hd")

    @property
    def rated_at(self) -> str | None:
        """The limit at which it waits until its rate lets it begin."""
        return self.fields.get("rd")

    @property
    def aside(self) -> str | None:
        """The code that a worker must have to take it, where it waits for one: ``e:<engine>`` and so on."""
        line = self.fields.get("as")
        return line.split(" ")[-1] if line else None

    @property
    def is_limited(self) -> bool:
        """Whether it runs under a limit, whose place others may wait for."""
        return "lm" in self.fields

    @property
    def awaits_children(self) -> bool:
        """Whether it ever started a process that its end has to wait for."""
        return "aw" in self.fields

    @property
    def cancel_requested(self) -> bool:
        """Whether a cancel was requested."""
        return "cr" in self.fields

    @property
    def left_unread(self) -> str | None:
        """What of it the worker that took it last could not read."""
        return self.fields.get("ur")

    @property
    def misfit(self) -> Misfit | None:
        """Why code could not go on with it before; it counts while the process is queued."""
        return Misfit.from_json(self.fields.get("mf"))


@fixed
class StoredRecord(ProcessFields):
    """The record of a process that was read by the way, as that of a session's turn."""

    fields: Mapping[str, str]


@fixed
class Slot:
    """One await-event slot of a process."""

    fields: Mapping[str, str]

    @property
    def is_open(self) -> bool:
        """Whether a body waits for it: it was opened, and neither answered nor given up."""
        return self.group is not None and self.resolution is None and not self.is_given_up

    @property
    def is_given_up(self) -> bool:
        """Whether the body closed it."""
        return "z" in self.fields

    @property
    def group(self) -> str | None:
        """The waits that resume the process together; None for one that was answered before a body waited."""
        return self.fields.get("g")

    @property
    def resolution(self) -> str | None:
        """What it was resolved with (JSON)."""
        return self.fields.get("r")

    @property
    def kind(self) -> str:
        """The code for what is awaited, with its name: ``s:go`` is a signal."""
        stored = self.fields.get("k", "")
        return as_question(stored) if "q" in self.fields else stored

    @property
    def opened_ms(self) -> int | None:
        """Since when a body waits for it; None if a release before this one opened it."""
        return number(self.fields.get("o")) or None

    @property
    def headers(self) -> str | None:
        """What instruments gave what resolved it (JSON)."""
        return self.fields.get("hs")

    @property
    def sequence(self) -> int:
        """The number of the event that resolved it, where that is a signal."""
        return number(self.fields.get("rs"))

    @property
    def due_ms(self) -> int | None:
        """When the wait is over at the latest; None if it has no time."""
        return number(self.fields.get("d")) or None


@dataclass(frozen=True, slots=True)
class SessionHead:
    """The head of a session (`wakeline.store.heads` has a row for each field)."""

    fields: Mapping[str, str]

    def _number(self, letter: str) -> int | None:
        return number(self.fields[letter]) if letter in self.fields else None

    @property
    def agent(self) -> str | None:
        """The agent that reads it; None while it was only addressed."""
        return self.fields.get("ag")

    @property
    def turn(self) -> str | None:
        """The id of the turn that runs or waits."""
        return self.fields.get("turn")

    @property
    def frame(self) -> str | None:
        """The agent frame it is in."""
        return self.fields.get("fr")

    @property
    def revision(self) -> int:
        """The revision of its history."""
        return self._number("rev") or 0

    @property
    def entries(self) -> int:
        """The number of its latest entry."""
        return self._number("n") or 0

    @property
    def blocked_by(self) -> int | None:
        """The entry that blocks it."""
        return self._number("blk")

    @property
    def is_isolating(self) -> bool:
        """Whether a batch that failed is taken in parts."""
        return "half" in self.fields

    @property
    def created_ms(self) -> int | None:
        """When it was opened."""
        return self._number("ca")

    @property
    def deleted_ms(self) -> int | None:
        """When it was deleted."""
        return self._number("gone")
