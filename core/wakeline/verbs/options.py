"""Options of one start or call, set with ``using``.

Invariant: durations come in any form that `parse_duration` reads, and leave as milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, Unpack, get_args

from wakeline.environments.spec import EnvironmentSpec
from wakeline.errors import InvalidArguments, InvalidId, InvalidMoment
from wakeline.names import check_key, check_replay_key
from wakeline.values import parse_duration

if TYPE_CHECKING:
    from wakeline.tools.tool import Duration

ParentEnd = Literal["detach", "request_cancel", "await"]
Recovery = Literal["rerunnable", "owner_bound"]
IfRunning = Literal["return", "reject", "replace"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WakeTarget(Protocol):
    """A session, blocking or awaited: what ``wake=`` takes besides a session id."""

    @property
    def id(self) -> str: ...
    @property
    def queue(self) -> str | None: ...


def session_named(target: WakeTarget | str, kind: str = "session") -> tuple[str, str | None]:
    """The id and the queue of a session that a caller names by its id or by itself; raises `InvalidId` for anything
    else."""
    if isinstance(target, str):
        return target, None
    if not isinstance(getattr(target, "id", None), str) or not hasattr(target, "queue"):
        raise InvalidId(kind=kind, value=target, grammar="a session, or <agent>/<key>")
    return target.id, target.queue


def aware_ms(when: datetime) -> int:
    """A moment in ms since 1970, the next whole one; raises `InvalidMoment` for one that does not say its zone.

    A clock on the wall is not enough here: the one who starts and the server may be in different zones.
    """
    if not isinstance(when, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidMoment(value=when)
    try:
        if when.utcoffset() is not None:
            return -((_EPOCH - when) // timedelta(milliseconds=1))
    except (TypeError, ValueError, OverflowError, NotImplementedError) as error:  # its time zone makes no sense
        raise InvalidMoment(value=when) from error
    raise InvalidMoment(value=when)


class StartOptions(TypedDict, total=False):
    """The options of ``using`` for type checkers; `Options` says what each means."""

    id: str | None
    queue: str | None
    delay: Duration | None
    at: datetime | None
    wake: WakeTarget | str | None
    deadline: Duration | None
    attempt_timeout: Duration | None
    queue_timeout: Duration | None
    max_attempts: int | None
    recovery: Recovery | None
    on_parent_end: ParentEnd | None
    key: str | None
    labels: dict[str, str] | None
    unique: str | None
    if_running: IfRunning | None
    environment: EnvironmentSpec | dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one start or call; None leaves what the body declares, or the default."""

    id: str | None = None
    """The process id, which is also the idempotency key: the same id with the same arguments is the same process."""
    queue: str | None = None
    """Its queue, without the namespace."""
    delay: Duration | None = None
    """How long it stays queued before it may begin."""
    at: datetime | None = None
    """The moment before which it does not begin, with its time zone; one in the past means at once. Not with
    ``delay``."""
    wake: WakeTarget | str | None = None
    """The session (or its id) that its wakes and its end wake. In a body ``"end"`` means the inherited one, for its end
    too."""
    deadline: Duration | None = None
    """How long it may take in all. Its children inherit the moment as an upper bound."""
    attempt_timeout: Duration | None = None
    """How long one attempt may take."""
    queue_timeout: Duration | None = None
    """How long it may wait for a worker."""
    max_attempts: int | None = None
    """How many attempts may fail without progress."""
    recovery: Recovery | None = None
    """``owner_bound``: it never runs twice. If its worker is lost, it is abandoned, with evidence."""
    on_parent_end: ParentEnd | None = None
    """What becomes of this child when the body of its parent ends.

    - ``detach`` (the default): nothing.
    - ``request_cancel``: the child is asked to end.
    - ``await``: the parent ends after the child. The outcome of the child does not change that of the parent. A parent
      that is cancelled meanwhile asks the child to end and still waits. A parent that ends without its body (its grace
      or its deadline is over, or it is abandoned) asks the child to end and does not wait.

    One more rule holds for each of them, unless ``detach`` was given by name. If a parent is cancelled while its body
    waits for the result of the child, the child is asked to end.
    """
    key: str | None = None
    """The replay key of this call in its body, for calls with equal name and arguments."""
    labels: dict[str, str] | None = None
    """Words that are kept with the process, for readers."""
    unique: str | None = None
    """A key that only one living process at a time can have, of any id and with any arguments. It is free again when
    that process ends."""
    if_running: IfRunning | None = None
    """What a start does while another process has its ``unique`` key. It gives that process (``return``, the default),
    raises (``reject``), or asks the other to end and begins at once (``replace``)."""
    environment: EnvironmentSpec | dict[str, Any] | None = None
    """The execution environment to capture instead of the app's. A running process hands on its own."""

    def __post_init__(self) -> None:
        if self.key is not None:
            check_replay_key(self.key)
        if self.unique is not None:
            check_key(self.unique, "unique key")
        if self.at is not None:
            aware_ms(self.at)
            if self.delay is not None:
                raise InvalidArguments(
                    name="using(at=…, delay=…)", reason="both say when it begins; give one, and the other as None"
                )
        if self.if_running is not None and (self.unique is None or self.if_running not in get_args(IfRunning)):
            raise InvalidArguments(
                name="using(if_running=…)",
                reason=f"it is one of {', '.join(get_args(IfRunning))}, and says what becomes of a unique= key",
            )

    def over(self, **given: Unpack[StartOptions]) -> Options:
        """These options, with the given ones on top. Unknown names raise TypeError, as in a call."""
        return replace(self, **given)

    def ms(self, name: str) -> int | None:
        """A duration option in milliseconds."""
        value: Any = getattr(self, name)
        return None if value is None else parse_duration(value)

    @property
    def at_ms(self) -> int | None:
        """The moment of its begin in ms since 1970."""
        return None if self.at is None else aware_ms(self.at)


NOTHING = Options()
MISSING: Any = object()
"""Says that no ``default=`` was given, because None is a value like any other."""
