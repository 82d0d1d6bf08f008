"""Short words of the race tests for sessions: send, wake, take a turn, end it, look.

Invariant: what a worker does here is the script a worker sends, and a turn belongs to the worker that claimed it.
"""

from __future__ import annotations

import json
from typing import Any

from wakeline.observe.entries import EntryView, entry_of
from wakeline.processes.lease import Fence
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store import ends, entries, events, owners, sessions
from wakeline.store.calls import Call
from wakeline.store.ends import TurnCommit
from wakeline.store.events import WakeText
from wakeline.store.journal import Effect, Row
from wakeline.values import to_json

from tests.lua.world import LEASE_MS, World

BOT = "bot/1"
FAILED = '{"type":"failure","class":"execution","code":"broken","message":"it raised"}'


def policy_is(world: World, **over: Any) -> None:
    """From now on turns of `bot` take this."""
    world.do(owners.register_owner("policy", [], lease_ms=LEASE_MS, agents={"bot": AdmissionPolicy(**over).wire()}))
    world.do(owners.reap("policy", "shutdown"))


def send(world: World, *texts: str, to: str = BOT) -> None:
    """Inputs, one entry each."""
    for text in texts:
        world.do(sessions.send(world.session(to), to_json({"kind": "input", "input": text, "at_ms": world.now()})))


def source(world: World, pid: str = "x", **over: Any) -> None:
    """Work elsewhere whose wakes go to the session."""
    world.start(pid, kind="external", **({"wake": BOT} | over))


def wake(world: World, text: str, pid: str = "x", key: str | None = None, same: str | None = None) -> int:
    """An event of it that wakes."""
    payload = to_json({"text": text})
    return int(
        world.do(
            events.append(pid, "wake", payload, replay_key=key, canonical=payload, wake=WakeText(text, same))
        ).sequence
    )


def take_turn(world: World, owner: str = "o1") -> Fence:
    """A worker starts and claims the one turn there is."""
    world.worker(owner)
    claims = world.take(owner)
    assert len(claims) == 1, f"{len(claims)} turns to take"
    return claims[0].fence


def admit(world: World, fence: Fence, most: int = 256) -> list[str]:
    """The texts of a turn's batch."""
    return [json.loads(entry.body)["input"] for entry in world.do(sessions.admit(fence, BOT, most)).entries]


def turn(world: World, owner: str = "o1") -> tuple[Fence, list[str]]:
    """A turn, claimed and with its batch."""
    fence = take_turn(world, owner)
    return fence, admit(world, fence)


def committing(fence: Fence, revision: str = "0", value: Any = None, **over: Any) -> Call[int]:
    """The call of a turn's commit."""
    return ends.finish(
        fence.process_id,
        "completed",
        to_json({"type": "success", "value": value}),
        fence=fence,
        turn=TurnCommit(BOT, revision, **over),
    )


def commit(world: World, fence: Fence) -> None:
    """The turn ends well."""
    world.do(committing(fence, world.redis.hget(world.key(f"sess:{BOT}"), "rev")))


def offered(world: World, fence: Fence) -> list[str]:
    """What is offered to a running turn."""
    found = world.do(sessions.arrivals(Effect(fence, Row("arrivals:1", '{"o":', after="}")), BOT, 256))
    return [body["input"] for _, body, _ in json.loads(found)]


def inbox(world: World) -> list[EntryView]:
    """Its entries, by number."""
    return [entry_of(stored) for stored in world.do(entries.look(BOT, limit=1000)).entries]


def states(world: World) -> list[tuple[Any, str]]:
    """(input, state, with the reason where there is one) of each entry."""
    return [(e.input, f"{e.state} {e.reason}" if e.reason else e.state) for e in inbox(world)]
