"""A journal row: the recorded outcome of one effect.

Invariant: a row holds an outcome or an error, and the order in which it was recorded; both replay for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wakeline import errors
from wakeline.effects.envelope import Envelope
from wakeline.errors import WaitFailed, WakelineError
from wakeline.values import canonical_json, from_json, to_json

_KEPT_ARGS = 2048
"""Longest arguments kept in a row, in bytes: they name the paths of a mismatch; longer ones are known by their hash only."""


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One row; ``n`` is its place in the recorded order, ``at_ms`` when it was made."""

    n: int
    name: str
    hash: str
    at_ms: int
    outcome: Any = None
    error: dict[str, Any] | None = None
    envelope: Any = None

    @classmethod
    def of(cls, n: int, envelope: Envelope, digest: str, outcome: Any, error: WakelineError | None, at_ms: int) -> JournalRow:
        """The row of an effect that just ended."""
        args = envelope.args if envelope.args is not None and len(canonical_json(envelope.args)) <= _KEPT_ARGS else None
        return cls(n, envelope.name, digest, at_ms, outcome, error.to_json() if error else None, args)

    def to_json(self) -> str:
        row: dict[str, Any] = {"n": self.n, "f": self.name, "h": self.hash, "at": self.at_ms}
        if self.envelope is not None:
            row["e"] = self.envelope
        row |= {"x": self.error} if self.error is not None else {"o": self.outcome}
        return to_json(row)

    @classmethod
    def from_json(cls, text: str) -> JournalRow:
        """Raises ValueError for what is no row."""
        row = from_json(text)
        if not isinstance(row, dict) or ("o" in row) == ("x" in row):
            raise ValueError("a journal row has an outcome or an error")
        return cls(row["n"], row["f"], row["h"], row["at"], row.get("o"), row.get("x"), row.get("e"))

    def deliver(self) -> Any:
        """The recorded outcome; raises the recorded error."""
        if self.error is None:
            return self.outcome
        kinds = {k.code: k for k in _tree(WakelineError)}
        kind = kinds.get(self.error["code"])
        if kind is None or issubclass(kind, errors.NonRetryable | errors.RetryAfter):
            raise WaitFailed(what=self.name, failure_code=self.error["code"], failure_message=self.error["message"])
        raise kind(**self.error["fields"])


def _tree(kind: type[WakelineError]) -> list[type[WakelineError]]:
    return [kind, *(deeper for sub in kind.__subclasses__() for deeper in _tree(sub))]
