"""What instruments are told of one try of an effect.

Invariant: made only where an instrument wants to see effects.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from types import TracebackType

from wakeline.effects.envelope import Envelope
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.seen import NO_CALL, EffectSeen, TriedSeen, Try, outcome_by

NOT_TOLD: AbstractContextManager[object] = nullcontext()


def told(
    instruments: Instruments, process_id: str, envelope: Envelope, key: str, tried: Try | None
) -> AbstractContextManager[object]:
    """Around the try of an effect of this envelope; ``tried``: which try of which call it is."""
    around = NOT_TOLD
    if instruments.effects:
        around = instruments.effect(EffectSeen(process_id, envelope.name, envelope.kind, key, *(tried or NO_CALL)))
    return _Timed(instruments, envelope, around) if instruments.tries else around


class _Timed(AbstractContextManager[None]):
    """Around a try and what is told around it: tells how it ended, and how long it took."""

    __slots__ = ("_around", "_began_s", "_envelope", "_instruments")

    def __init__(self, instruments: Instruments, envelope: Envelope, around: AbstractContextManager[object]) -> None:
        self._instruments, self._envelope, self._around = instruments, envelope, around

    def __enter__(self) -> None:
        self._around.__enter__()
        self._began_s = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = perf_counter() - self._began_s
        self._around.__exit__(kind, error, trace)
        self._instruments.tried(TriedSeen(self._envelope.kind, self._envelope.name, *outcome_by(error), seconds))
