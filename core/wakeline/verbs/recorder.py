"""What makes a verb of a body an effect of its run: the verb's own script writes the journal row of its outcome.

Invariant: the verb and its row are one script under the run's fence. A call that was refused wrote neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from wakeline.errors import WakelineError
from wakeline.store import journal
from wakeline.store.calls import Call, Program
from wakeline.store.journal import GAP, Effect, Row

T = TypeVar("T")


class Recorder(Protocol):
    """Records one effect. A program that is given one is a body's; without one it is a client's."""

    @property
    def givers(self) -> Sequence[str]:
        """The owners whose attachments the body may pass on."""
        ...

    def row(self, outcome: Any, /) -> Row | None:
        """The row of an outcome; None for code of a tool, whose call has the row."""
        ...

    def effect(self, row: Row | None) -> Effect:
        """The fence and the row, with all that the run has not written yet."""
        ...

    def refused(self, effect: Effect) -> None:
        """The script wrote nothing: what the run had not written yet travels with its next write."""
        ...


def known(effect: Recorder | None, outcome: Any) -> Row | None:
    """The row of an outcome that is known before the script runs."""
    return effect.row(outcome) if effect is not None else None


def opened(effect: Recorder | None, outcome: Any = GAP, *, text: bool = False) -> Row | None:
    """The row of an outcome that only the script knows whole: it fills in what is at the `GAP`, as JSON or as text."""
    row = known(effect, outcome)
    return row.opened(text=text) if row is not None else None


def written(call_of: Callable[[Effect | None], Call[T]], effect: Recorder | None, row: Row | None) -> Program[T]:
    """One call of a verb; a body's is written under its fence, with its row."""
    made = effect.effect(row) if effect is not None else None
    try:
        done: T = yield call_of(made)
    except (WakelineError, LookupError):
        if effect is not None and made is not None:
            effect.refused(made)
        raise
    return done


def recorded(effect: Recorder | None, outcome: Any) -> Program[None]:
    """Writes the row of an outcome that was there already, so that no script of the verb's own has written it."""
    row = known(effect, outcome)
    if row is None:
        return

    def record(made: Effect | None) -> Call[None]:
        assert made is not None, "a row is of a run"
        return journal.record(made.fence, [*made.consumed, row])

    yield from written(record, effect, row)
