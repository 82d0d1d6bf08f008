"""How the verbs of a body are recorded: `wakeline.verbs.recorder.Recorder` for one effect of a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from wakeline.effects.envelope import Envelope
from wakeline.processes.lease import Fence
from wakeline.run.journal import Journal
from wakeline.run.run import Run
from wakeline.store.journal import Effect, Row
from wakeline.verbs.recorder import Recorder


class OfRun:
    """Records one effect of a run with the row that its journal makes of an outcome."""

    def __init__(self, journal: Journal, givers: Sequence[str], row: Callable[[Any], Row]) -> None:
        self._journal, self.givers, self.row = journal, givers, row

    def effect(self, row: Row | None) -> Effect:
        """The fence and the row, with all that the run has not written yet."""
        return self._journal.effect_of(row)

    def refused(self, effect: Effect) -> None:
        """What the run had not written yet travels with its next write."""
        self._journal.unwritten.put_back(effect.consumed)


class OfATool:
    """Writes what code of a tool says under the fence of its run; the row is that of its call."""

    def __init__(self, fence: Fence, givers: Sequence[str]) -> None:
        self._fence, self.givers = fence, givers

    def row(self, _: Any, /) -> None:
        """None: the call has the row."""

    def effect(self, row: Row | None) -> Effect:
        """The fence alone."""
        return Effect(self._fence, row)

    def refused(self, effect: Effect) -> None:
        """Nothing was taken along."""


async def written(run: Run, envelope: Envelope, key: str | None, verb: Callable[[Recorder], Awaitable[Any]]) -> Any:
    """The outcome of an effect whose verb writes its row itself: as it is recorded, else as the verb gives it."""

    async def write(row: Callable[[Any], Row]) -> Any:
        return await verb(OfRun(run.journal, run.passing.givers, row))

    return await run.journal.effect(
        envelope.kind, envelope.name, envelope.args, _never, key=key, write=write, asks=envelope.asks
    )


async def _never(_: str) -> Any:
    raise AssertionError("this effect is written by its own script")
