"""How a tool may be retried.

Invariant: the delay is exponential with full jitter; what the tool asks for (`RetryAfter`) wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``never``: its process is owner_bound and is not run again after a crash. ``retries`` counts tries after the first."""

    policy: Literal["never", "safe", "idempotent"] = "safe"
    retries: int = 0
    base_ms: int = 200
    max_ms: int = 60_000

    def delay_ms(self, attempt: int, retry_after_ms: int | None, random: Callable[[], float]) -> int:
        """The pause after a failed attempt (from 1), in ms."""
        if retry_after_ms is not None:
            return retry_after_ms
        return int(min(self.max_ms, self.base_ms * 2 ** (attempt - 1)) * random())
