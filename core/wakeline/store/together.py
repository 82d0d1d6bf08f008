"""Calls that leave in one write: those of one script become one command, and every caller gets the reply to its own.

Invariant: calls of one script keep their order; a reply that is an error is its caller's alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from redis import exceptions as rex

from wakeline.store import scripts
from wakeline.store.scripts import Script

AT_ONCE, BYTES_AT_ONCE = 16, 65_536
"""How many calls run as one script, and their longest arguments together: for longer than that nobody else should wait for the server."""


class Prepared(Protocol):
    """A call with its arguments as text."""

    @property
    def script(self) -> str: ...
    @property
    def args(self) -> str: ...


P = TypeVar("P", bound=Prepared)


def grouped(batch: Sequence[P]) -> list[list[P]]:
    """Calls of one script together, a few at a time; those whose script nobody else calls are groups of one."""
    groups: list[list[P]] = []
    latest: dict[str, list[P]] = {}
    for one in batch:
        group = latest.get(one.script)
        if group is None or len(group) == AT_ONCE or sum(len(other.args) for other in (*group, one)) > BYTES_AT_ONCE:
            group = latest[one.script] = list[P]()
            groups.append(group)
        group.append(one)
    return groups


def command(script: Script, argv: Sequence[str], others: Sequence[str] = (), *, by_sha: bool) -> tuple[Any, ...]:
    """The command of a group: ``argv`` of its first call, the arguments of the others behind it."""
    return (*(("EVALSHA", script.sha) if by_sha else ("EVAL", script.text)), 1, *argv, *others)


def script_of(group: Sequence[Prepared]) -> Script:
    """The script of a group."""
    return scripts.load(group[0].script)


def unknown(answers: Sequence[Any]) -> list[int]:
    """Which groups a server answered by not knowing their script: to be sent again, with its text."""
    return [i for i, answer in enumerate(answers) if isinstance(answer, rex.NoScriptError)]


def replies(batch: Sequence[P], groups: Sequence[Sequence[P]], answers: Sequence[Any]) -> list[Any]:
    """The reply to each call in order, an exception where it was refused. Raises where the server did not answer."""
    found: dict[int, Any] = {}
    for group, answer in zip(groups, answers, strict=True):
        if isinstance(answer, rex.ConnectionError | rex.TimeoutError | rex.BusyLoadingError):
            raise answer
        several = answer if len(group) > 1 and not isinstance(answer, Exception) else [answer] * len(group)
        found.update((id(one), reply) for one, reply in zip(group, several, strict=True))
    return [found[id(one)] for one in batch]
