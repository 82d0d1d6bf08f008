"""The secrets of a namespace as clients read them, and how they are rotated.

Invariant: a secret is used only where it is the one that was made for the namespace; one that is empty or altered is
refused.
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
"""A worker that makes a token reads the secrets again when what it knows is older: so long after a rotation the old one
may still make some."""
ASK_AGAIN_S = 1
"""A client that is shown a token of a secret which it does not know asks for the secrets at most so often: forged
tokens cost no more."""


def new_secret() -> str:
    """A secret as it is stored: hex."""
    return secrets.token_hex(SECRET_LENGTH)


def introduce(namespace: str, rq_prefix: str, known: str, *, only_looks: bool) -> Call[Keyring]:
    """A client's first call: the secrets. ``known`` is the format of keys that it reads; raises `KeyFormatTooNew` and
    `SecretRefused`.

    For one that only looks neither is refused; the ring says then why its secret is.
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
            # Nothing is made or read with it.
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
    """What is wrong with a secret; what stands there is not shown."""
    if not current:
        return "it is empty or gone"
    if not re.fullmatch(f"[0-9a-f]{{{2 * SECRET_LENGTH}}}", current):
        return f"it is not {SECRET_LENGTH} bytes in hex"
    if secret_id(bytes.fromhex(current)) != made:
        return f"it was altered: it is not the one with the id {made}"
    return None


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: the id of the new secret; until when (ms, server time) tokens made before are good, None for
    "no longer"."""

    id: str
    until_ms: int | None


def rotate(namespace: str, keep_ms: int, *, secret: str | None = None) -> Call[Rotated]:
    """Make tokens with a new secret from now on. Raises `RotationOverlaps` while the secret before is still good,
    unless ``keep_ms`` is 0."""

    def decode(reply: Reply) -> Rotated:
        if reply[0] == "overlaps":
            raise RotationOverlaps(namespace=namespace, until_ms=int(reply[1]))
        return Rotated(str(reply[1]), int(reply[2]) if reply[2] else None)

    args: dict[str, Any] = {"secret": secret or new_secret(), "keep_ms": keep_ms}
    return Call("secret_rotate", args, decode)
