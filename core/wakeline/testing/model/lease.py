"""Whether a run may write, and what counts against a process that fails or loses its workers repeatedly."""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.processes.lease import MAX_ATTEMPTS, Fence
from wakeline.processes.lifecycle import Status

MAX_LOSSES = 10
"""How many lost owners without progress end a process. They are counted apart, so that a poisonous neighbour does not
use up the attempts of other processes."""
APART_AFTER_LOSSES = 2
"""From how many losses on the process runs apart: beside no other but those that were lost as often."""
SHARE = 3
"""One of how many that were lost together may run together from then on, and with each further loss."""

LONGEST_LOSS_DELAY_MS = 60_000


@dataclass(frozen=True, slots=True)
class Lease:
    """The run that holds a process: the status of the process, and the claim, if there is one. ``journal``: how much of
    its journal the store has, in bytes."""

    status: Status
    incarnation: str
    epoch: int
    claim_id: str | None = None
    journal: int = 0


def writable(fence: Fence, current: Lease) -> bool:
    """Whether a run with this fence may write: it holds the process, was neither released nor reaped, and the store has
    all of the journal that it was answered."""
    held = (current.incarnation, current.epoch, current.claim_id)
    return (
        current.status == "running"
        and held == (fence.incarnation, fence.epoch, fence.claim_id)
        and current.journal >= fence.journaled.length
    )


def attempts_exhausted(failed_attempts: int, max_attempts: int = MAX_ATTEMPTS) -> bool:
    """Whether this many failed attempts without progress are all a process gets."""
    return failed_attempts >= max_attempts


def losses_exhausted(losses: int) -> bool:
    """Whether this many lost owners without progress end a process."""
    return losses > MAX_LOSSES


def loss_delay_ms(losses: int) -> int:
    """How long (ms) a process with this many losses waits before it runs again: 0 until it ran apart in the worker
    that died."""
    return (
        0
        if losses <= APART_AFTER_LOSSES
        else min(1_000 * 2 ** (losses - APART_AFTER_LOSSES - 1), LONGEST_LOSS_DELAY_MS)
    )


def together(losses: int, held: int, before: int | None = None) -> int:
    """How many may run in one worker after the last of this many losses, the process among them, if it is one that runs
    apart. ``held``: how many ran there; ``before``: what this function said after the loss before."""
    most = held if before is None else min(held, before)
    return most if losses < APART_AFTER_LOSSES else max(1, most // SHARE)


def runs_apart(losses: int) -> bool:
    """Whether a process with this many losses runs beside no other but those that were lost as often."""
    return losses >= APART_AFTER_LOSSES
