"""Short words for what the tests of sessions do to a world of the contract: send, take a turn, end it, look.

Invariant: a turn's end is the script that a worker sends, under the fence of its claim.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wakeline.observe.entries import EntryView, entry_of
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store import ends, entries, owners, sessions
from wakeline.store.claims import Claim
from wakeline.store.ends import TurnCommit
from wakeline.values import to_json

if TYPE_CHECKING:
    from tests.contract.conftest import World

CHAT = "chat/1"
NOTHING = '{"type":"success","value":null}'
FAILED = '{"type":"failure","class":"execution","code":"broken","message":"it raised"}'


def policy_is(world: World, agent: str = "chat", **over: Any) -> AdmissionPolicy:
    """From now on the agent's turns take this."""
    policy = AdmissionPolicy(**over)
    world.do(owners.register_owner("o_1", [world.namespace], lease_ms=5_000, agents={agent: policy.wire()}))
    return policy


def send(world: World, *texts: str, to: str = CHAT) -> None:
    """Inputs of a user, one entry each."""
    for text in texts:
        world.do(sessions.send(world.session(to), to_json({"kind": "input", "input": text})))


def command(world: World, name: str, to: str = CHAT) -> None:
    """A command."""
    body = to_json({"kind": "command", "name": name, "input": None})
    world.do(sessions.send(world.session(to), body, kind="command"))


def source(world: World, pid: str = "x", wake: str = CHAT) -> None:
    """Work elsewhere whose wakes go to the session."""
    world.start(pid, kind="external", wake=wake, wake_target={"session_id": wake})


def turn(world: World, owner: str = "o_1", *, most: int = 256, to: str = CHAT) -> tuple[Claim, list[str]]:
    """A worker takes the session's turn: its claim, and the texts of its batch."""
    world.worker(owner)
    claims = world.take(owner)
    assert len(claims) == 1, f"{len(claims)} turns to take"
    batch = world.do(sessions.admit(claims[0].fence, to, most))
    return claims[0], [json.loads(entry.body)["input"] for entry in batch.entries]


def commit(world: World, claim: Claim, to: str = CHAT, **over: Any) -> None:
    """The turn ends well."""
    revision = world.do(sessions.read(to)).head.fields["rev"]
    world.do(
        ends.finish(claim.process_id, "completed", NOTHING, fence=claim.fence, turn=TurnCommit(to, revision, **over))
    )


def fail(world: World, claim: Claim, attempts: int = 5) -> None:
    """The turn raises until its attempts are used up."""
    for left in range(attempts - 1, -1, -1):
        done = world.do(ends.release(claim.fence, attempt=True, output=FAILED))
        assert done == ("released" if left else "exhausted")
        if left:
            (claim,) = world.take()


def inbox(world: World, session_id: str = CHAT) -> list[EntryView]:
    """Its entries, by number."""
    return [entry_of(stored) for stored in world.do(entries.look(session_id, limit=1000)).entries]


def states(world: World, session_id: str = CHAT) -> list[tuple[Any, str]]:
    """(input, state) of each entry."""
    return [(entry.input, entry.state) for entry in inbox(world, session_id)]


def head(world: World, session_id: str = CHAT) -> dict[str, str]:
    """The session's head."""
    return dict(world.do(entries.look(session_id, limit=0)).head.fields)
