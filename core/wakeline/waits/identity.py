"""What exactly is waited for, and the id of the slot that follows from it.

Invariant: the id is a function of scope and identity alone, the same in every process, and no two pairs share it;
deriving it stores nothing.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, fields
from typing import ClassVar

from wakeline.causality import ExecutionScope
from wakeline.errors import InvalidWaitIdentity
from wakeline.values import framed

KEY_VERSION = "v1"
KEY_DOMAIN = "wakeline.await-event"


@dataclass(frozen=True, slots=True)
class _Identity:
    tag: ClassVar[str]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not str(value).strip():
                raise InvalidWaitIdentity(reason=f"{self.tag} needs a non-blank {field.name}")
            if isinstance(value, int) and value < 1:
                raise InvalidWaitIdentity(reason=f"{field.name} of {self.tag} counts from 1, not {value}")

    @property
    def components(self) -> tuple[str, ...]:
        """Every field as text, in order."""
        return tuple(str(getattr(self, field.name)) for field in fields(self))


@dataclass(frozen=True, slots=True)
class ToolCompletion(_Identity):
    """The outcome of a tool call that answered "pending"."""

    tag: ClassVar[str] = "tool_completion"
    call_id: str


@dataclass(frozen=True, slots=True)
class ProcessSignal(_Identity):
    """The k-th wait (from 1) for a signal name in one generation of a process."""

    tag: ClassVar[str] = "process_signal"
    process_id: str
    incarnation: str
    generation: int
    name: str
    ordinal: int


@dataclass(frozen=True, slots=True)
class ProcessTerminal(_Identity):
    """The end of a process."""

    tag: ClassVar[str] = "process_terminal"
    process_id: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class Timer(_Identity):
    """A moment in time; the name says for what."""

    tag: ClassVar[str] = "timer"
    name: str


@dataclass(frozen=True, slots=True)
class Custom(_Identity):
    """Anything else, by a key of the caller's choice."""

    tag: ClassVar[str] = "custom"
    key: str


WaitIdentity = ToolCompletion | ProcessSignal | ProcessTerminal | Timer | Custom


def preimage(scope: ExecutionScope, identity: WaitIdentity) -> bytes:
    """The length-framed bytes whose hash is the id of a slot."""
    return framed(KEY_DOMAIN, KEY_VERSION, scope.kind, *scope.components, identity.tag, *identity.components)


def key_id(scope: ExecutionScope, identity: WaitIdentity) -> str:
    """The id of the slot: `v1` and 24 url-safe characters (144 bits of sha256)."""
    digest = hashlib.sha256(preimage(scope, identity)).digest()[:18]
    return KEY_VERSION + base64.urlsafe_b64encode(digest).decode()
