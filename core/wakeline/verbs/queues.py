"""Queues: looking at one, holding it back.

Invariant: what runs goes on; a queue that is held back gives out nothing more.
"""

from __future__ import annotations

from wakeline.names import check_queue
from wakeline.observe.fleet import QueueView, queue_of
from wakeline.store import queues
from wakeline.store.calls import Program
from wakeline.store.keys import queue_name
from wakeline.verbs.caller import Caller


def pause(caller: Caller, queue: str | None, *, paused: bool) -> Program[bool]:
    """Let workers take nothing from a queue, or take from it again. Returns whether that changed anything."""
    name = queue_name(caller.namespace, check_queue(queue) if queue is not None else None)
    changed: bool = yield queues.pause(name, paused=paused)
    return bool(changed)


def look(name: str) -> Program[QueueView]:
    """One queue, by RQ's name, also where the namespace has no such queue."""
    [[state], _] = yield queues.list_queues([name])
    return queue_of(state)
