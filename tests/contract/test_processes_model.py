"""Random lives of processes against a model that shares no code with the product (P193 to P197).

Invariant: the model is a few dicts and lists; what it expects is decided before the store is asked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from wakeline.errors import (
    LeaseLost,
    ProcessAlreadyTerminal,
    ProcessConflict,
    ProcessNotFound,
    ReplayConflict,
    WakelineError,
)
from wakeline.processes.lease import Fence
from wakeline.store import ends, fleet, journal, owners, sessions, starts
from wakeline.store.journal import Row
from wakeline.verbs import processes

from tests.contract.folding import check_fold

if TYPE_CHECKING:
    from tests.contract.conftest import World

LEASE_MS = 5_000
CHAT = "chat/1"
SCOPE = "session:chat/1"
WALKS, STEPS, LEAST = 12, 100, 5


@dataclass
class Life:
    """What the model knows of one process."""

    payload: int
    status: str = "queued"
    epoch: int = 1
    events: list[tuple[str, Any]] = field(default_factory=list)
    keys: dict[str, tuple[int, str, Any]] = field(default_factory=dict)
    fences: list[Fence] = field(default_factory=list)
    ended_by: Fence | None = None

    @property
    def ended(self) -> bool:
        return self.status not in ("queued", "running")

    def add(self, event_type: str, payload: Any, key: str | None = None) -> int:
        self.events.append((event_type, payload))
        if key is not None:
            self.keys[key] = (len(self.events), event_type, payload)
        return len(self.events)

    def begin(self) -> None:
        if "process.started" not in [name for name, _ in self.events]:
            self.add("process.started", {})

    def end(self, status: str, output: Any) -> None:
        if self.status == "running":
            self.begin()
        self.add(f"process.{status}", {"await_output": output})
        self.status = status

    def known(self, key: str | None, event_type: str, payload: Any) -> int | type[WakelineError] | None:
        """What a replay key answers, before anything else is looked at."""
        if key is None or key not in self.keys:
            return None
        sequence, *content = self.keys[key]
        return sequence if content == [event_type, payload] else ReplayConflict

    def holds(self, fence: Fence) -> bool:
        return self.status == "running" and fence is self.fences[-1]


class Walk:
    """One random walk; ``seen`` counts what happened, so that a walk that did nothing is noticed."""

    def __init__(self, world: World, seed: int, seen: Counter[str]) -> None:
        self.world, self.seen, self.dice = world, seen, Random(seed)
        self.lives: dict[str, Life] = {}
        self.inbox: list[tuple[str, int, str]] = []
        self.grants: set[str] = set()
        self.steps: list[str] = []
        world.worker()

    def go(self) -> None:
        """The whole walk; a failure shows the steps that led to it."""
        moves = [
            self.start,
            self.emit,
            self.emit,
            self.signal,
            self.take,
            self.record,
            self.hand_back,
            self.finish,
            self.cancel,
            self.grant,
            self.wait,
        ]
        for _ in range(STEPS):
            try:
                self.dice.choice(moves)()
                self.check(self.any_pid())
            except AssertionError as wrong:
                wrong.add_note("\n".join(self.steps))
                raise
        self.check(*self.lives)

    def any_pid(self) -> str:
        return self.dice.choice("abcd")

    def any_fence(self) -> tuple[Life, Fence] | None:
        """One that a run of some process has or had."""
        life = self.lives.get(self.any_pid())
        return (life, self.dice.choice(life.fences[-2:])) if life and life.fences else None

    def expect(self, expected: Any, what: str, do: Callable[[], Any]) -> None:
        """Does it and compares: a value, or the error it has to raise."""
        self.steps.append(f"{what}: {expected}")
        if isinstance(expected, type) and issubclass(expected, WakelineError):
            self.seen[f"{what}: {expected.__name__}"] += 1
            with pytest.raises(expected):
                do()
        else:
            self.seen[what] += 1
            assert do() == expected

    def start(self) -> None:
        pid, payload = self.any_pid(), self.dice.randint(0, 1)
        life = self.lives.setdefault(pid, Life(payload))
        registration = self.world.registration(pid, payload=payload, wake_target={"session_id": CHAT})
        expected: Any = ProcessConflict if life.payload != payload else life.status
        self.expect(expected, "start", lambda: self.world.do(starts.register(registration)).status)

    def emit(self) -> None:
        pid, event_type, text, key = (
            self.any_pid(),
            self.dice.choice(["log", "wake"]),
            self.dice.choice("xy"),
            self.dice.choice([None, "k1", "k2"]),
        )
        life = self.lives.get(pid)
        expected: Any = ProcessNotFound if life is None else life.known(key, event_type, text)
        what = "emit" if expected is None else "replay"
        if life is not None and expected is None:
            if life.ended:
                expected = ProcessAlreadyTerminal
            else:
                expected = life.add(event_type, text, key)
                if event_type == "wake":
                    self.inbox.append((pid, expected, text))
        self.expect(expected, what, lambda: self.world.emit(pid, event_type, text, key=key))

    def signal(self) -> None:
        pid, signal_id, text = self.any_pid(), self.dice.choice("12"), self.dice.choice("xy")
        life = self.lives.get(pid)
        key = f"signal {signal_id}"
        expected: Any = ProcessNotFound if life is None else life.known(key, "signal.go", text)
        if life is not None and expected is None:
            expected = ProcessAlreadyTerminal if life.ended else life.add("signal.go", text, key)
        self.expect(expected, "signal", lambda: self.world.signal(pid, "go", text, key=signal_id).sequence)

    def take(self) -> None:
        queued = {pid for pid, life in self.lives.items() if life.status == "queued"}
        claims = {claim.process_id: claim.fence for claim in self.world.take()}
        assert set(claims) == queued
        for pid, fence in claims.items():
            self.lives[pid].fences.append(fence)
            self.lives[pid].status = "running"
            assert fence.epoch == self.lives[pid].epoch

    def record(self) -> None:
        if found := self.any_fence():
            life, fence = found
            expected = None if life.holds(fence) else LeaseLost
            if expected is None:
                life.begin()
            self.expect(expected, "record", lambda: self.world.do(journal.record(fence, [Row("step", "{}")])))

    def hand_back(self) -> None:
        if found := self.any_fence():
            life, fence = found
            again = life.status == "queued" and fence.epoch + 1 == life.epoch
            if life.holds(fence):
                life.status, life.epoch = "queued", life.epoch + 1
                again = True
            self.expect("released" if again else LeaseLost, "hand back", lambda: self.world.do(ends.release(fence)))

    def finish(self) -> None:
        if found := self.any_fence():
            life, fence = found
            what = "finish again" if life.ended_by is fence else "finish"
            if life.holds(fence):
                life.end("completed", {"type": "success", "value": 1})
                life.ended_by = fence
            expected = len(life.events) if life.ended_by is fence else LeaseLost
            self.expect(expected, what, lambda: self.world.finish(fence.process_id, 1, fence))

    def cancel(self) -> None:
        pid = self.any_pid()
        life = self.lives.get(pid)
        if life is not None and not life.ended and "cancel" not in life.keys:
            life.add("process.cancel_requested", {"reason": "enough"}, "cancel")
        self.expect(
            life.status if life else ProcessNotFound,
            "cancel",
            lambda: self.world.go(processes.cancel(self.world.caller, pid, "enough")),
        )

    def wait(self) -> None:
        """The grace of every cancel passes."""
        for life in self.lives.values():
            if "cancel" in life.keys and not life.ended:
                self.seen["grace"] += 1
                life.end("cancelled", {"type": "cancelled", "message": "enough"})
        self.world.clock.advance("10s")
        self.world.do(owners.beat("o_1", None, lease_ms=LEASE_MS))
        self.world.tick()

    def grant(self) -> None:
        pid, give = self.any_pid(), self.dice.random() < 0.7
        if pid in self.lives:
            (self.grants.add if give else self.grants.discard)(pid)
            self.world.do(sessions.grant(SCOPE, pid, "{}") if give else sessions.revoke(SCOPE, pid))

    def check(self, *pids: str) -> None:
        """The store is what the model says, and these records the fold of their logs."""
        counts = Counter(life.status for life in self.lives.values())
        assert {name: n for name, n in self.world.do(fleet.read_fleet([])).counts.items() if n} == counts
        assert [row[0] for row in self.world.do(sessions.list_grants(SCOPE))] == sorted(self.grants)
        if self.inbox:
            assert [
                (wake["process_id"], wake["sequence"], wake["input"]) for wake in self.world.inbox(CHAT)
            ] == self.inbox[-50:]
        for pid in pids:
            if life := self.lives.get(pid):
                assert self.world.status(pid) == life.status
                assert [(event.type, json.loads(event.payload)) for event in self.world.log(pid)] == life.events
                check_fold(self.world, pid)


def test_whatever_happens_in_whatever_order_the_store_agrees_with_the_model(fresh: Callable[[], World]) -> None:
    seen: Counter[str] = Counter()
    for seed in range(WALKS):
        world = fresh()
        Walk(world, seed, seen).go()
        world.store.close()
    floor = [
        *(
            "start",
            "start: ProcessConflict",
            "emit",
            "emit: ProcessAlreadyTerminal",
            "replay",
            "replay: ReplayConflict",
        ),
        *(
            "signal",
            "signal: ReplayConflict",
            "signal: ProcessAlreadyTerminal",
            "record",
            "record: LeaseLost",
            "hand back",
            "hand back: LeaseLost",
        ),
        *("finish", "finish again", "finish: LeaseLost", "cancel", "grace"),
    ]
    assert {what: seen[what] for what in floor if seen[what] < LEAST} == {}
