"""Store calls as values, and programs of them: written once, run by a sync and by an async client.

Invariant: nothing here does I/O; a `Call` says which script, with what, and how to read the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, cast

T = TypeVar("T")
Reply = Any
"""What a script returns: nested lists of str and int, as redis-py decodes them."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One script, its arguments (sent as one JSON object; None values are left out) and the reader of its reply.

    ``decode`` raises the typed error where the reply is a refusal.
    """

    script: str
    args: Mapping[str, Any]
    decode: Callable[[Reply], T]


@dataclass(frozen=True, slots=True)
class Pause:
    """Let time pass before the next step of a program, in milliseconds."""

    ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """Wait until the process has an event after ``sequence``, at most ``ms``; a hint, so the program re-reads either way.

    ``of``: whose entries: ``events`` of a process, or the ``feed`` of a session.
    """

    process_id: str
    sequence: int
    ms: int
    of: Literal["events", "feed"] = "events"


@dataclass(frozen=True, slots=True)
class Outside(Generic[T]):
    """Something outside Redis that blocks, such as a backend of attachments: run in the caller's thread, or in another one than the loop's."""

    function: Callable[[], T]


@dataclass(frozen=True, slots=True)
class Together(Generic[T]):
    """Calls that leave in one write; their results come back in order."""

    calls: Sequence[Call[T]]


Step = Call[Any] | Pause | Change | Outside[Any] | Together[Any]
Program = Generator[Step, Any, T]
"""A verb that may need several calls: yields steps, is sent their results, returns its own."""


def once(call: Call[T]) -> Program[T]:
    """The program of a single call."""
    result: T = yield call
    return result


def flat(fields: Any) -> dict[str, str]:
    """A field/value reply as a dict: RESP3 sends a map, RESP2 a flat list."""
    return dict(cast("Mapping[str, str]", fields)) if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=True))
