"""The bearer tokens given to outsiders, and the secrets that make them.

Invariant: a token is good only if a secret of this namespace made it; every way of being bad has the same answer,
found in the same time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

from wakeline.errors import AwaitEventUnknownOrRevoked, InvalidPayload, InvalidToken
from wakeline.values import framed, from_json, to_json

TOKEN_DOMAIN = "wakeline.await-event-token"
TOKEN_VERSION = "wt1"
"""Version, content, signature: of a namespace whose secret was never rotated. The release before reads no other."""
NAMED_VERSION = "wt2"
"""Version, id of the secret, content, signature."""
SECRET_LENGTH = 32
"""Bytes of a secret."""


def _mac(secret: bytes, message: bytes) -> str:
    return _base64(hmac.new(secret, message, hashlib.sha256).digest())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class TokenContent:
    """What a bearer token stands for: one slot of one incarnation of a process, until a time in ms or for ever."""

    process_id: str
    incarnation: str
    key_id: str
    expires_ms: int | None = None


def secret_id(secret: bytes) -> str:
    """What a secret is called where it must not be shown: 12 hex digits. Scripts reckon it too (lib/keyring.lua)."""
    return hashlib.sha1(secret.hex().encode()).hexdigest()[:12]  # noqa: S324 - told apart, not trusted


@dataclass(frozen=True, slots=True)
class Keyring:
    """The secrets of a namespace: the one that makes tokens now, the one before it, and the first one."""

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)
    """Tokens that it made are still good, until ``until_ms`` (a time of the server)."""
    until_ms: int | None = None
    first: bytes | None = field(default=None, repr=False)
    """The secret before the first rotation; None where there was no rotation."""
    refused: str | None = None
    """Why the secret in the store cannot be used, to those who only look."""

    def token(self, process_id: str, incarnation: str, key_id: str, expires_ms: int | None = None) -> str:
        """A token made with the current secret; raises as `encode_token`."""
        return encode_token(self.current, process_id, incarnation, key_id, expires_ms, named=self.first is not None)

    def knows(self, token: object) -> bool:
        """False for a token that names a secret which is not in this ring: the ring may be old."""
        if not isinstance(token, str):
            return True
        version, _, rest = token.partition(".")
        return version != NAMED_VERSION or rest.partition(".")[0] in self._by_id()

    def read(self, token: str) -> tuple[TokenContent, str]:
        """The content of a token, and the id of the secret that made it; raises `AwaitEventUnknownOrRevoked`.

        Whether that secret is still good is decided by the script that resolves: only Redis' clock knows.
        """
        found: tuple[TokenContent, str] | None = None
        for name, secret in self._by_id().items():
            try:
                found = decode_token(secret, token), name
            except AwaitEventUnknownOrRevoked:
                continue
        if found is None:
            raise AwaitEventUnknownOrRevoked()
        return found

    @property
    def id(self) -> str:
        """What the secret that makes tokens now is called."""
        return secret_id(self.current)

    @property
    def origin(self) -> bytes:
        """The first secret of the namespace, which no rotation changes: a namespace with another one is another one."""
        return self.first or self.current

    def _by_id(self) -> dict[str, bytes]:
        return {secret_id(secret): secret for secret in (self.current, self.previous) if secret is not None}


def encode_token(
    secret: bytes, process_id: str, incarnation: str, key_id: str, expires_ms: int | None = None, *, named: bool = False
) -> str:
    """A url-safe bearer token of a slot: version, content, signature; ``named`` puts the secret's id before the
    content.

    `expires_ms` is a time since 1970. Raises `InvalidToken` for a blank part or a negative time.
    """
    if not (process_id and incarnation and key_id):
        raise InvalidToken(reason="process, incarnation and key id have to be given")
    if expires_ms is not None and expires_ms < 0:
        raise InvalidToken(reason=f"it cannot expire at {expires_ms} ms")
    content = _base64(to_json([process_id, incarnation, key_id, expires_ms]).encode())
    head = f"{NAMED_VERSION}.{secret_id(secret)}" if named else TOKEN_VERSION
    return f"{head}.{content}.{_token_mac(secret, head, content)}"


def decode_token(secret: bytes, token: str) -> TokenContent:
    """The content of a token that this secret made; anything else is `AwaitEventUnknownOrRevoked`.

    Expiry is not looked at here: only Redis' clock knows.
    """
    try:
        head, content, given = token.rsplit(".", 2)
        expected = _token_mac(secret, head, content)
        known = (TOKEN_VERSION, f"{NAMED_VERSION}.{secret_id(secret)}")
        if not hmac.compare_digest(expected.encode(), given.encode()) or head not in known:
            raise AwaitEventUnknownOrRevoked()
        values: Any = from_json(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
        return TokenContent(*values)
    except (ValueError, TypeError, AttributeError, InvalidPayload) as error:
        raise AwaitEventUnknownOrRevoked() from error


def _token_mac(secret: bytes, head: str, content: str) -> str:
    return _mac(secret, framed(TOKEN_DOMAIN, head.partition(".")[0], content))
