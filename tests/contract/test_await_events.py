"""Await-event slots: resolutions, revocation, several instances (E6 to E12, E29 to E39, E43 to E52, E58)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from wakeline.causality import ProcessScope
from wakeline.errors import AwaitEventUnknownOrRevoked, LeaseLost
from wakeline.processes.lease import Fence
from wakeline.store import ends, journal, waits
from wakeline.store.journal import Row
from wakeline.testing.model.keys import mint
from wakeline.verbs import answers as answers_verbs
from wakeline.verbs import processes
from wakeline.waits.identity import Custom, ProcessSignal, ProcessTerminal, Timer, ToolCompletion, WaitIdentity, key_id
from wakeline.waits.keys import decode_token, encode_token

if TYPE_CHECKING:
    from tests.contract.conftest import World

SECRET = b"s" * 32
FIRST = '{"status":"ok","value":"first"}'
SECOND = '{"status":"ok","value":"second"}'
CANCELLED = '{"status":"cancelled"}'
TIMEOUT = '{"status":"timeout"}'
CALL = ToolCompletion("call-1")
SLOT = key_id(ProcessScope("p"), CALL)


def completion(**over: Any) -> waits.Wait:
    """The wait of process `p` for the completion of its tool call."""
    return waits.Wait(slot=SLOT, replay_key="call", group="g", kind="x:charge", **over)


def resolve(world: World, resolution: str, slot: str = SLOT) -> waits.Resolved:
    return world.do(waits.resolve("p", "inc00001", slot, resolution))


def keys(world: World) -> set[str]:
    """Every key of the namespace."""
    return set(world.store.client.scan_iter(match="{" + world.namespace + "}:*"))


# -- resolving


def test_a_resolution_before_any_wait_is_kept_for_it(world: World) -> None:
    fence = world.running("p")
    assert resolve(world, FIRST).accepted is True
    assert world.open(fence, completion()) == [waits.Opened("done", FIRST)]


def test_the_first_resolution_stands(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    assert resolve(world, FIRST) == waits.Resolved(True, None)
    assert resolve(world, SECOND) == waits.Resolved(False, FIRST)
    assert world.do(waits.read_slots(fence, [SLOT])) == (None, [FIRST])


def test_of_two_resolutions_kept_for_later_the_first_stands_too(world: World) -> None:
    fence = world.running("p")
    assert resolve(world, FIRST).accepted is True
    assert resolve(world, SECOND) == waits.Resolved(False, FIRST)
    assert world.open(fence, completion()) == [waits.Opened("done", FIRST)]


def test_two_opens_of_one_wait_share_its_resolution(world: World) -> None:
    fence = world.running("p")
    assert [opened.state for opened in world.open(fence, completion()) + world.open(fence, completion())] == [
        "open",
        "open",
    ]
    resolve(world, FIRST)
    assert world.open(fence, completion()) == [waits.Opened("done", FIRST)]


def test_a_cancel_resolves_every_open_wait_and_stands(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    world.wait_for(fence, "go")
    world.go(processes.cancel(world.caller, "p", "enough"))
    assert world.do(waits.read_slots(fence, [SLOT, "slot-go.1"])) == ("enough", [CANCELLED, CANCELLED])
    assert resolve(world, FIRST) == waits.Resolved(False, CANCELLED)


def test_a_wait_opened_under_a_cancel_is_cancelled_at_once(world: World) -> None:
    fence = world.running("p")
    world.go(processes.cancel(world.caller, "p", "enough"))
    assert world.open(fence, completion()) == [waits.Opened("done", CANCELLED)]


def test_a_resolver_that_comes_after_such_a_wait_learns_of_the_cancel(world: World) -> None:
    fence = world.running("p")
    world.go(processes.cancel(world.caller, "p", "enough"))
    world.open(fence, completion())
    assert resolve(world, FIRST) == waits.Resolved(False, CANCELLED)


def test_a_cancel_leaves_what_was_resolved(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    resolve(world, FIRST)
    world.go(processes.cancel(world.caller, "p", "enough"))
    assert world.do(waits.read_slots(fence, [SLOT])) == ("enough", [FIRST])


def test_a_deadline_of_now_times_out_and_stands(world: World) -> None:
    fence = world.running("p")
    assert world.open(fence, completion(for_ms=0)) == [waits.Opened("open", "1700000000000")]
    assert world.tick().fired == 1
    assert world.do(waits.read_slots(fence, [SLOT])) == (None, [TIMEOUT])
    assert resolve(world, FIRST) == waits.Resolved(False, TIMEOUT)


def test_a_resolution_that_beat_the_deadline_stands(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion(for_ms=1_000))
    resolve(world, FIRST)
    world.clock.advance("2s")
    world.tick()
    assert world.do(waits.read_slots(fence, [SLOT])) == (None, [FIRST])


def test_the_deadline_of_a_wait_is_fixed_when_it_is_first_opened(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion(for_ms=10_000))
    world.clock.advance("4s")
    assert world.open(fence, completion(for_ms=10_000)) == [waits.Opened("open", "1700000010000")]


# -- revoking


@pytest.mark.parametrize("end", ["finished", "cancelled by grace"])
def test_the_end_of_a_process_revokes_its_keys_for_ever(world: World, end: str) -> None:
    fence = world.running("p")
    token = encode_token(world.store.secret, "p", "inc00001", SLOT)
    world.open(fence, completion())
    if end == "finished":
        world.finish("p", 1, fence)
    else:
        world.go(processes.cancel(world.caller, "p", "enough"))
        world.clock.advance("11s")
        world.tick()
    for later in (world, world.reopened()):
        with pytest.raises(AwaitEventUnknownOrRevoked):
            later.go(answers_verbs.resolve(later.caller, later.store.keyring, token, "late"))
        with pytest.raises(LeaseLost):
            later.open(fence, completion())
    assert [key for key in keys(world) if ":slot:" in key or ":waits:" in key] == []


def test_a_closed_wait_is_revoked_and_stays_so(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    world.do(waits.close_waits(fence, [SLOT]))
    world.do(waits.close_waits(fence, [SLOT]))
    assert resolve(world, FIRST).unknown is True
    later = world.reopened()
    assert resolve(later, FIRST).unknown is True
    assert later.open(fence, completion()) == [waits.Opened("done", CANCELLED)]
    assert resolve(later, FIRST).unknown is True


def test_a_key_of_an_earlier_process_of_this_id_is_unknown(world: World) -> None:
    world.start("p", incarnation="inc00002")
    assert resolve(world, FIRST).unknown is True


def test_an_expired_token_is_unknown(world: World) -> None:
    fence = world.running("p")
    token = encode_token(world.store.secret, "p", "inc00001", SLOT, 1_700_000_001_000)
    world.open(fence, completion())
    world.clock.advance("1s")
    with pytest.raises(AwaitEventUnknownOrRevoked) as refused:
        world.go(answers_verbs.resolve(world.caller, world.store.keyring, token, "late"))
    assert refused.value.code == "await_event_unknown_or_revoked"


@pytest.mark.parametrize("part", ["version", "content", "signature", "other secret", "garbage"])
def test_a_forged_token_is_refused_before_the_store_is_asked(world: World, part: str) -> None:
    world.running("p")
    version, content, signature = encode_token(world.store.secret, "p", "inc00001", SLOT).split(".")
    stranger = encode_token(SECRET, "p", "inc00001", SLOT)
    forged = {
        "version": f"wt2.{content}.{signature}",
        "content": f"{version}.{encode_token(SECRET, 'q', 'inc00001', SLOT).split('.')[1]}.{signature}",
        "signature": f"{version}.{content}.{signature[:-2]}AA",
        "other secret": stranger,
        "garbage": "not a token",
    }[part]
    sent, before = dict(world.store.sent.counts), keys(world)
    with pytest.raises(AwaitEventUnknownOrRevoked):
        world.go(answers_verbs.resolve(world.caller, world.store.keyring, forged, "x"))
    assert world.store.sent.counts == sent
    assert keys(world) == before


def test_a_good_token_is_good_once(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    token = encode_token(world.store.secret, "p", "inc00001", SLOT)
    assert decode_token(world.store.secret, token).key_id == SLOT
    assert world.go(answers_verbs.resolve(world.caller, world.store.keyring, token, "paid")) is True
    assert world.go(answers_verbs.resolve(world.caller, world.store.keyring, token, "again")) is False
    assert world.do(waits.read_slots(fence, [SLOT])) == (None, ['{"status":"ok","value":"paid"}'])


def test_deriving_a_key_stores_nothing(world: World) -> None:
    world.running("p")
    before = keys(world)
    secret = world.store.secret
    mint(secret, ProcessScope("p"), Custom("k"))
    encode_token(secret, "p", "inc00001", key_id(ProcessScope("p"), Custom("k")))
    assert keys(world) == before


# -- several instances without shared memory


@pytest.mark.parametrize(
    "identity",
    [CALL, Custom("k"), Timer("t"), ProcessSignal("p", "inc00001", 1, "go", 1), ProcessTerminal("child", "inc00001")],
    ids=lambda identity: identity.tag,
)
def test_a_key_minted_by_one_instance_is_resolved_by_another_and_seen_by_a_third(
    world: World, identity: WaitIdentity
) -> None:
    fence = world.running("p")
    minted = mint(world.store.secret, ProcessScope("p"), identity)
    token = encode_token(world.store.secret, "p", "inc00001", minted.key_id)

    second = world.reopened()
    assert second.store is not world.store
    assert mint(second.store.secret, ProcessScope("p"), identity) == minted
    assert second.go(answers_verbs.resolve(second.caller, second.store.keyring, token, "from afar")) is True

    third = second.reopened()
    wait = waits.Wait(slot=minted.key_id, replay_key="k", group="g", kind="x:k")
    assert third.open(fence, wait) == [waits.Opened("done", '{"status":"ok","value":"from afar"}')]


@pytest.mark.parametrize(
    ("first", "standing", "reason"), [("resolution", FIRST, "too late"), ("cancel", CANCELLED, "in time")]
)
def test_of_a_resolution_and_a_cancel_from_two_instances_the_first_is_seen_by_all(
    world: World, first: str, standing: str, reason: str
) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    second = world.reopened()
    if first == "resolution":
        resolve(second, FIRST)
    else:
        second.go(processes.cancel(second.caller, "p", "in time"))
    third = second.reopened()
    if first == "resolution":
        third.go(processes.cancel(third.caller, "p", "too late"))
    else:
        assert resolve(third, FIRST) == waits.Resolved(False, CANCELLED)
    for instance in (second, third):
        assert instance.do(waits.read_slots(fence, [SLOT])) == (reason, [standing])


def test_a_parked_wait_is_resolved_while_its_owner_is_gone_and_replays_from_the_journal(world: World) -> None:
    fence = world.running("p", "o_1")
    world.open(fence, completion())
    world.do(waits.park(fence, ["g"], '{"waits":[]}'))
    world.lose("o_1")
    second = world.reopened()
    resolve(second, FIRST)
    second.worker("o_2")
    (claim,) = second.take("o_2")
    assert claim.slots[SLOT]["r"] == FIRST
    row = Row("call", '{"recorded":"first"}', (SLOT,))
    second.do(journal.record(claim.fence, [row]))
    # From here on the journal answers, with or without the slot.
    assert second.open(claim.fence, completion()) == [waits.Opened("journaled", '{"recorded":"first"}')]
    assert resolve(second, SECOND).standing == FIRST


def test_the_end_of_a_process_is_seen_alike_by_who_came_before_and_after(world: World) -> None:
    fence = world.running("p", "o_1")
    child = world.running("child", "o_2")
    before = waits.Wait(slot="before", replay_key="k1", group="g1", kind="c:child", child_incarnation="inc00001")
    after = waits.Wait(slot="after", replay_key="k2", group="g2", kind="c:child", child_incarnation="inc00001")
    assert world.open(fence, before) == [waits.Opened("open", "")]
    world.finish("child", "grown", child)
    output = '{"status":"ok","value":{"type":"success","value":"grown"}}'
    assert world.do(waits.read_slots(fence, ["before"])) == (None, [output])
    assert world.open(fence, after) == [waits.Opened("done", output)]


def test_shutdown_and_a_lost_lease_leave_slots_open(world: World) -> None:
    fence: Fence = world.running("p", "o_1")
    world.open(fence, completion())
    world.do(ends.release(fence))
    world.worker("o_2")
    (claim,) = world.take("o_2")
    assert "r" not in claim.slots[SLOT]
    world.lose("o_2")
    assert "r" not in world.view().slots[SLOT]
    assert resolve(world, FIRST).accepted is True
