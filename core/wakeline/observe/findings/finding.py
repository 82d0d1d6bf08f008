"""One finding, and the words that findings share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from wakeline.store.keys import split_queue

Level = Literal["ok", "note", "warning", "problem"]
NAMED = 5
"""So many processes a sentence names."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    ``ok`` and ``note`` ask for nothing, ``warning`` for a thought, ``problem`` for action.
    """

    code: str
    """What kind of finding it is; stable."""
    level: Level
    what: str
    """What is so."""
    to_do: str | None = None
    """What to do about it; None if nothing is to be done, or `what` says it."""
    processes: tuple[str, ...] = ()
    """The ids of the processes that it is about, of those that were looked at."""
    queues: tuple[str, ...] = ()
    """The queues that it is about, by RQ's names."""
    workers: tuple[str, ...] = ()
    """The workers that it is about."""
    stops_release: bool = False
    """Whether a release must not go on before this is put right."""

    @property
    def message(self) -> str:
        """What is so and what to do, for people."""
        if self.to_do is None:
            return self.what
        return f"{self.what}{' ' if self.what.endswith('.') else '; '}{self.to_do}"

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"message": self.message}


def named(queue: str) -> str:
    """A queue as commands take it: without the namespace, which stands for its own queue."""
    namespace, own = split_queue(queue)
    return own or namespace


def some(pids: Sequence[str]) -> str:
    """The first ids of a list, and how many more there are."""
    shown = ", ".join(pids[:NAMED])
    return f"{shown} and {len(pids) - NAMED} more" if len(pids) > NAMED else shown


def count(number: int, noun: str) -> str:
    """A number of things: ``1 process``, ``2 processes``."""
    if number == 1:
        return f"{number} {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
