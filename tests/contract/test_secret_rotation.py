"""The secret of a namespace is rotated while tokens are out; one that is empty or altered makes and reads no token."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from wakeline.causality import ProcessScope
from wakeline.errors import AwaitEventUnknownOrRevoked, RotationOverlaps, SecretRefused
from wakeline.store import keyring
from wakeline.store.blocking import SyncStore
from wakeline.verbs import answers
from wakeline.waits.identity import ToolCompletion, key_id
from wakeline.waits.keys import Keyring, encode_token, secret_id

from tests.contract.conftest import World

DAY_MS = 86_400_000
SLOTS = [key_id(ProcessScope("p"), ToolCompletion(f"call-{n}")) for n in range(4)]
OLD = "0123456789abcdef" * 4


def token(ring: Keyring, n: int = 0) -> str:
    return ring.token("p", "inc00001", SLOTS[n])


def answered(world: World, given: str) -> bool:
    """Whether a client takes the token; it has read the secrets when it was made, and may do so again."""
    return bool(world.go(answers.resolve(world.caller, world.store.keyring_for(given), given, "yes")))


def rotate(world: World, keep_ms: int = DAY_MS, secret: str | None = None) -> keyring.Rotated:
    """By a client that opens with any secret, as the command line does."""
    return SyncStore(world.backend, replace(world.store.address, only_looks=True)).execute(
        keyring.rotate(world.namespace, keep_ms, secret=secret)
    )


def raw(world: World) -> Any:
    return world.backend.sync()


def test_a_token_made_before_a_rotation_is_good_while_both_secrets_are(world: World) -> None:
    world.running("p")
    before = world.store.keyring
    assert rotate(world) == keyring.Rotated(
        secret_id(world.reopened().store.keyring.current), 1_700_000_000_000 + DAY_MS
    )
    later = world.reopened()
    assert answered(later, token(before, 0)) is True
    world.clock.advance("23h59m59s")
    assert answered(world.reopened(), token(before, 1)) is True
    assert answered(world.reopened(), token(later.store.keyring, 2)) is True


def test_a_token_made_before_a_rotation_is_void_when_its_secret_is_no_longer_kept_also_to_a_client_that_still_knows_it(
    world: World,
) -> None:
    world.running("p")
    before = world.store.keyring
    rotate(world)
    world.clock.advance("1d")
    assert world.store.keyring == before  # this client knows nothing of the rotation: the script refuses
    with pytest.raises(AwaitEventUnknownOrRevoked):
        answered(world, token(before))
    with pytest.raises(AwaitEventUnknownOrRevoked):
        answered(world.reopened(), token(before))
    assert world.reopened().store.keyring.previous is None


def test_a_client_that_was_there_before_the_rotation_takes_a_token_that_was_made_after_it(world: World) -> None:
    world.running("p")
    _ = world.store.keyring
    other = SyncStore(world.backend, world.store.address)
    other.execute(keyring.rotate(world.namespace, DAY_MS))
    made = token(SyncStore(world.backend, world.store.address).keyring)
    assert re.fullmatch(r"wt2\.[0-9a-f]{12}\.[\w-]+\.[\w-]+", made)
    assert answered(world, made) is True


def test_a_forged_token_that_names_an_unknown_secret_makes_a_client_ask_once_a_second_at_most(world: World) -> None:
    world.running("p")
    forged = encode_token(b"f" * 32, "p", "inc00001", SLOTS[0], named=True)
    sent = world.store.sent.counts["namespace_open"]
    for _ in range(5):
        with pytest.raises(AwaitEventUnknownOrRevoked):
            answered(world, forged)
    assert world.store.sent.counts["namespace_open"] - sent == 1


def test_what_the_release_before_made_and_reads_is_as_it_was_until_the_first_rotation(world: World) -> None:
    raw(world).set("{" + world.namespace + "}:secret", OLD)
    world.running("p")
    ring = world.store.keyring
    assert ring.current == bytes.fromhex(OLD)
    made_before = encode_token(bytes.fromhex(OLD), "p", "inc00001", SLOTS[0])
    assert token(ring) == made_before  # which that release reads
    rotate(world)
    assert answered(world.reopened(), made_before) is True
    assert world.reopened().store.keyring.first == bytes.fromhex(OLD)


def test_a_worker_of_the_release_before_that_reads_the_new_secret_makes_tokens_that_are_good(world: World) -> None:
    world.running("p")
    rotate(world)
    read = bytes.fromhex(raw(world).get("{" + world.namespace + "}:secret"))
    assert answered(world.reopened(), encode_token(read, "p", "inc00001", SLOTS[0])) is True


def test_a_second_rotation_waits_for_the_first_or_makes_all_before_void(world: World) -> None:
    world.running("p")
    first = world.store.keyring
    rotate(world)
    second = world.reopened().store.keyring
    with pytest.raises(RotationOverlaps) as refused:
        rotate(world)
    assert refused.value.fields == {"namespace": world.namespace, "until_ms": 1_700_000_000_000 + DAY_MS}
    assert world.reopened().store.keyring == second
    assert rotate(world, 0).until_ms is None
    for ring in (first, second):
        with pytest.raises(AwaitEventUnknownOrRevoked):
            answered(world.reopened(), token(ring))
    assert answered(world.reopened(), token(world.reopened().store.keyring)) is True


def test_a_rotation_that_is_sent_twice_is_one(world: World) -> None:
    world.running("p")
    first = world.store.keyring
    assert rotate(world, secret=OLD) == rotate(world, secret=OLD)
    assert world.reopened().store.keyring.previous == first.current


@pytest.mark.parametrize(
    ("stands", "reason"),
    [
        ("", "it is empty or gone"),
        (None, "it is empty or gone"),
        ("ff", "it is not 32 bytes in hex"),
        ("not hex" * 10, "it is not 32 bytes in hex"),
        (OLD.upper(), "it is not 32 bytes in hex"),
        (OLD, "it was altered: it is not the one with the id {made}"),
    ],
)
def test_a_secret_that_is_empty_or_altered_is_refused_and_a_rotation_mends_it(
    world: World, stands: str | None, reason: str
) -> None:
    world.running("p")
    ring = world.store.keyring
    key = "{" + world.namespace + "}:secret"
    raw(world).delete(key) if stands is None else raw(world).set(key, stands)
    for _ in range(2):  # looking at it mends nothing
        with pytest.raises(SecretRefused) as refused:
            _ = world.reopened().store.keyring
        assert refused.value.fields == {
            "namespace": world.namespace,
            "reason": reason.format(made=secret_id(ring.current)),
        }
    assert rotate(world).until_ms is None
    with pytest.raises(AwaitEventUnknownOrRevoked):
        answered(world.reopened(), token(ring))
    if stands:
        with pytest.raises(AwaitEventUnknownOrRevoked):
            answered(world.reopened(), encode_token(stands.encode(), "p", "inc00001", SLOTS[0]))
    assert answered(world.reopened(), token(world.reopened().store.keyring)) is True


def test_an_empty_secret_of_the_release_before_is_refused_too(world: World) -> None:
    raw(world).set("{" + world.namespace + "}:secret", "")
    with pytest.raises(SecretRefused):
        _ = world.store.keyring


def test_no_secret_is_shown_by_what_holds_it(world: World) -> None:
    rotate(world)
    ring = world.reopened().store.keyring
    for secret in (ring.current, ring.previous, ring.first):
        assert secret is not None
        assert repr(secret) not in repr(ring) and secret.hex() not in repr(ring)
