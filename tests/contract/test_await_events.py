"""Await-event slots: keys, resolutions, revocation (E1 to E12, E29 to E58)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from wakeline.causality import (
    ExecutionScope,
    ProcessScope,
    QueueDrainScope,
    RuntimeOperationScope,
    SessionDeleteScope,
    TurnScope,
    parse_execution_scope,
)
from wakeline.errors import AwaitEventUnknownOrRevoked, InvalidId, InvalidWaitIdentity, LeaseLost, MissingExecutionScopeId
from wakeline.names import split_session_id
from wakeline.processes.lease import Fence
from wakeline.store import processes, runs
from wakeline.store.processes import Row
from wakeline.waits.identity import (
    Custom,
    ProcessSignal,
    ProcessTerminal,
    Timer,
    ToolCompletion,
    WaitIdentity,
    key_id,
    preimage,
)
from wakeline.waits.keys import decode_token, encode_token, mint, verify

if TYPE_CHECKING:
    from tests.contract.conftest import World

SECRET = b"s" * 32
FIRST = '{"status":"ok","value":"first"}'
SECOND = '{"status":"ok","value":"second"}'
CANCELLED = '{"status":"cancelled"}'
TIMEOUT = '{"status":"timeout"}'
CALL = ToolCompletion("call-1")
SLOT = key_id(ProcessScope("p"), CALL)


def completion(**over: Any) -> runs.Wait:
    """The wait of process `p` for the completion of its tool call."""
    return runs.Wait(slot=SLOT, replay_key="call", group="g", kind="x:charge", **over)


def resolve(world: World, resolution: str, slot: str = SLOT) -> runs.Resolved:
    return world.do(runs.resolve("p", "inc00001", slot, resolution))


def keys(world: World) -> set[str]:
    """Every key of the namespace."""
    return set(world.store.client.scan_iter(match="{" + world.namespace + "}:*"))


# -- scopes and identities: pure


def test_a_queue_drain_scope_has_a_session_and_no_turn() -> None:
    scope = QueueDrainScope("chat/1", "d1")
    assert (scope.id, scope.session_id, scope.turn_id) == ("d1", "chat/1", None)


def test_a_turn_scope_has_a_session_and_a_turn() -> None:
    scope = TurnScope("chat/1", "t1")
    assert (scope.id, scope.session_id, scope.turn_id) == ("t1", "chat/1", "t1")


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (TurnScope, (" ", "t1")),
        (TurnScope, ("chat/1", "")),
        (ProcessScope, ("",)),
        (QueueDrainScope, ("chat/1", "\t")),
        (SessionDeleteScope, ("",)),
        (RuntimeOperationScope, (" ",)),
    ],
)
def test_a_blank_component_of_a_scope_is_refused(make: Any, arguments: tuple[str, ...]) -> None:
    with pytest.raises(MissingExecutionScopeId) as refused:
        make(*arguments)
    assert refused.value.code == "missing_execution_scope_id"


@pytest.mark.parametrize(
    ("scope", "journal_key"),
    [
        (TurnScope("chat/1", "t:1"), "turn:chat%2F1:t%3A1"),
        (ProcessScope("p"), "process:p"),
        (QueueDrainScope("chat/1", "p"), "queue_drain:chat%2F1:p"),
        (SessionDeleteScope("chat/1"), "session_delete:chat%2F1"),
        (RuntimeOperationScope("p"), "runtime_operation:p"),
    ],
)
def test_a_scope_is_stored_by_kind_and_every_component_and_read_back(scope: ExecutionScope, journal_key: str) -> None:
    assert scope.journal_key == journal_key
    assert parse_execution_scope(journal_key) == scope


@pytest.mark.parametrize("stored", ["turn:only-one", "drain:chat:1", "process", ""])
def test_what_is_no_scope_is_not_read_as_one(stored: str) -> None:
    with pytest.raises(InvalidId):
        parse_execution_scope(stored)


@pytest.mark.parametrize(
    ("scope", "identity", "expected"),
    [
        (TurnScope("ab", "c"), ToolCompletion("x:y"), "v1XnXwMGFUflDaw98rTDpFHLzs"),
        (TurnScope("a", "bc"), ToolCompletion("x:y"), "v10PahlKFVVAEc2B47j_ROfLUS"),
        (ProcessScope("p"), ProcessSignal("p", "inc00001", 1, "go", 1), "v1pTlTWsgHh23bKAXfuan-6li7"),
        (ProcessScope("p"), ProcessSignal("p", "inc00001", 1, "go", 12), "v1qnRna1V8_JViy28Dx_3d1RK7"),
        (QueueDrainScope("chat/1", "d1"), Custom("k"), "v1JVitc5eeP0EolaHKzSH_zEbz"),
        (RuntimeOperationScope("op"), Timer("t"), "v1KToXJ-11_ltVZHFjGWgfXPo5"),
        (SessionDeleteScope("chat/1"), ProcessTerminal("p", "inc00001"), "v1mKW-q9cxNBz6FOD0nzFakI-g"),
    ],
)
def test_the_id_of_a_slot_is_pinned(scope: ExecutionScope, identity: WaitIdentity, expected: str) -> None:
    assert key_id(scope, identity) == expected


def test_what_is_hashed_is_framed_and_carries_its_version() -> None:
    assert preimage(ProcessScope("p"), Custom("k")).hex() == (
        "0000000000000014" + b"wakeline.await-event".hex()
        + "0000000000000002" + b"v1".hex()
        + "0000000000000007" + b"process".hex()
        + "0000000000000001" + b"p".hex()
        + "0000000000000006" + b"custom".hex()
        + "0000000000000001" + b"k".hex()
    )  # fmt: skip


def test_the_signature_of_a_key_is_pinned_and_minting_again_gives_the_same_key() -> None:
    key = mint(SECRET, ProcessScope("p"), CALL)
    assert (key.key_id, key.signature) == ("v1eXwObO2oHxoQYpOfH3P7DZLa", "wpgKOKDNMV2-S_QuVqHK-YfibW0wcjIGWp5g9cEYAUM")
    assert mint(SECRET, ProcessScope("p"), ToolCompletion("call-1")) == key
    assert verify(SECRET, key)


@pytest.mark.parametrize(
    "forged",
    [
        {"signature": "Wpgkokdnmv2-S_QuVqHK-YfibW0wcjIGWp5g9cEYAUM"},
        {"signature": "wpgKOKDNMV2-S_QuVqHK-YfibW0wcjIGWp5g9cEYAU"},
        {"signature": ""},
        {"key_id": "v1eXwObO2oHxoQYpOfH3P7DZLb"},
        {"scope": ProcessScope("q")},
        {"scope": TurnScope("chat/1", "t1")},
        {"identity": ToolCompletion("call-2")},
    ],
    ids=["content", "length", "empty", "key id", "scope", "session", "identity"],
)
def test_a_key_with_any_part_changed_is_not_accepted(forged: dict[str, Any]) -> None:
    assert verify(SECRET, dataclasses.replace(mint(SECRET, ProcessScope("p"), CALL), **forged)) is False


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (ToolCompletion, (" ",)),
        (Custom, ("",)),
        (ProcessTerminal, ("p", "")),
        (ProcessSignal, ("p", "inc00001", 1, "", 1)),
        (ProcessSignal, ("p", "inc00001", 1, "go", 0)),
    ],
)
def test_a_blank_or_zero_part_of_an_identity_is_refused(make: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidWaitIdentity) as refused:
        make(*arguments)
    assert refused.value.code == "invalid_await_event_wait_identity"


def test_a_blank_session_id_is_refused_before_anything_is_sent() -> None:
    for blank in ("", "/", "chat/", "/1"):
        with pytest.raises(InvalidId):
            split_session_id(blank)


# -- resolving


def test_a_resolution_before_any_wait_is_kept_for_it(world: World) -> None:
    fence = world.running("p")
    assert resolve(world, FIRST).accepted is True
    assert world.open(fence, completion()) == [runs.Opened("done", FIRST)]


def test_the_first_resolution_stands(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    assert resolve(world, FIRST) == runs.Resolved(True, None)
    assert resolve(world, SECOND) == runs.Resolved(False, FIRST)
    assert world.do(runs.read_slots(fence, [SLOT])) == (False, [FIRST])


def test_of_two_resolutions_kept_for_later_the_first_stands_too(world: World) -> None:
    fence = world.running("p")
    assert resolve(world, FIRST).accepted is True
    assert resolve(world, SECOND) == runs.Resolved(False, FIRST)
    assert world.open(fence, completion()) == [runs.Opened("done", FIRST)]


def test_two_opens_of_one_wait_share_its_resolution(world: World) -> None:
    fence = world.running("p")
    assert [opened.state for opened in world.open(fence, completion()) + world.open(fence, completion())] == [
        "open",
        "open",
    ]
    resolve(world, FIRST)
    assert world.open(fence, completion()) == [runs.Opened("done", FIRST)]


def test_a_cancel_resolves_every_open_wait_and_stands(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    world.wait_for(fence, "go")
    world.go(world.service.cancel("p", "enough"))
    assert world.do(runs.read_slots(fence, [SLOT, "slot-go.1"])) == (True, [CANCELLED, CANCELLED])
    assert resolve(world, FIRST) == runs.Resolved(False, CANCELLED)


def test_a_wait_opened_under_a_cancel_is_cancelled_at_once(world: World) -> None:
    fence = world.running("p")
    world.go(world.service.cancel("p", "enough"))
    assert world.open(fence, completion()) == [runs.Opened("done", CANCELLED)]


def test_a_resolver_that_comes_after_such_a_wait_learns_of_the_cancel(world: World) -> None:
    fence = world.running("p")
    world.go(world.service.cancel("p", "enough"))
    world.open(fence, completion())
    assert resolve(world, FIRST) == runs.Resolved(False, CANCELLED)


def test_a_cancel_leaves_what_was_resolved(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    resolve(world, FIRST)
    world.go(world.service.cancel("p", "enough"))
    assert world.do(runs.read_slots(fence, [SLOT])) == (True, [FIRST])


def test_a_deadline_of_now_times_out_and_stands(world: World) -> None:
    fence = world.running("p")
    assert world.open(fence, completion(for_ms=0)) == [runs.Opened("open", "1700000000000")]
    assert world.tick().fired == 1
    assert world.do(runs.read_slots(fence, [SLOT])) == (False, [TIMEOUT])
    assert resolve(world, FIRST) == runs.Resolved(False, TIMEOUT)


def test_a_resolution_that_beat_the_deadline_stands(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion(for_ms=1_000))
    resolve(world, FIRST)
    world.clock.advance("2s")
    world.tick()
    assert world.do(runs.read_slots(fence, [SLOT])) == (False, [FIRST])


def test_the_deadline_of_a_wait_is_fixed_when_it_is_first_opened(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion(for_ms=10_000))
    world.clock.advance("4s")
    assert world.open(fence, completion(for_ms=10_000)) == [runs.Opened("open", "1700000010000")]


# -- revoking


@pytest.mark.parametrize("end", ["finished", "cancelled by grace"])
def test_the_end_of_a_process_revokes_its_keys_for_ever(world: World, end: str) -> None:
    fence = world.running("p")
    token = encode_token(world.store.secret, "p", "inc00001", SLOT)
    world.open(fence, completion())
    if end == "finished":
        world.finish("p", 1, fence)
    else:
        world.go(world.service.cancel("p", "enough"))
        world.clock.advance("11s")
        world.tick()
    for later in (world, world.reopened()):
        with pytest.raises(AwaitEventUnknownOrRevoked):
            later.go(later.service.resolve(later.store.secret, token, "late"))
        with pytest.raises(LeaseLost):
            later.open(fence, completion())
    assert [key for key in keys(world) if ":slot:" in key or ":waits:" in key] == []


def test_a_closed_wait_is_revoked_and_stays_so(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    world.do(runs.close_waits(fence, [SLOT]))
    world.do(runs.close_waits(fence, [SLOT]))
    assert resolve(world, FIRST).unknown is True
    later = world.reopened()
    assert resolve(later, FIRST).unknown is True
    assert later.open(fence, completion()) == [runs.Opened("done", CANCELLED)]
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
        world.go(world.service.resolve(world.store.secret, token, "late"))
    assert refused.value.code == "await_event_unknown_or_revoked"


@pytest.mark.parametrize("part", ["version", "claims", "signature", "other secret", "garbage"])
def test_a_forged_token_is_refused_before_the_store_is_asked(world: World, part: str) -> None:
    world.running("p")
    version, claims, signature = encode_token(world.store.secret, "p", "inc00001", SLOT).split(".")
    stranger = encode_token(SECRET, "p", "inc00001", SLOT)
    forged = {
        "version": f"wt2.{claims}.{signature}",
        "claims": f"{version}.{encode_token(SECRET, 'q', 'inc00001', SLOT).split('.')[1]}.{signature}",
        "signature": f"{version}.{claims}.{signature[:-2]}AA",
        "other secret": stranger,
        "garbage": "not a token",
    }[part]
    sent, before = dict(world.store.sent.counts), keys(world)
    with pytest.raises(AwaitEventUnknownOrRevoked):
        world.go(world.service.resolve(world.store.secret, forged, "x"))
    assert world.store.sent.counts == sent
    assert keys(world) == before


def test_a_good_token_is_good_once(world: World) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    token = encode_token(world.store.secret, "p", "inc00001", SLOT)
    assert decode_token(world.store.secret, token).key_id == SLOT
    assert world.go(world.service.resolve(world.store.secret, token, "paid")) is True
    assert world.go(world.service.resolve(world.store.secret, token, "again")) is False
    assert world.do(runs.read_slots(fence, [SLOT])) == (False, ['{"status":"ok","value":"paid"}'])


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
def test_a_key_minted_by_one_instance_is_resolved_by_another_and_seen_by_a_third(world: World, identity: WaitIdentity) -> None:
    fence = world.running("p")
    minted = mint(world.store.secret, ProcessScope("p"), identity)
    token = encode_token(world.store.secret, "p", "inc00001", minted.key_id)

    second = world.reopened()
    assert second.store is not world.store
    assert mint(second.store.secret, ProcessScope("p"), identity) == minted
    assert second.go(second.service.resolve(second.store.secret, token, "from afar")) is True

    third = second.reopened()
    wait = runs.Wait(slot=minted.key_id, replay_key="k", group="g", kind="x:k")
    assert third.open(fence, wait) == [runs.Opened("done", '{"status":"ok","value":"from afar"}')]


@pytest.mark.parametrize("first", ["resolution", "cancel"])
def test_of_a_resolution_and_a_cancel_from_two_instances_the_first_is_seen_by_all(world: World, first: str) -> None:
    fence = world.running("p")
    world.open(fence, completion())
    second = world.reopened()
    if first == "resolution":
        resolve(second, FIRST)
    else:
        second.go(second.service.cancel("p", "in time"))
    third = second.reopened()
    if first == "resolution":
        third.go(third.service.cancel("p", "too late"))
    else:
        assert resolve(third, FIRST) == runs.Resolved(False, CANCELLED)
    for instance in (second, third):
        assert instance.do(runs.read_slots(fence, [SLOT])) == (True, [FIRST if first == "resolution" else CANCELLED])


def test_a_parked_wait_is_resolved_while_its_owner_is_gone_and_replays_from_the_journal(world: World) -> None:
    fence = world.running("p", "o_1")
    world.open(fence, completion())
    world.do(processes.park(fence, ["g"], '{"waits":[]}'))
    world.lose("o_1")
    second = world.reopened()
    resolve(second, FIRST)
    second.worker("o_2")
    (claim,) = second.take("o_2")
    assert claim.slots[SLOT]["r"] == FIRST
    row = Row("call", '{"recorded":"first"}', (SLOT,))
    second.do(runs.record(claim.fence, [row]))
    # From here on the journal answers, whatever happens to the slot.
    assert second.open(claim.fence, completion()) == [runs.Opened("journaled", '{"recorded":"first"}')]
    assert resolve(second, SECOND).standing == FIRST


def test_the_end_of_a_process_is_seen_alike_by_who_came_before_and_after(world: World) -> None:
    fence = world.running("p", "o_1")
    child = world.running("child", "o_2")
    before = runs.Wait(slot="before", replay_key="k1", group="g1", kind="c:child", child_incarnation="inc00001")
    after = runs.Wait(slot="after", replay_key="k2", group="g2", kind="c:child", child_incarnation="inc00001")
    assert world.open(fence, before) == [runs.Opened("open", "")]
    world.finish("child", "grown", child)
    output = '{"status":"ok","value":{"type":"success","value":"grown"}}'
    assert world.do(runs.read_slots(fence, ["before"])) == (False, [output])
    assert world.open(fence, after) == [runs.Opened("done", output)]


def test_shutdown_and_a_lost_lease_leave_slots_open(world: World) -> None:
    fence: Fence = world.running("p", "o_1")
    world.open(fence, completion())
    world.do(processes.release(fence))
    world.worker("o_2")
    (claim,) = world.take("o_2")
    assert "r" not in claim.slots[SLOT]
    world.lose("o_2")
    assert "r" not in world.view().slots[SLOT]
    assert resolve(world, FIRST).accepted is True
