"""Queues: looking at one, holding it back.

Invariant: what runs goes on; a queue that is held back gives out nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from wakeline.errors import UnknownName
from wakeline.names import check_queue_name
from wakeline.observe.fleet import QueueView, queue_of
from wakeline.store import queues
from wakeline.store.calls import Program
from wakeline.store.keys import queue_name, split_queue
from wakeline.verbs.caller import Caller


def pause(caller: Caller, queue: str | None, declared: Callable[[], Collection[str]], *, paused: bool) -> Program[bool]:
    """Let workers take nothing from a queue, or take from it again. Returns whether that changed anything.

    ``declared``: the queues of the app, as RQ names them. Raises `UnknownName` for a queue that is none of them, in
    which nothing waits or runs, that no worker serves and that is not paused.
    """
    name = yield from known_queue(caller.namespace, queue, declared())
    changed: bool = yield queues.pause(name, paused=paused)
    return bool(changed)


def known_queue(namespace: str, queue: str | None, declared: Collection[str]) -> Program[str]:
    """RQ's name of the queue that is meant. It is named without the namespace, as commands do, or as RQ and views name
    it; the namespace stands for its own queue."""
    own = queue_name(namespace, None)
    if queue is None:
        return own
    meant = [queue_name(namespace, check_queue_name(queue))]
    if queue == namespace:
        meant.append(own)
    elif split_queue(queue)[0] == namespace:
        meant.append(queue)
    for name in meant:
        if name in declared:
            return name
    for name in meant:
        found = yield from look(name)
        if found.waiting or found.running or found.paused or found.workers:
            return name
    known = sorted(split_queue(one)[1] or namespace for one in declared)
    raise UnknownName(kind="queue", name=queue, known=known)


def look(name: str) -> Program[QueueView]:
    """One queue, by RQ's name, also where the namespace has no such queue."""
    [[state], _] = yield queues.list_queues([name])
    return queue_of(state)
