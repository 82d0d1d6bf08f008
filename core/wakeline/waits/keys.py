"""Await-event keys and the bearer tokens given to outsiders.

Invariant: a key or token is good only if this namespace's secret made it; every way of being bad has the same answer,
found in the same time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from wakeline.causality import ExecutionScope
from wakeline.errors import AwaitEventUnknownOrRevoked, InvalidPayload, InvalidToken
from wakeline.values import framed, from_json, to_json
from wakeline.waits.identity import KEY_VERSION, WaitIdentity, key_id, preimage

SIGNATURE_DOMAIN = "wakeline.await-event-auth"
TOKEN_DOMAIN = "wakeline.await-event-token"
TOKEN_VERSION = "wt1"


@dataclass(frozen=True, slots=True)
class AwaitEventKey:
    """A slot as its owner holds it: where, what, the id derived from both, and proof that this namespace derived it."""

    scope: ExecutionScope
    identity: WaitIdentity
    key_id: str
    signature: str


def mint(secret: bytes, scope: ExecutionScope, identity: WaitIdentity) -> AwaitEventKey:
    """The key of a scope and an identity; minting again gives the same key, and nothing is stored."""
    derived = key_id(scope, identity)
    return AwaitEventKey(scope, identity, derived, _signature(secret, scope, identity, derived))


def verify(secret: bytes, key: AwaitEventKey) -> bool:
    """Whether the key is one that `mint` makes; both the id and the signature are compared in constant time."""
    derived = key_id(key.scope, key.identity)
    same_id = hmac.compare_digest(derived.encode(), key.key_id.encode())
    expected = _signature(secret, key.scope, key.identity, derived)
    return hmac.compare_digest(expected.encode(), key.signature.encode()) and same_id


def _signature(secret: bytes, scope: ExecutionScope, identity: WaitIdentity, derived: str) -> str:
    return _mac(secret, framed(SIGNATURE_DOMAIN, KEY_VERSION, preimage(scope, identity), derived))


def _mac(secret: bytes, message: bytes) -> str:
    return _base64(hmac.new(secret, message, hashlib.sha256).digest())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a bearer token stands for: one slot of one incarnation of a process, until a time in ms or for ever."""

    process_id: str
    incarnation: str
    key_id: str
    expires_ms: int | None = None


def encode_token(secret: bytes, process_id: str, incarnation: str, key_id: str, expires_ms: int | None = None) -> str:
    """A url-safe bearer token of a slot: version, claims, signature.

    `expires_ms` is a time since 1970. Raises `InvalidToken` for a blank claim or a negative time.
    """
    if not (process_id and incarnation and key_id):
        raise InvalidToken(reason="process, incarnation and key id have to be given")
    if expires_ms is not None and expires_ms < 0:
        raise InvalidToken(reason=f"it cannot expire at {expires_ms} ms")
    claims = _base64(to_json([process_id, incarnation, key_id, expires_ms]).encode())
    return f"{TOKEN_VERSION}.{claims}.{_mac(secret, framed(TOKEN_DOMAIN, TOKEN_VERSION, claims))}"


def decode_token(secret: bytes, token: str) -> TokenClaims:
    """The claims of a token that this secret made; anything else is `AwaitEventUnknownOrRevoked`.

    Expiry is not looked at here: only Redis' clock knows.
    """
    try:
        version, claims, given = token.split(".")
        expected = _mac(secret, framed(TOKEN_DOMAIN, TOKEN_VERSION, claims))
        if not hmac.compare_digest(expected.encode(), given.encode()) or version != TOKEN_VERSION:
            raise AwaitEventUnknownOrRevoked()
        values: Any = from_json(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return TokenClaims(*values)
    except (ValueError, TypeError, AttributeError, InvalidPayload) as error:
        raise AwaitEventUnknownOrRevoked() from error
