"""The secrets of a namespace: how clients read them, and how they are rotated.

Invariant: a secret is used only if it is the one that was made for the namespace. An empty or altered one is refused.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any

from wakeline.errors import KeyFormatTooNew, RotationOverlaps, SecretRefused
from wakeline.store.calls import Call, Reply
from wakeline.waits.keys import SECRET_LENGTH, Keyring, secret_id

RENEW_S = 30
"""The age (seconds) at which a worker that makes a token reads the secrets again. In that time after a rotation the old
secret may still make tokens."""
ASK_AGAIN_S = 1
"""The shortest time (seconds) between two reads of the secrets for tokens of unknown secrets, so that forged tokens
cost no more."""


def new_secret() -> str:
    """A secret as it is stored: hex."""
    return secrets.token_hex(SECRET_LENGTH)


def introduce(namespace: str, rq_prefix: str, known: str, *, only_looks: bool) -> Call[Keyring]:
    """A client's first call: the secrets. ``known`` is the format of keys that it reads; raises `KeyFormatTooNew` and
    `SecretRefused`.

    A client that only looks gets neither error; then the ring says why its secret is refused.
    """

    def decode(reply: Reply) -> Keyring:
        found = str(reply[0])
        if found.isdigit() and int(found) > int(known) and not only_looks:
            raise KeyFormatTooNew(namespace=namespace, found=found, known=known)
        try:
            return keyring_of(namespace, reply[2:])
        except SecretRefused as refused:
            if not only_looks:
                raise
            # No token is made or read with it.
            return Keyring(b"", refused=refused.reason)

    return Call("namespace_open", {"secret": new_secret(), "format": known, "rq": rq_prefix}, decode)


def keyring_of(namespace: str, reply: Reply) -> Keyring:
    """The ring in a reply of ``namespace_open``; raises `SecretRefused` for a secret that is not the one that was
    made."""
    current, made, previous, until, first = reply
    if refused := _why_refused(current, made):
        raise SecretRefused(namespace=namespace, reason=refused)
    return Keyring(
        bytes.fromhex(current),
        bytes.fromhex(previous) if previous else None,
        int(until) if previous else None,
        bytes.fromhex(first) if first else None,
    )


def _why_refused(current: str, made: str) -> str | None:
    """What is wrong with a secret, without showing it."""
    if not current:
        return "it is empty or gone"
    if not re.fullmatch(f"[0-9a-f]{{{2 * SECRET_LENGTH}}}", current):
        return f"it is not {SECRET_LENGTH} bytes in hex"
    if secret_id(bytes.fromhex(current)) != made:
        return f"it was altered: it is not the one with the id {made}"
    return None


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: the id of the new secret, and until when (ms, server time) earlier tokens are good (None:
    they are void)."""

    id: str
    until_ms: int | None


def rotate(namespace: str, keep_ms: int, *, secret: str | None = None) -> Call[Rotated]:
    """Make tokens with a new secret from now on. Raises `RotationOverlaps` while the previous secret is still good,
    unless ``keep_ms`` is 0."""

    def decode(reply: Reply) -> Rotated:
        if reply[0] == "overlaps":
            raise RotationOverlaps(namespace=namespace, until_ms=int(reply[1]))
        return Rotated(str(reply[1]), int(reply[2]) if reply[2] else None)

    args: dict[str, Any] = {"secret": secret or new_secret(), "keep_ms": keep_ms}
    return Call("secret_rotate", args, decode)
