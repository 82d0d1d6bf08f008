"""What can become of a run, and what it asks of whoever runs it: a worker loop, one job of a stock worker, a test.

Invariant: a run that is not running any more never runs again; its successor is another run.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

from wakeline.run.isolation import Isolation
from wakeline.store.ends import TurnCommit


class RunState(Enum):
    """What became of a run."""

    RUNNING = "running"
    PARKED = "parked"
    LOST = "lost"
    RELEASED = "released"
    ENDED = "finished"


class CommittingTurn(Protocol):
    """What a run knows of the turn it is."""

    @property
    def frame(self) -> str | None: ...
    def commit(self, value: Any) -> TurnCommit:
        """What the session gets with the end of a turn that returned the value; raises `InvalidPayload`,
        `PayloadTooLarge`."""
        ...


class Host(Protocol):
    """What a run needs of whoever runs it."""

    @property
    def hold_ms(self) -> int: ...
    @property
    def full(self) -> bool: ...
    @property
    def grace_ms(self) -> int: ...
    def timer(self, due_ms: int) -> None: ...
    def leaving(self, claim_id: str) -> None:
        """The body of a claim is over and the write of its end is on the way: what comes next may begin."""
        ...

    @property
    def isolation(self) -> Isolation | None:
        """What runs tools in processes of their own; None where there is no such thing."""
        ...
