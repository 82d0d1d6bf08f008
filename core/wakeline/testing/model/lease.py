"""Whether a run may write, and what counts against a process that keeps failing or losing its workers."""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.processes.lease import MAX_ATTEMPTS, Fence
from wakeline.processes.lifecycle import Status

MAX_LOSSES = 10
"""Lost owners without progress; counted apart, so that a poisonous neighbour does not use up a bystander's attempts."""
ALONE_AFTER_LOSSES = 2
"""From so many losses on, nothing else runs beside the process."""

LONGEST_LOSS_DELAY_MS = 60_000


@dataclass(frozen=True, slots=True)
class Lease:
    """What is known about the run that holds a process: its status, and the claim, if there is one."""

    status: Status
    incarnation: str
    epoch: int
    claim_id: str | None = None


def writable(fence: Fence, current: Lease) -> bool:
    """Whether a run with this fence may write: it holds the process, and was neither released nor reaped."""
    held = (current.incarnation, current.epoch, current.claim_id)
    return current.status == "running" and held == (fence.incarnation, fence.epoch, fence.claim_id)


def attempts_exhausted(failed_attempts: int, max_attempts: int = MAX_ATTEMPTS) -> bool:
    """Whether this many failed attempts without progress are all a process gets."""
    return failed_attempts >= max_attempts


def losses_exhausted(losses: int) -> bool:
    """Whether this many lost owners without progress end a process."""
    return losses > MAX_LOSSES


def loss_delay_ms(losses: int) -> int:
    """How long a process lost this often waits until it is run again: not at all, until it was alone with its worker
    when that died."""
    return (
        0
        if losses <= ALONE_AFTER_LOSSES
        else min(1_000 * 2 ** (losses - ALONE_AFTER_LOSSES - 1), LONGEST_LOSS_DELAY_MS)
    )


def runs_alone(losses: int) -> bool:
    """Whether a process lost this often has its worker for itself."""
    return losses >= ALONE_AFTER_LOSSES
