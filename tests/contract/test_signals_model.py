"""Signals and waits against an independent model, in any order of send, resend, wait, timeout, giving up, cancel, park,
crash and end.

Invariant: the model is a list of signals and what became of each; every signal is in exactly one place, and each wait
got at most one.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from wakeline.errors import LeaseLost, ProcessAlreadyTerminal
from wakeline.processes.lease import Fence
from wakeline.store import ends, journal, owners, waits
from wakeline.store.journal import Row
from wakeline.store.waits import Met

if TYPE_CHECKING:
    from tests.contract.conftest import World

NAMES = st.sampled_from(["a", "b"])
LIMIT_MS = 10_000
CANCELLED, TIMEOUT = '{"status":"cancelled"}', '{"status":"timeout"}'


@dataclass
class Sent:
    """A signal of the model: its name, its sender's id, its number in the log."""

    name: str
    key: str
    sequence: int

    @property
    def resolution(self) -> str:
        return f'{{"status":"ok","value":"{self.key}"}}'


@dataclass
class Waiting:
    """A wait of the model: open, or resolved by a signal, a timeout or a cancel."""

    ordinal: int
    due_ms: int | None
    taken: Sent | None = None
    resolution: str | None = None

    def get(self, sent: Sent) -> None:
        self.taken, self.resolution = sent, sent.resolution


class Signals(RuleBasedStateMachine):
    """One process with two signal names, workers that die, and a network that repeats itself."""

    fresh: Callable[[], World]
    seen: Counter[str] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).fresh()
        self.numbers = itertools.count(1)
        self.sent: list[Sent] = []
        self.mailbox: list[Sent] = []
        self.waits: dict[str, Waiting] = {}
        self.ordinals: Counter[str] = Counter()
        self.consumed: list[Sent] = []
        self.events = 0
        self.cancelled = self.ended = False
        self.status = "running"
        self.owner = "o_1"
        self.fence: Fence = self.world.running("p", self.owner)
        self.old: list[Fence] = []

    def teardown(self) -> None:
        self.world.store.close()

    def begin(self) -> None:
        """The first effect of a run writes that it began."""
        self.events += not self.events and 1

    def runnable(self) -> None:
        """A parked process whose wait was resolved is queued again: one group is enough."""
        if self.status == "waiting":
            self.status, self.events = "queued", self.events + 1

    # -- senders

    @rule(name=NAMES, twice=st.booleans())
    def send(self, name: str, twice: bool) -> None:
        key = f"s{next(self.numbers)}"
        if self.ended:
            with pytest.raises(ProcessAlreadyTerminal):
                self.world.signal("p", name, key, key=key)
            self.seen["sent to an ended process"] += 1
            return
        receipt = self.world.signal("p", name, key, key=key)
        sent = Sent(name, key, receipt.sequence)
        self.sent.append(sent)
        wait = self.waits.get(name)
        if wait is not None and wait.resolution is None:
            assert receipt.taken_by == "slot"
            wait.get(sent)
            self.seen["taken at once"] += 1
            self.runnable()
        else:
            assert receipt.taken_by == "mail"
            self.mailbox.append(sent)
            self.seen["kept"] += 1
        if twice:
            self.again(sent)

    @precondition(lambda self: bool(self.sent))
    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        self.again(data.draw(st.sampled_from(self.sent)))

    def again(self, sent: Sent) -> None:
        """An old signal comes again: it is the one that was recorded, and resolves nothing new, with any waits."""
        receipt = self.world.signal("p", sent.name, sent.key, key=sent.key)
        assert (receipt.sequence, receipt.replayed, receipt.taken_by) == (sent.sequence, True, "")
        self.seen["resent"] += 1

    # -- the run

    def held(self) -> bool:
        """A worker has it; one that was queued is taken first."""
        if self.status == "queued":
            self.take()
        return self.status == "running" and not self.ended

    def take(self) -> None:
        self.world.worker(self.owner)
        (claim,) = self.world.take(self.owner)
        self.old.append(self.fence)
        self.fence, self.status = claim.fence, "running"

    @rule(name=NAMES, limited=st.booleans(), twice=st.booleans())
    def wait(self, name: str, limited: bool, twice: bool) -> None:
        if not self.held():
            return
        wait = self.waits.get(name)
        if wait is None:
            self.ordinals[name] += 1
            wait = self.waits[name] = Waiting(
                self.ordinals[name], self.world.clock.now_ms() + LIMIT_MS if limited else None
            )
            mine = next((sent for sent in self.mailbox if sent.name == name), None)
            if self.cancelled:
                wait.resolution = CANCELLED
                self.seen["cancelled at once"] += 1
            elif mine is not None:
                self.mailbox.remove(mine)
                wait.get(mine)
                self.seen["taken from the mailbox"] += 1
        over: dict[str, Any] = {"for_ms": LIMIT_MS} if wait.due_ms is not None else {}
        for _ in range(2 if twice else 1):
            opened = self.world.wait_for(self.fence, name, wait.ordinal, **over)
            assert opened.state == ("open" if wait.resolution is None else "done")
            assert wait.resolution is None or opened.text == wait.resolution

    @precondition(lambda self: any(wait.resolution for wait in self.waits.values()))
    @rule(twice=st.booleans())
    def consume(self, twice: bool) -> None:
        """The outcome is journaled: from here on it is consumed, once."""
        if not self.held():
            return
        name, wait = next((name, wait) for name, wait in self.waits.items() if wait.resolution)
        self.begin()
        row = Row(f"wait-{name}.{wait.ordinal}", str(wait.resolution), (f"slot-{name}.{wait.ordinal}",))
        for _ in range(2 if twice else 1):
            self.world.do(journal.record(self.fence, [row]))
        if wait.taken is not None:
            self.consumed.append(wait.taken)
            self.seen["consumed"] += 1
        del self.waits[name]

    @rule(name=NAMES, twice=st.booleans())
    def take_one(self, name: str, twice: bool) -> None:
        """A body that waits for the next signal, and goes on when it has it."""
        self.wait(name, False, False)
        if any(wait.resolution for wait in self.waits.values()):
            self.consume(twice)

    @precondition(lambda self: bool(self.waits))
    @rule(twice=st.booleans())
    def give_up(self, twice: bool) -> None:
        """The loser of a race, a cancelled task: what had resolved it goes back to the head of the mailbox."""
        if not self.held():
            return
        name, wait = next(iter(self.waits.items()))
        for _ in range(2 if twice else 1):
            self.world.do(waits.close_waits(self.fence, [f"slot-{name}.{wait.ordinal}"]))
        if wait.taken is not None:
            self.mailbox = sorted([wait.taken, *self.mailbox], key=lambda sent: sent.sequence)
            self.seen["given back"] += 1
        del self.waits[name]
        late = self.world.wait_for(self.fence, name, wait.ordinal)
        assert late.state != "open", "a late duplicate of a wait that is over would swallow the next signal"

    @rule()
    def park(self) -> None:
        if not self.held() or not self.waits:
            return
        groups = [f"{name}.{wait.ordinal}" for name, wait in self.waits.items()]
        answer = self.world.do(waits.park(self.fence, groups, "{}"))
        if any(wait.resolution for wait in self.waits.values()):
            assert isinstance(answer, Met)
            self.seen["not parked"] += 1
            return
        if self.cancelled:
            assert isinstance(answer, Met)
            return
        assert isinstance(answer, waits.LetGo)
        self.begin()
        self.status, self.events = "waiting", self.events + 1
        self.seen["parked"] += 1

    @rule(late=st.booleans())
    def crash(self, late: bool) -> None:
        """The worker falls silent, another one has its work; the dead one may still write, and is refused."""
        if self.status != "running" or self.ended:
            return
        self.world.do(owners.reap(self.owner, "shutdown"))
        self.owner = f"o_{next(self.numbers)}"
        self.status = "queued"
        self.take()
        self.seen["crash"] += 1
        if late:
            with pytest.raises(LeaseLost):
                self.world.do(
                    waits.close_waits(
                        self.old[-1], [f"slot-{name}.{wait.ordinal}" for name, wait in self.waits.items()]
                    )
                )
            self.seen["late writer"] += 1

    # -- time, cancel, end

    @rule()
    def time_passes(self) -> None:
        self.world.clock.advance("11s")
        self.world.do(owners.beat(self.owner, None, lease_ms=5_000))
        self.world.tick()
        for wait in self.waits.values():
            if wait.resolution is None and wait.due_ms is not None and wait.due_ms <= self.world.clock.now_ms():
                wait.resolution = TIMEOUT
                self.seen["timed out"] += 1
                self.runnable()

    @precondition(lambda self: not self.cancelled and len(self.consumed) > 1)
    @rule()
    def cancel(self) -> None:
        if self.ended:
            return
        self.world.do(ends.cancel("p", "asked", grace_ms=10**9))
        self.cancelled = True
        self.events += 1
        for wait in self.waits.values():
            if wait.resolution is None:
                wait.resolution = CANCELLED
                self.seen["cancelled"] += 1
        self.runnable()

    @precondition(lambda self: self.cancelled or len(self.consumed) > 3)
    @rule()
    def end(self) -> None:
        if not self.held():
            return
        self.world.finish("p", 1, self.fence)
        self.ended, self.mailbox, self.waits = True, [], {}
        self.seen["ended"] += 1

    # -- what always holds

    @invariant()
    def the_mailbox_is_the_models(self) -> None:
        """Of each name in the order they were sent; the names stand in one list."""
        kept = self.world.store.client.lrange(self.world.store.address.prefix + "mail:p", 0, -1)
        for name in ("a", "b"):
            assert [one for one in kept if one.startswith(f"{name}:")] == [
                f"{name}:{sent.sequence}" for sent in self.mailbox if sent.name == name
            ]

    @invariant()
    def every_signal_is_in_one_place_and_no_wait_has_two(self) -> None:
        taken = [wait.taken for wait in self.waits.values() if wait.taken is not None]
        placed = [sent.key for sent in [*self.mailbox, *taken, *self.consumed]]
        assert len(placed) == len(set(placed))
        assert self.ended or sorted(placed) == sorted(sent.key for sent in self.sent)
        journaled = [text for key, text in self._journal().items() if key.startswith("wait-")]
        assert Counter(text for text in journaled if "ok" in text) == Counter(sent.resolution for sent in self.consumed)

    def _journal(self) -> dict[str, str]:
        found: dict[str, str] = self.world.store.client.hgetall(self.world.store.address.prefix + "journal:p")
        return found

    @invariant()
    def its_status_is_the_models(self) -> None:
        assert self.world.status("p") == ("completed" if self.ended else self.status)


FLOORS = {
    "taken at once": 20,
    "kept": 40,
    "taken from the mailbox": 20,
    "resent": 40,
    "consumed": 20,
    "given back": 5,
    "parked": 10,
    "not parked": 3,
    "crash": 20,
    "late writer": 5,
    "timed out": 5,
    "cancelled": 1,
    "cancelled at once": 1,
    "ended": 1,
    "sent to an ended process": 1,
}


def test_every_signal_is_consumed_at_most_once_and_none_is_lost(fresh: Callable[[], World]) -> None:
    Signals.fresh, Signals.seen = staticmethod(fresh), Counter()
    run_state_machine_as_test(
        Signals,
        settings=settings(
            max_examples=170,
            stateful_step_count=60,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert {what: n for what, n in FLOORS.items() if Signals.seen[what] < n} == {}, Signals.seen
