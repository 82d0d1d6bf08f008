"""Signed keys of slots, which prove that this namespace derived the id of a wait.

No verb hands such a key out. Bodies keep only the id, and outsiders get a token (`wakeline.waits.keys`). The vectors of
both are pinned together.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from wakeline.causality import ExecutionScope
from wakeline.values import framed
from wakeline.waits.identity import KEY_VERSION, WaitIdentity, key_id, preimage

SIGNATURE_DOMAIN = "wakeline.await-event-auth"


@dataclass(frozen=True, slots=True)
class AwaitEventKey:
    """A slot for its owner: scope, identity, the id derived from both, and the proof that this namespace derived it."""

    scope: ExecutionScope
    identity: WaitIdentity
    key_id: str
    signature: str


def mint(secret: bytes, scope: ExecutionScope, identity: WaitIdentity) -> AwaitEventKey:
    """The key of a scope and an identity. A repetition gives the same key, and nothing is stored."""
    derived = key_id(scope, identity)
    return AwaitEventKey(scope, identity, derived, _signature(secret, scope, identity, derived))


def verify(secret: bytes, key: AwaitEventKey) -> bool:
    """Whether `mint` makes this key. Id and signature are compared in constant time."""
    derived = key_id(key.scope, key.identity)
    same_id = hmac.compare_digest(derived.encode(), key.key_id.encode())
    expected = _signature(secret, key.scope, key.identity, derived)
    return hmac.compare_digest(expected.encode(), key.signature.encode()) and same_id


def _signature(secret: bytes, scope: ExecutionScope, identity: WaitIdentity, derived: str) -> str:
    message = framed(SIGNATURE_DOMAIN, KEY_VERSION, preimage(scope, identity), derived)
    return base64.urlsafe_b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode().rstrip("=")
