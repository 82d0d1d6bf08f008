"""What became of many processes, or entries, that one verb meant.

Invariant: sums, and a bounded number of examples; nothing here grows with how many they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.observe.view import View

SHOWN = 20
"""How many refusals a report has."""


@dataclass(frozen=True, slots=True)
class Refusal(View):
    """One that stayed as it was, and why."""

    id: str
    """The process; of an entry ``<agent>/<key>#<n>``."""
    code: str
    """The code of the error."""
    message: str


@dataclass(frozen=True, slots=True)
class ManyReport(View):
    """Sums over what one verb meant and did."""

    matched: int
    """How many it meant when it began."""
    done: int = 0
    """To how many of them it did something."""
    unchanged: int = 0
    """How many had it before: the retry was there, the signal had come under this key, or the process had ended."""
    refused: int = 0
    """How many stayed as they were, because it was refused for them."""
    refusals: tuple[Refusal, ...] = ()
    """The first 20 of those."""
    examples: tuple[str, ...] = ()
    """The first five that it meant."""
    key: str | None = None
    """The key of signals, under which a repetition is the same; None of other verbs."""
