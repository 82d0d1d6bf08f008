"""Calls that leave in one write: those of one script become one command, and every caller gets the reply to its own.

Invariant: calls of one script keep their order, and so do calls about one process or session; a reply that is an error is its caller's alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

from redis import exceptions as rex

from wakeline.store import scripts
from wakeline.store.scripts import Script

AT_ONCE, BYTES_AT_ONCE = 16, 65_536
"""How many calls run as one script, and their longest arguments together: for longer than that nobody else should wait for the server."""


ABOUT, HOLDING = ("pid", "sid", "parent"), ("fence", "sender", "wake", "turn", "session")
"""Arguments that name a process or a session, and those that hold some which do."""


class Prepared(Protocol):
    """A call with its arguments as text; ``about``: the processes and sessions that it names."""

    @property
    def script(self) -> str: ...
    @property
    def args(self) -> str: ...
    @property
    def about(self) -> Sequence[str]: ...


P = TypeVar("P", bound=Prepared)


def about(args: Mapping[str, Any]) -> list[str]:
    """The processes and sessions that the arguments of a call name."""
    found: list[str] = []
    for name, value in args.items():
        if name in ABOUT and value is not None:
            found.append(value)
        elif name in HOLDING and isinstance(value, Mapping):
            found += about(cast("Mapping[str, Any]", value))
    return found


def grouped(batch: Sequence[P]) -> list[list[P]]:
    """Calls of one script together, a few at a time; those whose script nobody else calls are groups of one.

    No call gets before an earlier one about the same process or session: a wait that is opened and given up at once must not be opened last.
    """
    groups: list[list[P]] = []
    latest: dict[str, int] = {}
    places: dict[str, int] = {}
    for one in batch:
        floor = max((places.get(name, -1) for name in one.about), default=-1)
        place = latest.get(one.script, -1)
        group = groups[place] if place >= 0 else []
        if place < max(floor, 0) or len(group) == AT_ONCE or sum(len(other.args) for other in (*group, one)) > BYTES_AT_ONCE:
            place = latest[one.script] = len(groups)
            group = list[P]()
            groups.append(group)
        group.append(one)
        places.update(dict.fromkeys(one.about, place))
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
