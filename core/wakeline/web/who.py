"""Who uses the web face, and what each may do.

Invariant: roles are in order, and each may do all that those below it may.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum

from starlette.requests import Request

from wakeline.errors import SettingsInvalid


class Role(IntEnum):
    """What someone may do."""

    NONE = 0
    """Nothing but ask whether the server lives, and give a bearer token of an approval."""
    VIEW = 1
    """Read."""
    ANSWER = 2
    """Answer what waits for a person: approvals and signals."""
    OPERATE = 3
    """Start, cancel, retry, write to sessions, pause queues."""

    @property
    def word(self) -> str:
        """As settings and errors name it: ``view``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Who:
    """Someone who asks, and their role. The name stands in the log, and in what they start or end."""

    name: str
    role: Role


Authorize = Callable[[Request], Awaitable[Who | None]]
"""Says who sends a request; None if that is not known. It is asked before each request, and may raise nothing."""
UNNAMED = Who("", Role.OPERATE)


async def ALLOW_ALL(_: Request) -> Who | None:
    """All who can reach the server may do everything. Give it as ``authorize=`` only where no others can reach it."""
    return UNNAMED


def role_of(word: str, variable: str) -> Role:
    """The role of a word; raises `SettingsInvalid` that names the variable."""
    for role in Role:
        if role.word == word:
            return role
    raise SettingsInvalid(name=variable, value=word, reason=f"a role is one of {', '.join(role.word for role in Role)}")
