"""What instruments are told of one try of an effect, and of a wait that is over.

Invariant: made only where an instrument wants to see them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from types import TracebackType

from wakeline.effects.envelope import Envelope
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.seen import NO_CALL, EffectSeen, TriedSeen, Try, WaitedSeen, WaitOutcome, outcome_by
from wakeline.waits.kinds import WaitKind, kind_of

_OUTCOMES: dict[str, WaitOutcome] = {"ok": "resolved", "err": "failed", "timeout": "timed_out"}
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


def waited_seen(kept: str, status: str, since_ms: int | None, now_ms: int) -> WaitedSeen:
    """What is seen of a wait that is over: its kind as it is kept, the status of its resolution, and since when (server
    ms) a body waited."""
    kind, name = kind_of(kept)
    outcome = "resolved" if kind is WaitKind.TIMER and status == "timeout" else _OUTCOMES.get(status, "cancelled")
    return WaitedSeen(str(kind), name, outcome, 0.0 if since_ms is None else max(0, now_ms - since_ms) / 1000)
