"""The shapes of what clients send and are answered, beside the views of `wakeline.observe`.

Invariant: a model that is sent refuses names that it does not know. A view is described as its JSON is.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from wakeline.web.asked import LONGEST_WAIT_S, Given

MOST_LISTED = 200
"""The most things of one page: a page is read in one look."""


class Shown(BaseModel):
    """Base of what is answered and is no view."""

    model_config = ConfigDict(extra="forbid")


# -- in a query


class Limited(Given):
    """A list in pages."""

    limit: int = Field(50, ge=1, le=MOST_LISTED)
    after: str | None = None


class Listing(Limited):
    """Which processes are listed."""

    status: str | None = None
    kind: str | None = None
    session: str | None = None
    waiting: str | None = None
    parent: str | None = None


class Waiting(Given):
    """How long to wait, in seconds."""

    wait: float = Field(0, ge=0, le=LONGEST_WAIT_S, allow_inf_nan=False)


class Looking(Waiting):
    """A look at a process, at once or after its next event."""

    after: int | None = Field(None, ge=0)


class LogWanted(Waiting):
    """A part of a log."""

    after: int = Field(0, ge=0)
    limit: int = Field(50, ge=1, le=MOST_LISTED)


# -- in a body


class Starting(Given):
    """A start: of what, with which arguments, and how."""

    name: str
    arguments: dict[str, Any] | list[Any] = Field(default_factory=dict[str, Any])
    id: str | None = None
    queue: str | None = None
    delay: float | str | None = None
    deadline: float | str | None = None
    wake: str | None = None
    labels: dict[str, str] | None = None
    unique: str | None = None
    if_running: Literal["return", "reject", "replace"] | None = None
    max_attempts: int | None = None


class Cancelling(Given):
    """Why a process is asked to end."""

    reason: str | None = None


# -- answered


class Id(Shown):
    """A process by its id."""

    id: str


class WithResult(Shown):
    """A process that has ended with a value."""

    id: str
    result: Any


class Standing(Shown):
    """A process, and its present status."""

    id: str
    status: str


class Sequence(Shown):
    """An event that was written, by its number."""

    sequence: int


class Ready(Shown):
    """Whether the server can answer."""

    ok: bool


class Problem(Shown):
    """Why a request was not answered (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    fields: dict[str, Any]
