"""The head of a session after every way in which a turn can end, compared with the table that docs/keys.md shows.

Invariant: what the table allows was seen, and what was seen is allowed: a cell that says too much fails like one that
says too little.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store import ends, entries, feed, owners, processes, sessions
from wakeline.store.claims import Claim
from wakeline.store.ends import TurnCommit
from wakeline.store.heads import ENDS, HEAD
from wakeline.store.journal import Effect, Row

from tests.contract.session_world import CHAT, FAILED, NOTHING, command, send, turn

if TYPE_CHECKING:
    from tests.contract.conftest import World

POLICIES = (
    AdmissionPolicy(linger_ms=40),
    AdmissionPolicy(on_arrival="early", debounce_ms=200, debounce_max_ms=1_000, max_attempts=1),
    AdmissionPolicy(on_arrival="interrupt", on_failure="block"),
    AdmissionPolicy(on_arrival="interrupt", debounce_ms=200, debounce_max_ms=1_000),
    AdmissionPolicy(debounce_ms=200, debounce_max_ms=1_000, max_attempts=2),
)
ONLY_WAKES = AdmissionPolicy(kinds=frozenset({"wake"}), debounce_ms=200, debounce_max_ms=1_000)
NOT_COMPARED = {"lg"}  # nothing sets it any more


def stored(world: World) -> dict[str, str]:
    """The head as it is stored."""
    found: dict[str, str] = world.store.client.hgetall(f"{world.store.address.prefix}sess:{CHAT}")
    return found


def change(before: str | None, after: str | None) -> str:
    """What became of a field, in the words of the table."""
    if after is None:
        return "cleared"
    if after == before:
        return "kept"
    return (
        "raised"
        if (before or "0").isdecimal() and after.isdecimal() and int(after) == int(before or "0") + 1
        else "set"
    )


def allowed(before: str | None, after: str | None) -> set[str]:
    """All words of the table that are true of a change."""
    words = {change(before, after)}
    if before is None and after is None:
        words.add("kept")
    if after is not None and after != before:
        words.add("set")
    if (
        after is not None
        and before is not None
        and after.isdecimal()
        and before.isdecimal()
        and int(after) > int(before)
    ):
        words.add("raised")
    return words


class Heads(RuleBasedStateMachine):
    """One session, whose agent changes its policy; every end of a turn is compared with the table."""

    world: World
    fresh: Callable[[], World]
    seen: Counter[tuple[str, str, str]] = Counter()
    fields: Counter[str] = Counter()
    lives = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).fresh()
        self.owner = "o_1"
        self.policy = POLICIES[0]
        self.policies(POLICIES[0])
        self.world.start("parent", kind="external")
        self.world.start("x", kind="external", wake_target={"session_id": CHAT})
        self.open_by_a_turn()

    def open_by_a_turn(self) -> None:
        """Another session's turn is the first to write to it."""
        send(self.world, "begin", to="boss/1")
        (claim,) = self.world.take(self.owner)
        self.world.do(sessions.admit(claim.fence, "boss/1", 256))
        body = '{"kind":"input","input":"opened"}'
        self.world.do(
            sessions.send(self.world.session(CHAT), body, effect=Effect(claim.fence, Row("send:1", '{"o":', after="}")))
        )
        self.world.do(
            ends.finish(claim.process_id, "completed", NOTHING, fence=claim.fence, turn=TurnCommit("boss/1", "0"))
        )

    def teardown(self) -> None:
        """Each life ends with a deletion, some of them in several steps."""
        life = next(self.lives)
        if life % 4 == 1 and self.policy.on_arrival == "interrupt" and "turn" in stored(self.world):
            self.is_interrupted(False)
        if life % 4 == 0:
            for _ in range(3):
                send(self.world, *["text"] * 100)
        self.ended("deletion", lambda: self.world.do(sessions.delete(CHAT)))
        for _ in range(5):
            self.world.tick()
        assert stored(self.world).keys() <= {"ag", "n", "gone", "fd", "mk"}
        self.world.store.close()

    def claimed(self) -> Claim | None:
        """The turn there is, taken by the worker, with its batch; None where nothing is to take now."""
        self.world.clock.advance("2s")
        self.world.do(owners.register_owner(self.owner, [self.world.namespace], lease_ms=10_000_000))
        self.world.tick()
        claims = self.world.take(self.owner)
        if not claims:
            return None
        self.world.do(sessions.admit(claims[0].fence, CHAT, 256, self.policy))
        return claims[0]

    def ended(self, end: str, do: Callable[[], Any]) -> None:
        before = stored(self.world)
        do()
        after = stored(self.world)
        self.fields.update(after.keys())
        for field in HEAD:
            found = allowed(before.get(field.name), after.get(field.name))
            told = (
                f"{field.name} after {end}: {before.get(field.name)} -> {after.get(field.name)}, the table says"
                f" {getattr(field, end)}"
            )
            assert found & field.after(end), told
            if field.name in before or field.name in after:
                self.seen.update((field.name, end, word) for word in found)

    # -- what comes before an end

    @rule(policy=st.sampled_from([*POLICIES, ONLY_WAKES]))
    def policies(self, policy: AdmissionPolicy) -> None:
        self.policy = policy
        self.world.do(
            owners.register_owner(
                self.owner, [self.world.namespace], lease_ms=10_000_000, agents={"chat": policy.wire()}
            )
        )

    @rule(how_many=st.integers(1, 4))
    def sends(self, how_many: int) -> None:
        send(self.world, *["text"] * how_many)

    @rule()
    def commands(self) -> None:
        command(self.world, "reset")

    @rule()
    def wakes(self) -> None:
        self.world.emit("x", "wake", "told")

    @rule()
    def appends(self) -> None:
        self.world.do(feed.append(CHAT, [('{"role":"note"}', f"m{self.world.clock.now_ms()}")]))
        self.world.clock.advance("1ms")

    @rule()
    def follows(self) -> None:
        self.world.do(feed.follow(CHAT, None))

    @precondition(lambda self: "blk" in stored(self.world))
    @rule(skip=st.booleans())
    def decides(self, skip: bool) -> None:
        n = int(stored(self.world)["blk"])
        self.world.do(entries.skip(CHAT, n) if skip else entries.redrive(CHAT, n))

    # -- ends

    @precondition(lambda self: "turn" in stored(self.world))
    @rule(switch=st.booleans(), early=st.booleans(), arrives=st.booleans(), says=st.booleans(), narrows=st.booleans())
    def commits(self, switch: bool, early: bool, arrives: bool, says: bool, narrows: bool) -> None:
        claim = self.claimed()
        if claim is None:
            return
        if arrives:
            send(self.world, "meanwhile")
        if early:
            self.world.do(sessions.arrivals(Effect(claim.fence, Row("arrivals:1", '{"o":', after="}")), CHAT, 256))
        if narrows:
            self.policies(ONLY_WAKES)
        head = stored(self.world)
        follow: dict[str, Any] = {"frame": f"f{head['tn']}", "follow": '"on"'} if switch else {}
        commit = TurnCommit(CHAT, head["rev"], history=['{"role":"agent"}'] if says else [], **follow)
        self.ended(
            "commit",
            lambda: self.world.do(ends.finish(claim.process_id, "completed", NOTHING, fence=claim.fence, turn=commit)),
        )

    @precondition(lambda self: "turn" in stored(self.world))
    @rule(then=st.sampled_from(["nothing", "fails", "is cancelled", "has parts", "is refused"]))
    def switches(self, then: str) -> None:
        """What comes of a follow-on turn, or of a batch that fails, soon."""
        if then == "is refused":
            self.policies(POLICIES[4])
            return self.fails("failed", True, True)
        if then == "has parts":
            self.fails("failed", False, False)
            return self.is_cancelled(True, True, False, False, 3)
        self.commits(True, False, False, True, False)
        if then == "is cancelled":
            self.is_cancelled(True, True, False, False, 1)
        if then == "fails":
            self.fails("failed", False, False)

    @precondition(lambda self: "turn" in stored(self.world))
    @rule(how=st.sampled_from(["failed", "abandoned", "exhausted"]), arrives=st.booleans(), narrows=st.booleans())
    def fails(self, how: str, arrives: bool, narrows: bool) -> None:
        claim = self.claimed() if "turn" in stored(self.world) else None
        if claim is None:
            return
        if arrives and self.policy.on_arrival != "interrupt":
            send(self.world, "meanwhile")
        if narrows:
            self.policies(ONLY_WAKES)
        if how != "exhausted":
            return self.ended(
                "failure", lambda: self.world.do(ends.finish(claim.process_id, how, FAILED, fence=claim.fence))
            )
        while (view := self.world.do(processes.read(claim.process_id))).failed_attempts + 1 < int(view.fields["ma"]):
            self.world.do(ends.release(claim.fence, attempt=True, output=FAILED))
            (claim,) = self.world.take(self.owner)
        fence = claim.fence
        self.ended("failure", lambda: self.world.do(ends.release(fence, attempt=True, output=FAILED)))

    @precondition(lambda self: "turn" in stored(self.world))
    @rule(
        begun=st.booleans(), raises=st.booleans(), arrives=st.booleans(), narrows=st.booleans(), times=st.integers(1, 3)
    )
    def is_cancelled(self, begun: bool, raises: bool, arrives: bool, narrows: bool, times: int) -> None:
        for _ in range(times):
            pid = stored(self.world).get("turn")
            if pid is None:
                return
            claim = self.claimed() if begun else None
            if arrives and self.policy.on_arrival != "interrupt":
                send(self.world, "meanwhile")
            if narrows:
                self.policies(ONLY_WAKES)
            self.world.do(ends.cancel(pid, "enough", grace_ms=1_000))
            self._ends_cancelled(claim if raises else None)

    def _ends_cancelled(self, claim: Claim | None) -> None:
        if claim is not None:
            return self.ended("cancel", lambda: self.world.do(ends.release(claim.fence, attempt=True, output=FAILED)))
        self.world.clock.advance("1s")
        self.ended("cancel", self.world.tick)

    @precondition(lambda self: "turn" in stored(self.world) and self.policy.on_arrival == "interrupt")
    @rule(raises=st.booleans())
    def is_interrupted(self, raises: bool) -> None:
        claim = self.claimed()
        if claim is None:
            return
        send(self.world, "meanwhile")
        if not self.world.store.client.hexists(f"{self.world.store.address.prefix}proc:{claim.process_id}", "it"):
            return  # so often that it is left alone
        cancelled = '{"type":"cancelled","message":"a new entry arrived"}'
        raised = ends.release(claim.fence, attempt=True, output=FAILED)
        call = raised if raises else ends.finish(claim.process_id, "cancelled", cancelled, fence=claim.fence)
        self.ended("interrupt", lambda: self.world.do(call))

    # -- what holds

    @invariant()
    def an_idle_head_says_nothing_of_turns_that_were(self) -> None:
        head = stored(self.world)
        pending = self.world.store.client.xlen(f"{self.world.store.address.prefix}inbox:{CHAT}")
        if not (pending or "turn" in head or "blk" in head):
            assert head.keys() <= {field.name for field in HEAD if field.idle}


def heads(fresh: Callable[[], World]) -> tuple[Counter[tuple[str, str, str]], Counter[str]]:
    """Runs the machine; the changes that were seen in all of its lives, and the fields."""
    seen: Counter[tuple[str, str, str]] = Counter()
    fields: Counter[str] = Counter()
    machine = type("TheseHeads", (Heads,), {"fresh": staticmethod(fresh), "seen": seen, "fields": fields})
    options = settings(
        max_examples=150, stateful_step_count=50, phases=[Phase.generate], derandomize=True,
        suppress_health_check=list(HealthCheck), database=None,
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=options)
    return seen, fields


def test_every_field_of_a_head_is_after_every_end_what_the_table_says(fresh: Callable[[], World]) -> None:
    seen, fields = heads(fresh)
    assert set(fields) == {field.name for field in HEAD} - NOT_COMPARED
    claims = {
        (field.name, end, word)
        for field in HEAD
        if field.name not in NOT_COMPARED
        for end in ENDS
        for word in field.after(end)
    }
    never = {claim for claim in claims - set(seen) if claim[2] != "kept"}
    assert never == set(), "the table allows what no end does"


def test_a_moment_that_the_release_before_left_in_an_idle_head_goes(world: World) -> None:
    send(world, "a")
    world.store.client.hset(f"{world.store.address.prefix}sess:{CHAT}", "lg", "1700000000040")
    claim, _ = turn(world)
    world.do(ends.finish(claim.process_id, "completed", NOTHING, fence=claim.fence, turn=TurnCommit(CHAT, "0")))
    assert "lg" not in stored(world)


@pytest.mark.parametrize("end", ENDS)
def test_the_table_says_of_every_field_what_an_end_does_to_it(end: str) -> None:
    assert {word for field in HEAD for word in field.after(end)} <= {"kept", "cleared", "raised", "set"}
