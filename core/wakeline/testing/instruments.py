"""Instruments for tests: one that keeps what it was told, and those that break the work on purpose.

Invariant: only a `Breaking` instrument can make work fail. A product's instruments have no reason to be one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from wakeline.telemetry.headers import Headers
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import (
    AroundSeen,
    BeatSeen,
    BlockedSeen,
    EffectSeen,
    EndedSeen,
    IsolatedSeen,
    LostSeen,
    RunSeen,
    ScriptSeen,
    SendingSeen,
    StretchSeen,
    TakenSeen,
    TickedSeen,
    WaitedSeen,
)


class RecordingInstrument(Instrument):
    """Keeps what it is told, in order: ``told`` has the method and what was seen, or that with a ``~`` before it for
    the end of a stretch; ``reached`` has the points. ``headers``: what it gives each sending."""

    def __init__(self, headers: Headers | None = None) -> None:
        self.headers = headers
        self.told: list[tuple[str, Any]] = []
        self.reached: list[tuple[Phase, str]] = []

    def phases(self, process_id: str | None = None) -> list[Phase]:
        """The phases reached, of one process or of all."""
        return [phase for phase, of in self.reached if process_id is None or of == process_id]

    def ends(self, method: str) -> list[Any]:
        """What was seen of the stretches of a method that are over."""
        return [seen for told, seen in self.told if told == f"~{method}"]

    def point(self, phase: Phase, process_id: str) -> None:
        self.reached.append((phase, process_id))

    def all(self, method: str) -> list[Any]:
        """What was seen at each moment that a method is told."""
        return [seen for told, seen in self.told if told == method]

    @contextmanager
    def _around(self, method: str, seen: AroundSeen) -> Generator[Headers | None]:
        self.told.append((method, seen))
        yield self.headers
        self.told.append((f"~{method}", seen))

    def sending(self, sending: SendingSeen) -> Any:
        return self._around("sending", sending)

    def run(self, run: RunSeen) -> Any:
        return self._around("run", run)

    def effect(self, effect: EffectSeen) -> Any:
        return self._around("effect", effect)

    def stretch(self, stretch: StretchSeen) -> Any:
        return self._around("stretch", stretch)

    def isolated(self, call: IsolatedSeen) -> Any:
        return self._around("isolated", call)

    def script(self, script: ScriptSeen) -> None:
        self.told.append(("script", script))

    def ended(self, ended: EndedSeen) -> None:
        self.told.append(("ended", ended))

    def waited(self, waited: WaitedSeen) -> None:
        self.told.append(("waited", waited))

    def taken(self, taken: TakenSeen) -> None:
        self.told.append(("taken", taken))

    def ticked(self, ticked: TickedSeen) -> None:
        self.told.append(("ticked", ticked))

    def beat(self, beat: BeatSeen) -> None:
        self.told.append(("beat", beat))

    def lost(self, lost: LostSeen) -> None:
        self.told.append(("lost", lost))

    def blocked(self, blocked: BlockedSeen) -> None:
        self.told.append(("blocked", blocked))


class Breaking(Instrument):
    """An instrument whose exceptions reach the work, as a crash there would."""

    breaks_work = True


class KillPoint(Breaking):
    """Does something the ``nth`` time that a phase is reached: kills this OS process as ``kill -9`` does, unless it is
    given what to do. ``of``: of which processes, by their id; of all unless given."""

    def __init__(
        self,
        phase: Phase | str,
        do: Callable[[], object] | None = None,
        *,
        nth: int = 1,
        of: Callable[[str], bool] = lambda process_id: True,
    ) -> None:
        self._phase, self._do, self._left, self._of = phase, do or kill_this_process, nth, of

    def point(self, phase: Phase, process_id: str) -> None:
        if phase == self._phase and self._of(process_id):
            self._left -= 1
            if self._left == 0:
                self._do()


def kill_this_process() -> None:
    """SIGKILL to this OS process: nothing of it runs any more."""
    os.kill(os.getpid(), signal.SIGKILL)
