"""The bearer tokens that outsiders get, and the secrets that make them.

Invariant: a token is good only if a secret of this namespace made it. All bad tokens get the same answer, after the
same time.
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
"""Version, content, signature: the form in a namespace whose secret was never rotated. The release before reads no
other form."""
NAMED_VERSION = "wt2"
"""The form with the id of the secret: version, id, content, signature."""
SECRET_LENGTH = 32
"""The number of bytes of a secret."""


def _mac(secret: bytes, message: bytes) -> str:
    return _base64(hmac.new(secret, message, hashlib.sha256).digest())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class TokenContent:
    """What a bearer token stands for: one slot of one incarnation of a process, until a time in ms (None: without an
    end)."""

    process_id: str
    incarnation: str
    key_id: str
    expires_ms: int | None = None


def secret_id(secret: bytes) -> str:
    """The name of a secret in places that must not show it: 12 hex digits. Scripts compute it too (lib/keyring.lua)."""
    return hashlib.sha1(secret.hex().encode()).hexdigest()[:12]  # noqa: S324 - told apart, not trusted


@dataclass(frozen=True, slots=True)
class Keyring:
    """The secrets of a namespace: the one that makes tokens now, the one before it, and the first one."""

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)
    """The secret before the current one; its tokens are good until ``until_ms`` (a time of the server)."""
    until_ms: int | None = None
    first: bytes | None = field(default=None, repr=False)
    """The secret before the first rotation; None if there was no rotation."""
    refused: str | None = None
    """Why the secret in the store cannot be used; only for programs that look and make no tokens."""

    def token(self, process_id: str, incarnation: str, key_id: str, expires_ms: int | None = None) -> str:
        """A token made with the current secret; raises as `encode_token`."""
        return encode_token(self.current, process_id, incarnation, key_id, expires_ms, named=self.first is not None)

    def knows(self, token: object) -> bool:
        """False if a token names a secret that is not in this ring, which may be old."""
        if not isinstance(token, str):
            return True
        version, _, rest = token.partition(".")
        return version != NAMED_VERSION or rest.partition(".")[0] in self._by_id()

    def read(self, token: str) -> tuple[TokenContent, str]:
        """The content of a token, and the id of the secret that made it; raises `AwaitEventUnknownOrRevoked`.

        The script that resolves decides whether that secret is still good, because only Redis' clock counts.
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
        """The name of the secret that makes tokens now."""
        return secret_id(self.current)

    @property
    def origin(self) -> bytes:
        """The first secret of the namespace. No rotation changes it, so another first secret is another namespace."""
        return self.first or self.current

    def _by_id(self) -> dict[str, bytes]:
        return {secret_id(secret): secret for secret in (self.current, self.previous) if secret is not None}


def token_version(text: object) -> str | None:
    """The version of a text that reads like a bearer token; None for any other value."""
    version = text.partition(".")[0] if isinstance(text, str) and text.count(".") > 1 else None
    return version if version in (TOKEN_VERSION, NAMED_VERSION) else None


def encode_token(
    secret: bytes, process_id: str, incarnation: str, key_id: str, expires_ms: int | None = None, *, named: bool = False
) -> str:
    """A url-safe bearer token of a slot: version, content, signature. ``named`` puts the secret's id before the
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

    It does not check the expiry, because only Redis' clock counts.
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
