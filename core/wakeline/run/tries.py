"""What instruments are told of one try of an effect.

Invariant: made only where an instrument wants to see effects.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from wakeline.effects.envelope import Envelope
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.seen import NO_CALL, EffectSeen, Try

NOT_TOLD: AbstractContextManager[None] = nullcontext()


def told(
    instruments: Instruments, process_id: str, envelope: Envelope, key: str, tried: Try | None
) -> AbstractContextManager[object]:
    """Around the try of an effect of this envelope; ``tried``: which try of which call it is."""
    if not instruments.effects:
        return NOT_TOLD
    return instruments.effect(EffectSeen(process_id, envelope.name, envelope.kind, key, *(tried or NO_CALL)))
