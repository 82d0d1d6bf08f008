"""An occurrence: something happened at a source. Its identity, and that of the processes it starts.

Invariant: identities are hashes of what makes two things the same, so a repetition of anything is recognised
everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.names import SYSTEM_PREFIX, ProcessId
from wakeline.values import Json, content_hash, content_json

RETAINED_MS = 7 * 86_400_000
"""How long an occurrence is kept after its deliveries are settled. In that time its key means the same occurrence."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What happened: the source, which of its things (``source_key``), the payload, and the key that makes a repetition
    the same."""

    source: str
    key: str
    payload: Json
    source_key: str | None = None

    @property
    def id(self) -> str:
        """The id that follows from source, source key and key."""
        return f"trigger:{content_hash(self.source, self.source_key or '', self.key)[:32]}"

    @property
    def content_hash(self) -> str:
        """The hash of what a repetition has to repeat."""
        return content_hash(content_json(self.payload))[:16]


def delivered_process_id(occurrence_id: str, subscription_id: str) -> ProcessId:
    """The process that an occurrence starts for a subscription."""
    return ProcessId(f"{SYSTEM_PREFIX}trigger:{content_hash(occurrence_id, subscription_id)[:32]}")
