"""Options of one start or call, set with ``using``.

Invariant: durations arrive as people write them and leave as milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, Unpack, get_args

from wakeline.environments.spec import EnvironmentSpec
from wakeline.errors import InvalidArguments
from wakeline.names import check_key, check_replay_key
from wakeline.values import parse_duration

if TYPE_CHECKING:
    from wakeline.tools.tool import Duration

ParentEnd = Literal["detach", "request_cancel", "await"]
Recovery = Literal["rerunnable", "owner_bound"]
IfRunning = Literal["return", "reject", "replace"]


class WakeTarget(Protocol):
    """A session, blocking or awaited: what ``wake=`` takes besides a session id."""

    @property
    def id(self) -> str: ...
    @property
    def queue(self) -> str | None: ...


class StartOptions(TypedDict, total=False):
    """What ``using`` takes, as type checkers see it; `Options` says what each means."""

    id: str | None
    queue: str | None
    delay: Duration | None
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
    """The process id, which is also its idempotency key: the same id with the same arguments is the same process."""
    queue: str | None = None
    """Its queue, without the namespace."""
    delay: Duration | None = None
    """How long it stays queued before it may begin."""
    wake: WakeTarget | str | None = None
    """The session (or its id) that its wakes and its end wake; ``"end"`` in a body: the inherited one, for its end
    too."""
    deadline: Duration | None = None
    """How long it may take in all; its children inherit the moment as an upper bound."""
    attempt_timeout: Duration | None = None
    """How long one attempt may take."""
    queue_timeout: Duration | None = None
    """How long it may wait for a worker."""
    max_attempts: int | None = None
    """How many attempts may fail without progress."""
    recovery: Recovery | None = None
    """``owner_bound``: never run twice; without its worker it is abandoned, with evidence."""
    on_parent_end: ParentEnd | None = None
    """What the end of the body that starts it means for it: nothing (``detach``, the default), a request to cancel
    (``request_cancel``), or
    that the parent's end waits for its own (``await``). A parent that is cancelled while it awaits the child asks it to
    end, unless ``detach``
    was given. A cancel of a parent whose body has ended goes on to the children it still waits for; how they end does
    not change its outcome;
    a parent that ends otherwise (its grace is over, a deadline, abandoned) asks them to end."""
    key: str | None = None
    """The replay key of this call in its body, where name and arguments do not tell two calls apart."""
    labels: dict[str, str] | None = None
    """Kept with the process for whoever looks at it."""
    unique: str | None = None
    """A key that one living process at a time has, whatever its id and arguments are; free again with its end."""
    if_running: IfRunning | None = None
    """What a start means while another process has its ``unique`` key: that one (``return``, the default), an error
    (``reject``), or that the other one is
    asked to end and this one begins at once (``replace``)."""
    environment: EnvironmentSpec | dict[str, Any] | None = None
    """The execution environment to capture instead of the app's; a running process hands on its own."""

    def __post_init__(self) -> None:
        if self.key is not None:
            check_replay_key(self.key)
        if self.unique is not None:
            check_key(self.unique, "unique key")
        if self.if_running is not None and (self.unique is None or self.if_running not in get_args(IfRunning)):
            raise InvalidArguments(
                name="using(if_running=…)",
                reason=f"it is one of {', '.join(get_args(IfRunning))}, and says what becomes of a unique= key",
            )

    def over(self, **given: Unpack[StartOptions]) -> Options:
        """These options with the given ones on top; unknown names raise TypeError, as a call's would."""
        return replace(self, **given)

    def ms(self, name: str) -> int | None:
        """A duration option in milliseconds."""
        value: Any = getattr(self, name)
        return None if value is None else parse_duration(value)


NOTHING = Options()
MISSING: Any = object()
"""No ``default=`` was given: None is a value like any other."""
