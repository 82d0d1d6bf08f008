"""What can become of a run, and what it asks of its host: a worker loop, one job of a stock worker, or a test.

Invariant: a run that has ended never runs again; its successor is another run.
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
    """What a run knows of its turn."""

    @property
    def frame(self) -> str | None: ...
    def commit(self, value: Any) -> TurnCommit:
        """What the session gets when a turn ends with this return value; raises `InvalidPayload`,
        `PayloadTooLarge`."""
        ...


class Host(Protocol):
    """What a run needs of its host."""

    @property
    def hold_ms(self) -> int: ...
    @property
    def full(self) -> bool: ...
    @property
    def grace_ms(self) -> int: ...
    def timer(self, due_ms: int) -> None: ...
    def leaving(self, claim_id: str) -> None:
        """The body of a claim is over, and the write of its end is on its way: the next run may begin."""
        ...

    @property
    def isolation(self) -> Isolation | None:
        """What runs isolated tools in child processes; None if the host has none."""
        ...
