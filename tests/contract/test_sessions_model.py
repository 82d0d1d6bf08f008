"""Random lives of sessions against a model that shares no code with the product: producers, lost replies, takeovers,
retargets, deletions.

Invariant: what the model expects is decided before the store is asked; a fault that was never injected fails the test
(the floors at the end).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from wakeline.errors import LeaseLost, RedriveRefused, SessionDeleted, SessionNotFound
from wakeline.observe.entries import entry_of
from wakeline.processes.lease import Fence
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store import ends, entries, events, keys, owners, processes, sessions
from wakeline.store.calls import Call
from wakeline.store.ends import TurnCommit
from wakeline.store.events import WakeText
from wakeline.store.journal import Effect, Row
from wakeline.values import to_json

from tests.contract.session_world import FAILED, NOTHING, inbox

if TYPE_CHECKING:
    from tests.contract.conftest import World

SESSIONS = ("chat/1", "strict/1")
PRODUCERS = ("x", "y")
TEXTS = st.sampled_from("abc")
EXAMPLES, STEPS = 240, 60


@dataclass
class Item:
    """An entry, as the model knows it."""

    n: int
    text: str
    kind: str
    state: str = "delivered"
    swallowed: int = 0


@dataclass
class Running:
    """A turn: its batch once it is fixed, and the fences of its runs, the latest last."""

    pid: str = ""
    batch: list[Item] | None = None
    fences: list[Fence] = field(default_factory=list)
    held: bool = False


@dataclass
class Life:
    """A session."""

    blocks: bool
    opened: bool = False
    gone: bool = False
    items: list[Item] = field(default_factory=list)
    keyed: dict[str, Item] = field(default_factory=dict)
    turn: Running | None = None
    blocked: Item | None = None
    half: int | None = None
    high: int = 0
    settled: list[int] = field(default_factory=list)

    def pending(self) -> list[Item]:
        return [item for item in self.items if item.state in ("delivered", "admitted", "blocked")]

    def next(self) -> None:
        """Release or next."""
        if self.opened and not self.gone and self.turn is None and self.blocked is None and self.pending():
            self.turn = Running()

    def put(self, text: str, kind: str, same: str | None = None) -> None:
        if same is not None and same in self.keyed:
            self.keyed[same].text = text
            self.keyed[same].swallowed += 1
            return
        item = Item(len(self.items) + 1, text, kind)
        self.items.append(item)
        if self.gone:
            item.state = "undeliverable target_gone"
            return
        if same is not None:
            self.keyed[same] = item
        self.next()

    def admit(self) -> list[Item]:
        turn = self.turn
        assert turn is not None
        if turn.batch is None:
            turn.batch = []
            for item in self.pending():
                if item.kind == "command" and turn.batch:
                    break
                turn.batch.append(item)
                if item.kind == "command" or len(turn.batch) >= (self.half or 256):
                    break
            self._admitted(turn.batch)
        return turn.batch

    def early(self) -> list[Item]:
        turn = self.turn
        assert turn is not None and turn.batch
        if turn.batch[0].kind == "command":
            return []
        last = turn.batch[-1].n
        room = (self.half or 256) - len(turn.batch)
        found = list(
            itertools.takewhile(lambda item: item.kind != "command", [item for item in self.pending() if item.n > last])
        )[: max(room, 0)]
        self._admitted(found)
        turn.batch += found
        return found

    def _admitted(self, found: list[Item]) -> None:
        for item in found:
            item.state = "admitted"
        self.keyed = {key: item for key, item in self.keyed.items() if item not in found}

    def end(self, how: str) -> None:
        """The turn ends: 'completed', 'failed' or 'cancelled'."""
        turn, self.turn = self.turn, None
        assert turn is not None
        batch = turn.batch or []
        if how == "failed" and len(batch) > 1:
            for item in batch:
                item.state = "delivered"
            self.high = max(self.high, batch[-1].n) if self.half else batch[-1].n
            self.half = len(batch) // 2
        elif how == "failed" and batch and self.blocks:
            batch[0].state = "blocked"
            self.blocked = batch[0]
            self.half = None
        else:
            for item in batch:
                item.state = "failed" if how == "failed" else "settled"
                self.settled.append(item.n)
            if batch and (how == "failed" or batch[-1].n >= self.high):
                self.half = None
        self.next()

    def delete(self) -> None:
        for item in self.pending():
            item.state = "undeliverable target_gone"
        self.items = [
            item for item in self.items if not item.state.startswith("s")
        ]  # what was settled or superseded is forgotten
        self.gone, self.turn, self.blocked, self.keyed = True, None, None, {}


class Lives(RuleBasedStateMachine):
    """Two sessions (one of which blocks over what fails), two producers, two workers that die, and a network that
    repeats itself."""

    world: World
    fresh: Callable[[], World]
    seen: Counter[str] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).fresh()
        self.lives = {sid: Life(blocks=sid.startswith("strict")) for sid in SESSIONS}
        self.targets: dict[str, str] = dict.fromkeys(PRODUCERS, "chat/1")
        self.owners = itertools.count(1)
        self.events: dict[str, list[str]] = {pid: [] for pid in PRODUCERS}
        self.owner = self.a_worker()
        for pid in PRODUCERS:
            self.world.start(pid, kind="external", wake_target={"session_id": "chat/1"})

    def teardown(self) -> None:
        self.world.store.close()

    def a_worker(self) -> str:
        policies = {
            "strict": AdmissionPolicy(on_failure="block", on_arrival="early").wire(),
            "chat": AdmissionPolicy(on_arrival="early").wire(),
        }
        owner = f"o_{next(self.owners)}"
        self.world.do(owners.register_owner(owner, [self.world.namespace], lease_ms=5_000, agents=policies))
        return owner

    def do(self, call: Call[Any], twice: bool, expected: Any = None) -> None:
        """Sends a call, and again where its reply was lost; ``expected`` is the error it has to raise each time."""
        for _ in range(2 if twice else 1):
            if expected is None:
                self.world.do(call)
            else:
                with pytest.raises(expected):
                    self.world.do(call)
        self.seen["lost reply"] += twice

    # -- producers

    @rule(sid=st.sampled_from(SESSIONS), text=TEXTS, command=st.sampled_from([False, False, True]), twice=st.booleans())
    def send(self, sid: str, text: str, command: bool, twice: bool) -> None:
        life = self.lives[sid]
        kind = "command" if command else "input"
        body = to_json({"kind": kind, "name": "c", "input": text, "at_ms": self.world.clock.now_ms()})
        call = sessions.send(self.world.session(sid), body, kind="command" if command else "input", canonical=body)
        if life.gone:
            self.seen["sent to a deleted session"] += 1
            return self.do(call, twice, SessionDeleted)
        life.opened = True
        life.put(text, kind)
        self.do(call, twice)
        self.seen[kind] += 1

    @rule(pid=st.sampled_from(PRODUCERS), text=TEXTS, same=st.sampled_from(["k", None]), twice=st.booleans())
    def wake(self, pid: str, text: str, same: str | None, twice: bool) -> None:
        self.events[pid].append(text)
        life = self.lives[self.targets[pid]]
        self.seen["coalesced"] += same in life.keyed
        self.seen["wake of a deleted session"] += life.gone
        life.put(text, "wake", same)
        key = f"e{len(self.events[pid])}"
        self.do(
            events.append(pid, "wake", to_json(text), replay_key=key, canonical=text, wake=WakeText(text, same)),
            twice,
        )
        self.seen["wake"] += 1

    @rule(pid=st.sampled_from(PRODUCERS), sid=st.sampled_from(SESSIONS), twice=st.booleans())
    def retarget(self, pid: str, sid: str, twice: bool) -> None:
        old = self.lives[self.targets[pid]]
        if sid != self.targets[pid] and self.lives[sid].gone:
            return self.do(processes.retarget(pid, sid), twice, SessionDeleted)
        if sid != self.targets[pid] and not old.opened:
            for item, of in zip(old.items, self._sources(self.targets[pid]), strict=True):
                if item.state == "delivered" and of == pid:
                    item.state = "undeliverable retargeted"
                    old.keyed = {key: held for key, held in old.keyed.items() if held is not item}
                    self.seen["taken back"] += 1
        self.do(processes.retarget(pid, sid), twice)
        self.targets[pid] = sid
        self.seen["retarget"] += 1

    @precondition(lambda self: not all(life.opened or life.gone for life in self.lives.values()))
    @rule(pid=st.sampled_from(PRODUCERS), text=TEXTS)
    def take_back(self, pid: str, text: str) -> None:
        """A wake to a session that was not opened, and then another target."""
        target = self.targets[pid]
        if not self.lives[target].opened:
            self.wake(pid, text, None, False)
            self.retarget(pid, next(sid for sid in SESSIONS if sid != target), False)

    def _sources(self, sid: str) -> list[str | None]:
        """Whose wake each entry is: the latest of those that coalesced."""
        try:
            return [entry.process_id for entry in inbox(self.world, sid)]
        except SessionNotFound:
            return []

    # -- workers

    @rule()
    def take(self) -> None:
        wanted = {sid for sid, life in self.lives.items() if life.turn is not None and not life.turn.held}
        found = {}
        for claim in self.world.take(self.owner):
            found[claim.fields["sid"]] = claim
        assert set(found) == wanted
        for sid, claim in found.items():
            turn = self.lives[sid].turn
            assert turn is not None
            turn.pid, turn.held = claim.process_id, True
            turn.fences.append(claim.fence)
            self.seen["takeover"] += len(turn.fences) > 1

    def held(self, sid: str) -> Running | None:
        turn = self.lives[sid].turn
        return turn if turn is not None and turn.held else None

    @rule(sid=st.sampled_from(SESSIONS), twice=st.booleans())
    def admit(self, sid: str, twice: bool) -> None:
        if turn := self.held(sid):
            expected = [item.n for item in self.lives[sid].admit()]
            for _ in range(2 if twice else 1):
                found = [entry.n for entry in self.world.do(sessions.admit(turn.fences[-1], sid, 256)).entries]
                assert (
                    found and found == expected[: len(found)]
                )  # what joined early is in the journal, not in the batch
            self.seen["admit"] += 1

    @precondition(lambda self: any(life.turn is not None and life.turn.held for life in self.lives.values()))
    @rule(twice=st.booleans(), more=st.booleans())
    def early(self, twice: bool, more: bool) -> None:
        """A turn asks for what arrived meanwhile."""
        sid = next(sid for sid in SESSIONS if self.held(sid))
        turn = self.held(sid)
        if more:
            self.send(sid, "a", False, False)
        self.admit(sid, False)
        if turn and turn.batch:
            key = f"arrivals:{next(self.owners)}"
            before = len(turn.batch)
            found = self.lives[sid].early()
            self.do(sessions.arrivals(Effect(turn.fences[-1], Row(key, '{"o":', after="}")), sid, 256), twice)
            self.seen["early"] += bool(found)
            assert len(turn.batch) == before + len(found)

    @rule(
        sid=st.sampled_from(SESSIONS),
        how=st.sampled_from(["failed", "completed"]),
        twice=st.booleans(),
        stale=st.booleans(),
    )
    def end(self, sid: str, how: str, twice: bool, stale: bool) -> None:
        if not stale and self.held(sid) is None:
            self.take()
        turn = self.held(sid)
        if turn is None:
            return
        if turn.batch is None:
            self.admit(sid, False)
        assert turn.batch
        fence = turn.fences[0] if stale else turn.fences[-1]
        revision = self.world.do(sessions.read(sid)).head.fields["rev"]
        commit = TurnCommit(sid, revision) if how == "completed" else None
        call = ends.finish(turn.pid, how, NOTHING if commit else FAILED, fence=fence, turn=commit)
        if fence is not turn.fences[-1]:
            self.seen["stale end"] += 1
            return self.do(call, twice, LeaseLost)
        self.seen[how] += 1
        self.seen["halved"] += how == "failed" and len(turn.batch) > 1
        self.lives[sid].end(how)
        self.do(call, twice)

    @precondition(lambda self: any(life.turn is not None and life.turn.held for life in self.lives.values()))
    @rule(comes_back=st.booleans(), how=st.sampled_from(["failed", "completed"]))
    def crash(self, comes_back: bool, how: str) -> None:
        """The worker falls silent, and another one gets what it held. It may come back, and end what it had."""
        held = [life.turn for life in self.lives.values() if life.turn is not None and life.turn.held]
        for turn in held:
            turn.held = False
        self.world.do(owners.reap(self.owner, "shutdown"))
        self.owner = self.a_worker()
        self.seen["crash"] += bool(held)
        if comes_back:
            self.take()
            for sid, life in self.lives.items():
                if life.turn in held:
                    self.end(sid, how, False, True)

    @precondition(lambda self: any(life.turn is not None and life.turn.pid for life in self.lives.values()))
    @rule(twice=st.booleans())
    def cancel(self, twice: bool) -> None:
        """An operator cancels a turn, and its grace passes."""
        life = next(life for life in self.lives.values() if life.turn is not None and life.turn.pid)
        assert life.turn is not None
        self.do(ends.cancel(life.turn.pid, "enough", grace_ms=1_000), twice)
        self.world.clock.advance("1s")
        self.world.do(owners.beat(self.owner, None, lease_ms=5_000))
        self.world.tick()
        life.end("cancelled")
        self.seen["cancelled"] += 1

    # -- operators

    @precondition(lambda self: not any(life.gone for life in self.lives.values()))
    @rule(sid=st.sampled_from(SESSIONS), twice=st.booleans(), dice=st.integers(0, 1))
    def delete(self, sid: str, twice: bool, dice: int) -> None:
        life = self.lives[sid]
        if dice or not (life.opened or life.items):
            return
        self.seen["deleted with a turn"] += life.turn is not None
        self.seen["deleted"] += 1
        life.delete()
        self.do(sessions.delete(sid), twice)

    @rule(sid=st.sampled_from(SESSIONS), twice=st.booleans())
    def redrive_settled(self, sid: str, twice: bool) -> None:
        """What was settled is not offered again."""
        item = next((item for item in self.lives[sid].items if item.state == "settled"), None)
        if item is not None:
            self.do(entries.redrive(sid, item.n), twice, RedriveRefused)

    @precondition(lambda self: self.lives["strict/1"].blocked is not None)
    @rule(skip=st.booleans(), twice=st.booleans())
    def decide(self, skip: bool, twice: bool) -> None:
        """Redrive or skip what blocks."""
        sid = "strict/1"
        life = self.lives[sid]
        item, life.blocked = life.blocked, None
        assert item is not None
        item.state = "failed" if skip else "delivered"
        if not skip:
            life.half, life.high = 1, item.n
        life.next()
        self.do(entries.skip(sid, item.n) if skip else entries.redrive(sid, item.n), twice)
        self.seen["skipped" if skip else "redriven"] += 1

    @rule(sid=st.sampled_from(SESSIONS), twice=st.booleans())
    def redrive(self, sid: str, twice: bool) -> None:
        """What failed is offered again."""
        life = self.lives[sid]
        item = next((item for item in life.items if item.state == "failed"), None)
        if item is None or life.gone:
            return
        item.state = "superseded"
        life.put(item.text, item.kind)
        self.do(entries.redrive(sid, item.n), twice)
        self.seen["failed entry redriven"] += 1

    # -- what holds

    @invariant()
    def every_entry_is_where_the_model_says(self) -> None:
        for sid, life in self.lives.items():
            try:
                view = self.world.do(entries.look(sid, limit=1000))
            except SessionNotFound:
                assert not life.items and not life.opened
                continue
            found = [
                (e.input, f"{e.state} {e.reason}" if e.reason else e.state, e.swallowed)
                for e in map(entry_of, view.entries)
            ]
            assert found == [(item.text, item.state, item.swallowed) for item in life.items], sid
            assert ("turn" in view.head.fields) == (life.turn is not None)
            assert view.head.fields.get("blk") == (str(life.blocked.n) if life.blocked else None)

    @invariant()
    def no_key_is_of_an_unknown_family(self) -> None:
        prefix = self.world.store.address.prefix
        known = {family.name for family in keys.TABLE}
        found = {
            key.removeprefix(prefix).partition(":")[0]
            for key in self.world.store.client.scan_iter(match=f"{prefix.replace('{', '[{]')}*", count=1000)
        }
        assert found - {"rq"} <= known


CHAT, STRICT = SESSIONS
RARE_LIFE: list[tuple[Any, ...]] = [
    ("take_back", "x", "a"),
    *(("send", CHAT, "a", False, False), ("take",), ("admit", CHAT, False), ("early", False, True)),
    ("end", CHAT, "failed", False, False),  # of a batch of two: it is halved
    *(("take",), ("crash", True, "completed")),  # a worker that comes back ends nothing
    *(("send", STRICT, "b", False, False), ("end", STRICT, "completed", False, False)),
    *(("send", STRICT, "c", False, False), ("end", STRICT, "failed", False, False), ("decide", False, False)),
    *(("end", STRICT, "failed", False, False), ("decide", True, False)),
    *(("delete", CHAT, False, 0), ("send", CHAT, "b", False, False), ("wake", "y", "c", None, False)),
]
"""A life in which everything rare happens. What random lives meet depends on the tests before them: with any seed
Hypothesis draws also from the constants of all local modules that are loaded."""


def live(life: Lives) -> None:
    """The life in which everything rare happens."""
    for step, *given in RARE_LIFE:
        getattr(life, step)(*given)
        life.every_entry_is_where_the_model_says()
        life.no_key_is_of_an_unknown_family()
    life.teardown()


def lives(fresh: Callable[[], World]) -> Counter[str]:
    """Runs the machine; what was seen in all of its lives."""
    seen: Counter[str] = Counter()
    machine = type("TheseLives", (Lives,), {"fresh": staticmethod(fresh), "seen": seen})
    live(machine())
    # A failing life is shown as it was: to shorten it takes minutes.
    options = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        phases=[Phase.generate],
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(machine, settings=options)
    return seen


def test_whatever_happens_to_sessions_the_store_agrees_with_the_model(fresh: Callable[[], World]) -> None:
    seen = lives(fresh)
    floor = [
        "lost reply",
        "input",
        "command",
        "wake",
        "coalesced",
        "retarget",
        "takeover",
        "admit",
        "completed",
        "failed",
        "crash",
        "cancelled",
        "deleted",
    ]
    assert {what: seen[what] for what in floor if seen[what] < 5} == {}
    rare = [
        *("stale end", "early", "halved", "sent to a deleted session", "wake of a deleted session"),
        *("deleted with a turn", "redriven", "skipped", "taken back"),
    ]
    assert [what for what in rare if not seen[what]] == [], seen
