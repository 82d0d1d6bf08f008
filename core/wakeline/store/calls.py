"""Store calls as values, and programs of them: they are written once, and both a sync and an async client run them.

Invariant: nothing here does I/O. A `Call` says which script, with which arguments, how to read the reply, and all that
its client has to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from wakeline.fixed import fixed
from wakeline.telemetry.headers import Headers, text_of

if TYPE_CHECKING:
    from wakeline.attachments.backend import Blobs

T = TypeVar("T")
Reply = Any
"""The reply of a script: nested lists of str and int, decoded by redis-py."""


@fixed
class Parts:
    """For an argument that is a JSON document: its members that are payloads, each by its path. Scripts read the rest.

    ``what`` names the document in the error if its rest looks like a stand-in; None if its rest cannot.
    """

    owner: str
    paths: tuple[tuple[str, ...], ...]
    what: str | None = None
    or_whole: bool = False
    """Whether the document is left alone where it is short, and replaced as a whole where its members are not what
    makes it large."""


@fixed
class Call(Generic[T]):
    """One script, its arguments (sent as one JSON object, without None values) and the reader of its reply.

    ``decode`` raises the typed error if the reply is a refusal.
    """

    script: str
    args: Mapping[str, Any]
    decode: Callable[[Reply], T]
    payloads: Mapping[str, str | Parts] | None = None
    """The arguments that are payloads, by name, at any depth. The value is the owner of what is stored for a large one
    (`store.stand_ins`)."""
    brings: Callable[[Blobs, Reply], Program[Reply]] | None = None
    """Replaces stand-ins in the reply by their payloads; None if the reply holds none."""
    about: tuple[str, ...] = ()
    """The processes, sessions and occurrences that the call names. Calls about the same one keep their order."""
    grew: Callable[[int, int], None] | None = None
    """It is told how long (bytes) the journal of the run was before the write, and is, if that wrote rows."""

    def with_headers(self, headers: Headers | None) -> Call[T]:
        """The same call with what instruments gave it, for scripts that keep that."""
        if not headers:
            return self
        args = {**self.args, "headers": text_of(headers)}
        return Call(self.script, args, self.decode, self.payloads, self.brings, self.about, self.grew)


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next step of a program, in milliseconds."""

    ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """Wait until what is named has changed, at most ``ms`` (None: without a bound).

    It is only a hint, so the program reads again in both cases. The result of a wait for an end may be that end
    (`store.tails.ToldEnd`), and then there is nothing to read. ``of`` says for what it waits: the ``end`` of a process,
    its ``event`` after a sequence, the item of the ``feed`` of a session after a number, or the end of the life of an
    ``entry``, whose id is ``<session>#<n>``.
    """

    id: str
    after: int
    ms: int | None = None
    of: Literal["event", "end", "feed", "entry"] = "event"


@dataclass(frozen=True, slots=True)
class Outside(Generic[T]):
    """Blocking work outside of Redis, such as that of a backend of attachments. It runs in the caller's thread, or in a
    thread beside the loop."""

    function: Callable[[], T]


@fixed
class Together(Generic[T]):
    """Calls that leave in one write; their results come back in order.

    ``each``: the error of a call stands in its place among the results. Otherwise that of the first is raised.
    """

    calls: Sequence[Call[T]]
    each: bool = False


Step = Call[Any] | Pause | Change | Outside[Any] | Together[Any]
Program = Generator[Step, Any, T]
"""A verb that may need several calls. It yields steps, gets their results, and returns its own."""


def once(call: Call[T]) -> Program[T]:
    """The program of a single call."""
    result: T = yield call
    return result


def flat(fields: Any) -> dict[str, str]:
    """A reply of fields and values as a dict: RESP3 sends a map, RESP2 a flat list."""
    if isinstance(fields, list):  # asked first: to ask whether something is a Mapping costs more than the rest
        return dict(zip(fields[::2], fields[1::2], strict=True))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return dict(cast("Mapping[str, str]", fields))


def moment(text: str) -> int | None:
    """A time in a reply, in whole milliseconds, as scripts and sorted sets write it; None if there is none."""
    return int(float(text)) if text else None
