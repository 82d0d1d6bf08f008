"""What runs apart in a worker: processes that were lost twice with their workers, any of which may be what ended them.

Invariant: nothing joins them before each has ended or has outlived its moment, so none takes others with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from wakeline.store.claims import Claim


class Apart:
    """The claims of one worker that run apart. Used on its loop."""

    def __init__(self) -> None:
        self._claims: set[str] = set()
        self._until = 0.0

    def begin(self, claim: Claim) -> float:
        """Notes a claim that runs apart. Returns after how many seconds it has outlived its moment."""
        self._claims.add(claim.fence.claim_id)
        seconds = claim.moment_ms / 1000
        self._until = max(self._until, time.monotonic() + seconds)
        return seconds

    def end(self, claim_id: str) -> bool:
        """Notes the end of any claim. Returns whether it was the last that ran apart."""
        was_one = claim_id in self._claims
        self._claims.discard(claim_id)
        if not self._claims:
            self._until = 0.0
        return was_one and not self._claims

    @property
    def keeps_others_out(self) -> bool:
        """Whether one of them may still end the worker."""
        return time.monotonic() < self._until

    def are_all(self, claims: Iterable[str]) -> bool:
        """Whether these are some claims, and all of them run apart."""
        return bool(self._claims) and self._claims.issuperset(claims)
