"""Every state a session can be in goes on by itself or by one decision, and can be ended: none waits without an end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from wakeline.observe.sessions import SessionStatus
from wakeline.store import ends, entries, sessions, starts, waits
from wakeline.store.journal import Effect, Row
from wakeline.verbs import inbox as inbox_verbs

from tests.contract.session_world import CHAT, FAILED, commit, fail, head, inbox, policy_is, send, source, turn

if TYPE_CHECKING:
    from tests.contract.conftest import World

ENDED = {"settled", "failed", "undeliverable", "superseded"}


def idle(world: World) -> None:
    world.do(sessions.create(world.session(CHAT)))


def queued(world: World) -> None:
    send(world, "a")


def claimed(world: World) -> None:
    send(world, "a")
    world.worker()
    world.take()


def admitted(world: World) -> None:
    send(world, "a", "b")
    turn(world)
    send(world, "late")


def joined_early(world: World) -> None:
    policy_is(world, on_arrival="early")
    send(world, "a")
    claim, _ = turn(world)
    send(world, "late")
    world.do(sessions.arrivals(Effect(claim.fence, Row("arrivals", '{"o":', after="}")), CHAT, 256))


def parked(world: World) -> None:
    send(world, "a")
    claim, _ = turn(world)
    world.open(claim.fence, waits.Wait(slot="ask", replay_key="ask", group="ask", kind="x:ship", for_ms=3_600_000))
    world.do(waits.park(claim.fence, ["ask"], "{}"))
    send(world, "late")


def put_off(world: World) -> None:
    send(world, "a")
    claim, _ = turn(world)
    world.do(ends.release(claim.fence, attempt=True, delay_ms=60_000))


def halving(world: World) -> None:
    send(world, "a", "b", "c")
    claim, _ = turn(world)
    fail(world, claim)


def blocked(world: World) -> None:
    policy_is(world, on_failure="block")
    send(world, "poison")
    claim, _ = turn(world)
    fail(world, claim)
    send(world, "late")


def debouncing(world: World) -> None:
    policy_is(world, debounce_ms=200, debounce_max_ms=1_000)
    send(world, "a")


def interrupted(world: World) -> None:
    policy_is(world, on_arrival="interrupt")
    send(world, "a")
    turn(world)
    send(world, "b")


def interrupted_while_parked(world: World) -> None:
    policy_is(world, on_arrival="interrupt")
    parked(world)


def cancelling(world: World) -> None:
    send(world, "a")
    claim, _ = turn(world)
    world.do(ends.cancel(claim.process_id, "enough", grace_ms=10_000))


def owner_gone(world: World) -> None:
    admitted(world)
    world.clock.advance("1h")


def doorbell_gone(world: World) -> None:
    send(world, "a")
    world.store.client.delete(f"{{{world.namespace}}}:rq:queue:{world.namespace}")


def nothing_admitted(world: World) -> None:
    send(world, "a")
    policy_is(world, kinds=frozenset({"wake"}))


def unopened(world: World) -> None:
    world.do(starts.register(world.registration("x", kind="external", wake_target={"session_id": CHAT})))
    world.emit("x", "wake", "told")


def switched(world: World) -> None:
    send(world, "a")
    claim, _ = turn(world)
    commit(world, claim, frame="next", follow='"go on"')


STATES: list[Callable[[World], None]] = [
    *(
        idle,
        queued,
        claimed,
        admitted,
        joined_early,
        parked,
        put_off,
        halving,
        blocked,
        debouncing,
        interrupted,
        interrupted_while_parked,
    ),
    *(cancelling, owner_gone, doorbell_gone, nothing_admitted, unopened, switched),
]
EXPECTED: dict[str, SessionStatus] = {"idle": "idle", "blocked": "blocked", "unopened": "unopened"}


def at_rest(world: World) -> bool:
    return {entry.state for entry in inbox(world)} <= ENDED and "turn" not in head(world)


def drive(world: World, *, worker: bool) -> None:
    """Time goes by, workers come and go, the operator decides what is blocked, until nothing is left to do."""
    for n in range(40):
        if at_rest(world):
            return
        world.clock.advance("61s" if n < 20 else "1d")
        for _ in range(3):
            world.tick()
            world.clock.advance("3s")
        if worker:
            world.worker(f"w_{n}")
            for claim in world.take(f"w_{n}"):
                world.do(sessions.admit(claim.fence, CHAT, 256))
                commit(world, claim)
        if "blk" in head(world):
            world.do(entries.skip(CHAT, int(head(world)["blk"])))
    raise AssertionError(f"it does not come to rest: {inbox(world)} {head(world)}")


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_state_comes_to_rest_with_a_worker(world: World, state: Callable[[World], None]) -> None:
    state(world)
    assert world.go(inbox_verbs.inspect(CHAT)).status == EXPECTED.get(state.__name__, "active")
    drive(world, worker=True)
    assert world.take(world.worker("w_last")) == ()
    assert world.store.client.llen(world.store.address.prefix + "todo") == 0


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_state_is_ended_by_a_deletion_and_needs_no_worker_for_it(
    world: World, state: Callable[[World], None]
) -> None:
    state(world)
    assert world.do(sessions.delete(CHAT)).deleted
    assert at_rest(world)
    assert world.take(world.worker("w")) == ()


@pytest.mark.parametrize("state", [s for s in STATES if s.__name__ not in EXPECTED], ids=lambda state: state.__name__)
def test_every_turn_is_ended_by_a_cancel_and_needs_no_worker_for_it(
    world: World, state: Callable[[World], None]
) -> None:
    state(world)
    pid = head(world)["turn"]
    world.do(ends.cancel(pid, "enough", grace_ms=1_000))
    world.clock.advance("10s")
    world.tick()
    assert world.status(pid) == "cancelled"
    assert head(world).get("turn") != pid
    drive(world, worker=True)


def test_the_kinds_of_ends_are_all_there(world: World) -> None:
    """What `drive` takes for an end is what can be offered again, or was read."""
    source(world)
    world.emit("x", "wake", "told")
    claim, _ = turn(world)
    world.do(ends.finish(claim.process_id, "failed", FAILED, fence=claim.fence))
    world.do(entries.redrive(CHAT, 1))
    assert {entry.state for entry in inbox(world)} == {"superseded", "delivered"}
    drive(world, worker=True)
