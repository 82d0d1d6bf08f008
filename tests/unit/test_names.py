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
    called,
    check_event_type,
    check_namespace,
    check_process_id,
    check_queue,
    check_signal_name,
    child_id,
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
from wakeline.shown import is_seen
from wakeline.testing.model.doorbells import doorbell_id, former_doorbell_id
from wakeline.verbs.retries import retry_id

IDS = st.text(min_size=1, max_size=12).filter(is_seen).filter(str.strip)
PRINTED = [
    "a",
    "crawl-7",
    "A.b_c:d~e-f",
    "-a",
    "a b",
    "a/b",
    "a#1",
    "zoe@example.com",
    "+49 (0)30 1234",
    "U024BE7LH",
    "https://example.com/a?b=c#d",
    "Zo\u00eb",
    "Zoe\u0308",
    "日本",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with the joiner that its spelling needs
    "👩\u200d👩\u200d👧",
    "{shop}",
    "*",
    "?[a-z]",
    "..",
    "%2F",
    "a\\b",
    'say "hi"',
    "0" * 200,
    "日" * 66,
]
UNPRINTED = [
    "",
    " ",
    "\u3000",
    "a\n",
    "a\tb",
    "a\0b",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u202ea",
    "a\u200bb",
    "\ufeffa",
    "a\u2028b",
    "\ud800",
    "\U000e0041",
    "0" * 201,
    "日" * 67,
    None,
    7,
    b"a",
]


@pytest.mark.parametrize("value", PRINTED)
def test_any_printable_text_is_a_process_id_and_a_session_key(value: str) -> None:
    assert check_process_id(value) == value
    assert split_session_id(session_id("clerk", value)) == ("clerk", value)


@pytest.mark.parametrize("value", UNPRINTED, ids=repr)
def test_what_is_not_printed_or_too_long_is_neither(value: Any) -> None:
    with pytest.raises(InvalidId):
        check_process_id(value)
    with pytest.raises(InvalidId):
        session_id("clerk", value)


def test_the_longest_id_has_retries_and_a_session_of_its_own() -> None:
    again = "x" * 200
    for _ in range(12):
        again = retry_id(again)
        assert split_session_id(f"process-env/{again}") == ("process-env", again)
    assert again == "x" * 200 + "~r12"


@pytest.mark.parametrize(
    ("process_id", "retry"),
    [
        ("x", "x~r1"),
        ("x~r1", "x~r2"),
        ("x~r9", "x~r10"),
        ("x~r01", "x~r01~r1"),
        ("x~r0", "x~r0~r1"),
        ("x~r\u0663", "x~r\u0663~r1"),
        ("x~r1 ", "x~r1 ~r1"),
    ],
)
def test_only_what_a_retry_is_called_is_counted_on(process_id: str, retry: str) -> None:
    assert retry_id(process_id) == retry


@given(st.text(max_size=12))
def test_two_texts_never_call_one_process(text: str) -> None:
    assert called(text) == text
    for broken in (f"{text}\ud800", f"{text}\udfff"):
        assert called(broken).encode() and called(broken) != called(f"{text}\\ud800")
        with pytest.raises(InvalidId):
            check_process_id(called(broken), system=True)


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
    assert split_session_id("helper/a/b/c") == ("helper", "a/b/c")


@pytest.mark.parametrize("value", ["helper", "/u42", "helper/", "helper/ ", "he lper/u42", "helper/a\n"])
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
        (
            "shop.eu-1_a",
            "process:turn:x:1",
            3,
            "wl-shop_2eeu_2d1_5fa-process_3aturn_3ax_3a1-3",
            "wl-process_3aturn_3ax_3a1-3",
        ),
        ("shop", "é", 1, "wl-shop-_c3_a9-1", "wl-_c3_a9-1"),
    ],
)
def test_doorbell_golden_vectors(namespace: str, process_id: str, epoch: int, doorbell: str, former: str) -> None:
    assert doorbell_id(namespace, process_id, epoch) == doorbell
    assert former_doorbell_id(process_id, epoch) == former


@given(IDS, IDS)
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
        "process.attempt_failed",
        "process.cancel_requested",
        "process.cancelled",
        "process.completed",
        "process.continued",
        "process.external_ref_set",
        "process.failed",
        "process.misfit",
        "process.recovered",
        "process.resumed",
        "process.retargeted",
        "process.started",
        "process.waiting",
    ]
    assert sorted(names.TERMINAL_TYPES) == [
        "process.abandoned",
        "process.cancelled",
        "process.completed",
        "process.failed",
    ]
    assert sorted(names.PRODUCER_TYPES) == ["log", "progress", "wake"]
