"""Handle grants: who may await, cancel and signal a process through a session (P7 to P10, P80 to P85, P95, P96)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wakeline.errors import ProcessNotFound, ProcessNotVisible
from wakeline.store import sessions

if TYPE_CHECKING:
    from tests.contract.conftest import World

ONE, TWO, THREE = "session:chat/1", "session:chat/2", "session:chat/3"
JOB = '{"kind":"job"}'


def test_a_grant_is_there_from_grant_to_revoke(world: World) -> None:
    world.start("p")
    assert world.do(sessions.list_grants(ONE)) == []
    world.do(sessions.grant(ONE, "p", JOB))
    assert world.do(sessions.list_grants(ONE)) == [("p", JOB, "queued")]
    assert world.do(sessions.grants_of("p")) == [ONE]
    world.do(sessions.revoke(ONE, "p"))
    assert world.do(sessions.list_grants(ONE)) == []
    assert world.do(sessions.grants_of("p")) == []


def test_a_handle_of_an_unknown_process_cannot_be_granted(world: World) -> None:
    with pytest.raises(ProcessNotFound):
        world.do(sessions.grant(ONE, "nobody", JOB))
    assert world.do(sessions.list_grants(ONE)) == []


def test_several_sessions_hold_one_process_and_a_transfer_moves_one_handle(world: World) -> None:
    world.start("p")
    world.do(sessions.grant(TWO, "p", JOB))
    world.do(sessions.grant(ONE, "p", JOB))
    assert world.do(sessions.grants_of("p")) == [ONE, TWO]
    world.do(sessions.transfer(ONE, THREE, ["p"]))
    assert world.do(sessions.grants_of("p")) == [TWO, THREE]
    assert world.do(sessions.list_grants(ONE)) == []
    assert world.do(sessions.list_grants(THREE)) == [("p", JOB, "queued")]


def test_a_transfer_moves_all_or_nothing(world: World) -> None:
    world.start("a")
    world.start("b")
    world.do(sessions.grant(ONE, "a", JOB))
    with pytest.raises(ProcessNotVisible) as refused:
        world.do(sessions.transfer(ONE, TWO, ["a", "b"]))
    assert refused.value.process_id == "b"
    assert world.do(sessions.grants_of("a")) == [ONE]
    assert world.do(sessions.list_grants(TWO)) == []


def test_grants_append_no_events(world: World) -> None:
    world.start("p")
    world.do(sessions.grant(ONE, "p", JOB))
    world.do(sessions.transfer(ONE, TWO, ["p"]))
    world.do(sessions.revoke(TWO, "p"))
    assert world.types() == []


def test_a_process_without_any_grant_lives_on(world: World) -> None:
    fence = world.running("p")
    assert world.do(sessions.grants_of("p")) == []
    world.finish("p", 1, fence)
    assert world.status() == "completed"


def test_the_live_list_leaves_out_what_ended_and_the_full_list_keeps_it(world: World) -> None:
    world.start("b", kind="external")
    world.start("a", kind="external")
    for pid in ("b", "a"):
        world.do(sessions.grant(ONE, pid, JOB))
    world.finish("b")
    assert [row[0] for row in world.do(sessions.list_grants(ONE, live=True))] == ["a"]
    assert world.do(sessions.list_grants(ONE)) == [("a", JOB, "running"), ("b", JOB, "completed")]
