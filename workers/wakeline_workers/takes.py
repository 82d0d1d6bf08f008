"""The ids of a worker's takes, each of which is answered once: by the reply of the take, or by a hand-off under its id.

Invariant: a claim that both bring, the hint of a hand-off and the reply of a take, begins once.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex

from wakeline.store.claims import Claim


class Takes:
    """The takes of one worker. Used on its loop; `named` is safe to read from another thread."""

    def __init__(self) -> None:
        self._ids = (_new_id(), _new_id())
        """Of the take that is on its way or is sent next, and of the one after it."""
        self._on_its_way = False
        self._handed: dict[tuple[str, str], str] = {}
        """The hand-offs that were heard while a take was on its way: claim and process, with the id of their take."""

    @property
    def named(self) -> tuple[str, str]:
        """The ids under which the store may have claimed for this worker what it did not hear of yet."""
        return self._ids

    def begin(self) -> tuple[str, str]:
        """The ids of the take that is sent now, and of the one after it. It is sent under them until it is answered."""
        self._on_its_way = True
        return self._ids

    def is_news(self, claim: Claim) -> bool:
        """Whether a claim, of a hint or of a reply, was not heard of before."""
        return _take_of(claim) in self._ids and _key(claim) not in self._handed

    def handed(self, claim: Claim) -> None:
        """Notes a claim that a hint brought, once it has begun: the take of its id is answered by it."""
        if self._on_its_way:
            self._handed[_key(claim)] = _take_of(claim)
        else:
            self._ids = (_new_id(), _new_id())

    def answered(self, claims: Sequence[Claim]) -> None:
        """Notes the reply of a take, once its claims have begun."""
        over = {*self._handed.values(), *(_take_of(claim) for claim in claims)}
        following = self._ids[1]
        self._ids = (_new_id() if following in over else following, _new_id())
        self._on_its_way = False
        self._handed.clear()


def _new_id() -> str:
    return token_hex(8)


def _take_of(claim: Claim) -> str:
    return claim.fence.claim_id.rpartition("-")[0]


def _key(claim: Claim) -> tuple[str, str]:
    return claim.fence.claim_id, claim.fence.process_id
