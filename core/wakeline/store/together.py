"""Calls that leave in one write: those of one script become one command, a bundle, and every caller gets the reply to its own.

Invariant: calls of one script keep their order, and so do calls about one process or session; a reply that is an error is its caller's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis import exceptions as rex

from wakeline.store import scripts
from wakeline.store.calls import Call

AT_ONCE, BYTES_AT_ONCE = 16, 65_536
"""How many calls run as one script, and their longest arguments together: for longer than that nobody else should wait for the server."""
ABOUT, HOLDING = ("pid", "sid", "parent"), ("fence", "sender", "wake", "turn", "session")
"""Arguments that name a process or a session, and those that hold some which do."""
Command = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call with its arguments as text."""

    call: Call[Any]
    args: str


def about(args: Mapping[str, Any]) -> list[str]:
    """The processes and sessions that the arguments of a call name."""
    found: list[str] = []
    for name, value in args.items():
        if name in ABOUT and value is not None:
            found.append(value)
        elif name in HOLDING and isinstance(value, Mapping):
            found += about(cast("Mapping[str, Any]", value))
    return found


def bundled(batch: Sequence[Prepared]) -> list[list[Prepared]]:
    """Calls of one script together, a few at a time; those whose script nobody else calls are bundles of one.

    No call gets before an earlier one about the same process or session: a wait that is opened and given up at once must not be opened last.
    """
    bundles: list[list[Prepared]] = []
    latest: dict[str, int] = {}
    places: dict[str, int] = {}
    for one in batch:
        names = about(one.call.args)
        floor = max((places.get(name, -1) for name in names), default=-1)
        place = latest.get(one.call.script, -1)
        bundle = bundles[place] if place >= 0 else []
        if place < max(floor, 0) or len(bundle) == AT_ONCE or sum(len(other.args) for other in (*bundle, one)) > BYTES_AT_ONCE:
            place = latest[one.call.script] = len(bundles)
            bundle = list[Prepared]()
            bundles.append(bundle)
        bundle.append(one)
        places.update(dict.fromkeys(names, place))
    return bundles


def exchange(batch: Sequence[Prepared], argv: Callable[[str], list[str]]) -> Generator[list[Command], list[Any], list[Any]]:
    """Yields commands for one write each time, is sent their answers, returns the reply to each call: an exception where it was refused.

    ``argv``: the arguments of a script for the text of a call's own. Raises where the server did not answer.
    """
    bundles = bundled(batch)
    answers = yield [_command(bundle, argv, by_sha=True) for bundle in bundles]
    unknown = {i for i, answer in enumerate(answers) if isinstance(answer, rex.NoScriptError)}
    if unknown:
        # With all behind it, for the sake of order: a script may be sent twice.
        first = min(unknown)
        again = yield [_command(bundle, argv, by_sha=i not in unknown) for i, bundle in enumerate(bundles) if i >= first]
        answers = [*answers[:first], *again]
    found: dict[int, Any] = {}
    for bundle, answer in zip(bundles, answers, strict=True):
        if isinstance(answer, rex.ConnectionError | rex.TimeoutError | rex.BusyLoadingError):
            raise answer
        several = answer if len(bundle) > 1 and not isinstance(answer, Exception) else [answer] * len(bundle)
        found.update((id(one), reply) for one, reply in zip(bundle, several, strict=True))
    return [found[id(one)] for one in batch]


def _command(bundle: Sequence[Prepared], argv: Callable[[str], list[str]], *, by_sha: bool) -> Command:
    script = scripts.load(bundle[0].call.script)
    first, *others = (one.args for one in bundle)
    return (*(("EVALSHA", script.sha) if by_sha else ("EVAL", script.text)), 1, *argv(first), *others)
