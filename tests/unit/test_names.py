"""Names that end up in Redis: their grammars, and golden vectors of what is built from them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline import names
from wakeline.errors import InvalidId
from wakeline.names import (
    check_event_type,
    check_namespace,
    check_process_id,
    check_queue,
    check_signal_name,
    child_id,
    doorbell_id,
    former_doorbell_id,
    new_claim_id,
    new_incarnation,
    new_owner_id,
    new_process_id,
    session_id,
    signal_event_type,
    signal_replay_key,
    split_session_id,
    terminal_replay_key,
)


@pytest.mark.parametrize("value", ["a", "crawl-7", "A.b_c:d~e-f", "0" * 128])
def test_process_ids(value: str) -> None:
    assert check_process_id(value) == value


@pytest.mark.parametrize("value", ["", " ", "-a", "_a", "a b", "a/b", "a#1", "é", "a\n", "0" * 129, None, 7])
def test_what_is_no_process_id(value: Any) -> None:
    with pytest.raises(InvalidId):
        check_process_id(value)


def test_system_ids_are_the_systems() -> None:
    assert check_process_id("process:turn:x:1", system=True) == "process:turn:x:1"
    with pytest.raises(InvalidId):
        check_process_id("process:turn:x:1")


@pytest.mark.parametrize("value", ["publish", "page_done-2", "7"])
def test_signal_names(value: str) -> None:
    assert signal_event_type(value) == "signal." + value


@pytest.mark.parametrize("value", ["", "a.b", "a b", "a:b", "é", "a\n"])
def test_what_is_no_signal_name(value: str) -> None:
    with pytest.raises(InvalidId):
        check_signal_name(value)


@pytest.mark.parametrize("check", [check_namespace, check_queue, check_event_type])
@pytest.mark.parametrize("value", ["", "{a}", "a b", ".a", "a/b", "x" * 200])
def test_other_names_are_checked(check: Any, value: str) -> None:
    with pytest.raises(InvalidId):
        check(value)


def test_session_ids_are_agent_and_key() -> None:
    assert session_id("helper", "u42") == "helper/u42"
    assert split_session_id("helper/u42") == ("helper", "u42")


@pytest.mark.parametrize("value", ["helper", "/u42", "helper/", "a/b/c", "he lper/u42"])
def test_what_is_no_session_id(value: str) -> None:
    with pytest.raises(InvalidId):
        split_session_id(value)


def test_generated_ids_follow_their_grammars() -> None:
    for _ in range(200):
        assert re.fullmatch("p_[0-9a-v]{20}", check_process_id(new_process_id()))
        assert re.fullmatch("[0-9a-v]{8}", new_incarnation())
        assert re.fullmatch("o_[0-9a-v]{16}", new_owner_id())
        assert re.fullmatch("[0-9a-v]{10}", new_claim_id())


def test_generated_ids_differ() -> None:
    assert len({new_process_id(1) for _ in range(1000)}) == 1000


@given(st.integers(0, 2**47), st.integers(0, 2**47))
def test_process_ids_sort_by_time(one: int, other: int) -> None:
    first, second = new_process_id(one)[:12], new_process_id(other)[:12]
    assert (first < second) == (one < other)


@pytest.mark.parametrize(
    ("namespace", "process_id", "epoch", "doorbell", "former"),
    [
        ("shop", "p_1", 1, "wl-shop-p_5f1-1", "wl-p_5f1-1"),
        ("shop", "a.b:c~d-e", 12, "wl-shop-a_2eb_3ac_7ed_2de-12", "wl-a_2eb_3ac_7ed_2de-12"),
        ("shop.eu-1_a", "process:turn:x:1", 3, "wl-shop_2eeu_2d1_5fa-process_3aturn_3ax_3a1-3", "wl-process_3aturn_3ax_3a1-3"),
        ("shop", "é", 1, "wl-shop-_c3_a9-1", "wl-_c3_a9-1"),
    ],
)
def test_doorbell_golden_vectors(namespace: str, process_id: str, epoch: int, doorbell: str, former: str) -> None:
    assert doorbell_id(namespace, process_id, epoch) == doorbell
    assert former_doorbell_id(process_id, epoch) == former


@given(st.from_regex(f"^{names.ID_GRAMMAR}$").map(str.strip), st.from_regex(f"^{names.ID_GRAMMAR}$").map(str.strip))
def test_doorbells_of_two_processes_differ(one: str, other: str) -> None:
    assert (doorbell_id("shop", one, 1) == doorbell_id("shop", other, 1)) == (one == other)
    assert re.fullmatch("wl-shop-[A-Za-z0-9_]+-1", doorbell_id("shop", one, 1))


def test_child_id_golden_vector() -> None:
    assert child_id("p_1", "inc00001", 1, "start:page:aa:1") == "c_l6ochz2epnb3irhzvlk2vvs4iq"


def test_child_id_depends_on_every_part() -> None:
    ids = {
        child_id("p_1", "inc00001", 1, "k"),
        child_id("p_2", "inc00001", 1, "k"),
        child_id("p_1", "inc00002", 1, "k"),
        child_id("p_1", "inc00001", 2, "k"),
        child_id("p_1", "inc00001", 1, "k2"),
    }
    assert len(ids) == 5


def test_replay_keys() -> None:
    assert signal_replay_key("p_1", "publish", "slack-991") == "process:p_1:signal.publish:slack-991"
    assert terminal_replay_key("p_1", "process.completed") == "process:p_1:terminal:process.completed"


@pytest.mark.parametrize("signal_id", ["", "  "])
def test_a_signal_needs_an_idempotency_key(signal_id: str) -> None:
    with pytest.raises(InvalidId):
        signal_replay_key("p_1", "publish", signal_id)


def test_core_event_types_are_pinned() -> None:
    assert sorted(names.LIFECYCLE_TYPES) == [
        "process.abandoned",
        "process.cancel_requested",
        "process.cancelled",
        "process.completed",
        "process.continued",
        "process.external_ref_set",
        "process.failed",
        "process.resumed",
        "process.retargeted",
        "process.started",
        "process.waiting",
    ]
    assert sorted(names.TERMINAL_TYPES) == ["process.abandoned", "process.cancelled", "process.completed", "process.failed"]
    assert sorted(names.PRODUCER_TYPES) == ["log", "progress", "wake"]
