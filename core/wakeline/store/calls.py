"""Store calls as values, and programs of them: written once, run by a sync and by an async client.

Invariant: nothing here does I/O; a `Call` says which script, with what, how to read the reply, and all that its client
has to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

if TYPE_CHECKING:
    from wakeline.attachments.backend import Blobs

T = TypeVar("T")
Reply = Any
"""What a script returns: nested lists of str and int, as redis-py decodes them."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Of an argument that is a JSON document, the members that are payloads, each by its path; scripts read the rest.

    ``what``: names the document in the error where its rest looks like a stand-in; None where its rest cannot.
    """

    owner: str
    paths: tuple[tuple[str, ...], ...]
    what: str | None = None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One script, its arguments (sent as one JSON object; None values are left out) and the reader of its reply.

    ``decode`` raises the typed error where the reply is a refusal.
    """

    script: str
    args: Mapping[str, Any]
    decode: Callable[[Reply], T]
    payloads: Mapping[str, str | Parts] | None = None
    """The arguments that are payloads, by name, at any depth, and the owner of what is stored where one is large
    (`store.stand_ins`)."""
    brings: Callable[[Blobs, Reply], Program[Reply]] | None = None
    """Puts the payloads into the reply in the place of their stand-ins; None where the reply holds none."""
    about: tuple[str, ...] = ()
    """The processes, sessions and occurrences that the call names: calls about the same one keep their order."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Let time pass before the next step of a program, in milliseconds."""

    ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """Wait until the process has an event after ``sequence``, at most ``ms``; a hint, so the program re-reads either
    way.

    ``of``: whose entries: ``events`` of a process, or the ``feed`` of a session.
    """

    process_id: str
    sequence: int
    ms: int
    of: Literal["events", "feed"] = "events"


@dataclass(frozen=True, slots=True)
class Outside(Generic[T]):
    """Something outside Redis that blocks, such as a backend of attachments: run in the caller's thread, or in another
    one than the loop's."""

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
    return (
        dict(cast("Mapping[str, str]", fields))
        if isinstance(fields, Mapping)
        else dict(zip(fields[::2], fields[1::2], strict=True))
    )


def moment(text: str) -> int | None:
    """A time of a reply in whole milliseconds, as scripts and sorted sets write it; None where there is none."""
    return int(float(text)) if text else None
