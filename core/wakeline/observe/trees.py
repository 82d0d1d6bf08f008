"""A process among those that it comes from and those that come from it.

Invariant: pure, and bounded: what is left out is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from wakeline.observe.processes import Status
from wakeline.observe.view import View
from wakeline.observe.waits import WaitView


@dataclass(frozen=True, slots=True)
class TreeNode(View):
    """A process, what it waits for, and the processes that it started itself."""

    process: Status
    waits: tuple[WaitView, ...]
    """What a waiting process waits for, of every kind, soonest due first; of 256 of its waits if they are more."""
    children: tuple[TreeNode, ...]
    """Those that are retained, of every generation: first what lives, then what ended otherwise than completed."""
    more: int
    """How many children it has beside those."""
    more_at_least: bool
    """True if they were counted to a bound alone: there may be others."""


@dataclass(frozen=True, slots=True)
class TreeView(View):
    """A process with its parents above it and its children below it, at one moment or near to it."""

    parents: tuple[Status, ...]
    """Its parent last, before that the parent's parent, and so on."""
    above: str | None
    """The parent of the first of them (of the process itself without any), if it is not among them; None if nothing
    started that."""
    above_is_gone: bool
    """True if that one is no longer retained; else it is further up than is shown."""
    root: TreeNode
    """The process that was asked for, and what is below it."""
