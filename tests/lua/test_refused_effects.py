"""A verb of a body that its script refuses writes nothing: neither its own row, nor the rows that travel with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from wakeline.errors import ProcessConflict, ProcessNotFound, ReplayConflict
from wakeline.store import ends, events, sessions, signals
from wakeline.store.calls import Call
from wakeline.store.journal import Effect, Row
from wakeline.store.starts import SessionAddress

from tests.lua.world import World

CLERK = SessionAddress("clerk/1", "clerk", "t", "salt")
VERBS: dict[str, tuple[Callable[[World, Effect], Call[Any]], type[Exception]]] = {
    "cancel": (lambda _, effect: ends.cancel("nobody", "why not", grace_ms=1, effect=effect), ProcessNotFound),
    "signal": (
        lambda _, effect: signals.signal("nobody", "go", "s1", "1", canonical="1", replay_key="k", effect=effect),
        ProcessNotFound,
    ),
    "start": (
        lambda world, effect: world.registering("there", payload=2, effect=effect),
        ProcessConflict,
    ),
    "event": (
        lambda _, effect: events.append("p", "log", "2", replay_key="once", effect=effect),
        ReplayConflict,
    ),
    "input": (
        lambda _, effect: sessions.send(CLERK, '{"kind":"input","input":2}', key="k", canonical="2", effect=effect),
        ReplayConflict,
    ),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_refused_verb_of_a_body_writes_no_row(world: World, verb: str) -> None:
    world.start("there", payload=1)
    world.do(sessions.send(CLERK, '{"kind":"input","input":1}', key="k", canonical="1"))
    fence = world.running("p")
    world.do(events.append("p", "log", "1", replay_key="once"))
    call, error = VERBS[verb]
    with pytest.raises(error):
        world.do(call(world, Effect(fence, Row("own", "1"), (Row("consumed", "2"),))))
    assert world.journal("p") == {}
