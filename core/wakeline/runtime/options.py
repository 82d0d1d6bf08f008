"""Options of one start or call, set with ``using``.

Invariant: durations arrive as people write them and leave as milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from wakeline.values import parse_duration

if TYPE_CHECKING:
    from wakeline.tools.tool import Duration

ParentEnd = Literal["detach", "request_cancel", "await"]
Recovery = Literal["rerunnable", "owner_bound"]


@dataclass(frozen=True, slots=True)
class Options:
    """What ``using`` may say; see `api.md`. ``wake`` is a session (or its id) that is woken by wakes and by the end."""

    id: str | None = None
    queue: str | None = None
    delay: Duration | None = None
    wake: Any = None
    deadline: Duration | None = None
    attempt_timeout: Duration | None = None
    queue_timeout: Duration | None = None
    max_attempts: int | None = None
    recovery: Recovery | None = None
    on_parent_end: ParentEnd | None = None
    key: str | None = None
    labels: dict[str, str] | None = None

    def over(self, **given: Any) -> Options:
        """These options with the given ones on top; unknown names raise TypeError, as a call's would."""
        return replace(self, **given)

    def ms(self, name: str) -> int | None:
        """A duration option in milliseconds."""
        value = getattr(self, name)
        return None if value is None else parse_duration(value)


NOTHING = Options()
