"""Turns: which entries one takes, and what its end leaves to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline.observe.entries import entry_of, explain
from wakeline.observe.sessions import SessionView, explain_session
from wakeline.sessions.admission import AdmissionPolicy, EntryKind
from wakeline.store.entries import StoredEntry
from wakeline.testing.model.turns import Entry, admit, isolate, settle
from wakeline.values import content_hash

KINDS: dict[str, EntryKind] = {"w": "wake", "i": "input", "c": "command"}
NO_COMMANDS = AdmissionPolicy(kinds=frozenset({"wake", "input"}))


def inbox(letters: str) -> list[Entry]:
    return [Entry(n, KINDS[letter]) for n, letter in enumerate(letters, 1)]


def numbers(entries: list[Entry] | tuple[Entry, ...]) -> list[int]:
    return [entry.n for entry in entries]


@pytest.mark.parametrize(
    ("letters", "taken"),
    [("", []), ("w", [1]), ("wiw", [1, 2, 3]), ("c", [1]), ("cww", [1]), ("wicw", [1, 2]), ("cc", [1])],
)
def test_wakes_and_inputs_share_a_turn_and_commands_do_not(letters: str, taken: list[int]) -> None:
    assert numbers(admit(inbox(letters))) == taken


def test_entries_are_taken_in_order_of_arrival() -> None:
    assert numbers(admit(inbox("www")[::-1])) == [1, 2, 3]


def test_a_turn_takes_256_entries_at_most() -> None:
    assert numbers(admit(inbox("w" * 300))) == list(range(1, 257))
    assert numbers(admit(inbox("www"), AdmissionPolicy(max_entries=2))) == [1, 2]


def test_entries_no_turn_takes_are_passed_over() -> None:
    assert numbers(admit(inbox("wcw"), NO_COMMANDS)) == [1, 3]
    assert admit(inbox("c"), NO_COMMANDS) == []


@given(st.text("wic", max_size=30), st.integers(1, 4))
def test_turn_after_turn_takes_every_entry_once_and_in_order(letters: str, most: int) -> None:
    policy, left, seen = AdmissionPolicy(max_entries=most), inbox(letters), list[int]()
    while batch := admit(left, policy):
        assert len(batch) <= most
        assert len(batch) == 1 or all(entry.kind != "command" for entry in batch)
        seen += numbers(batch)
        left = [entry for entry in left if entry not in batch]
    assert seen == list(range(1, len(letters) + 1))


def test_a_session_without_entries_is_released() -> None:
    entries = inbox("ww")
    end = settle(entries, entries, completed=True)
    assert (end.state, end.settled, end.undeliverable, end.released) == ("settled", (1, 2), (), True)


def test_late_arrivals_get_the_next_turn() -> None:
    entries = inbox("wwi")
    end = settle(entries[:2], entries, completed=True)
    assert (end.settled, numbers(end.next), end.released) == ((1, 2), [3], False)


def test_a_turn_that_did_not_complete_settles_its_entries_too() -> None:
    entries = inbox("ww")
    end = settle(entries[:1], entries, completed=False)
    assert (end.state, end.settled, numbers(end.next)) == ("failed", (1,), [2])


def test_entries_that_no_policy_admits_are_undeliverable_and_do_not_keep_the_session() -> None:
    entries = inbox("wc")
    end = settle(entries[:1], entries, completed=True, policy=NO_COMMANDS)
    assert (end.undeliverable, end.released) == ((2,), True)


@given(st.text("wic", max_size=20), st.integers(0, 20), st.booleans())
def test_no_entry_is_stranded(letters: str, had: int, completed: bool) -> None:
    entries = inbox(letters)
    end = settle(entries[:had], entries, completed=completed)
    left = [entry.n for entry in entries[had:]]
    assert end.released == (not left)
    assert set(end.settled) == set(numbers(entries[:had]))


def test_a_batch_is_halved_until_the_poisonous_entry_stands_alone() -> None:
    batch = inbox("wwwww")
    assert numbers(isolate(batch)) == [1, 2]
    assert numbers(isolate(batch[:2])) == [1]
    assert numbers(isolate(batch[:1])) == [1]


# -- what is stored


@pytest.mark.parametrize(
    ("policy", "stored"),
    [
        (AdmissionPolicy(), ""),
        (AdmissionPolicy(max_entries=1), ""),  # a worker says it with every turn; scripts alone never count entries
        (NO_COMMANDS, '{"k":"iw"}'),
        (AdmissionPolicy(on_arrival="early"), '{"a":"e"}'),
        (AdmissionPolicy(on_arrival="interrupt"), '{"a":"i"}'),
        (AdmissionPolicy(debounce_ms=200, debounce_max_ms=2_000), '{"d":200,"x":2000}'),
        (AdmissionPolicy(on_failure="block", max_attempts=3), '{"f":"b","t":3}'),
    ],
)
def test_what_scripts_know_of_a_policy_is_pinned(policy: AdmissionPolicy, stored: str) -> None:
    assert policy.wire() == stored


WAKE = (
    '{"kind":"wake","process_id":"p","incarnation":"inc00001","sequence":3,"event_type":"done","at_ms":10,'
    '"input":"told"}'
)


@pytest.mark.parametrize(
    ("state", "shown", "says"),
    [
        ("delivered", ("delivered", None, None, None, None, None), "it waits in the inbox"),
        ("admitted t1 20", ("admitted", "t1", 20, None, None, None), "turn t1 has it"),
        ("settled t1 30 20", ("settled", "t1", 20, 30, None, None), "turn t1 read it and ended"),
        (
            "failed t1 30 20",
            ("failed", "t1", 20, 30, None, None),
            "turn t1 failed over it; offer it again with `wakeline redrive bot/1#4`",
        ),
        ("blocked t1 30 20", ("blocked", "t1", 20, 30, None, None), None),
        ("undeliverable expired 30", ("undeliverable", None, None, 30, "expired", None), None),
        (
            "undeliverable target_gone 30",
            ("undeliverable", None, None, 30, "target_gone", None),
            "undeliverable: its session was deleted",
        ),
        ("superseded 7 30", ("superseded", None, None, 30, None, 7), "it was offered again, as entry 7"),
    ],
)
def test_every_state_of_an_entry_is_read_and_explained(state: str, shown: tuple[object, ...], says: str | None) -> None:
    entry = entry_of(StoredEntry("bot/1", 4, WAKE, state, 1, "", "p#1 "))
    assert (entry.state, entry.turn, entry.admitted_ms, entry.ended_ms, entry.reason, entry.by) == shown
    assert (entry.kind, entry.input, entry.process_id, entry.sequence, entry.recorded_ms, entry.swallowed_wakes) == (
        "wake",
        "told",
        "p",
        3,
        10,
        ("p#1",),
    )
    assert entry.wake_id == "wake:v1:" + content_hash("wake", "bot/1", "p", "inc00001", "3")
    assert explain(entry) == says if says else "`wakeline redrive bot/1#4`" in explain(entry)


@pytest.mark.parametrize(
    ("body", "state", "kind", "told"),
    [
        ('{"kind":"input","input":1,"later":2}', "delivered", "input", "it waits in the inbox"),
        ('{"kind":"song","at_ms":5}', "admitted t 7", "song", "turn t has it"),
        ('{"input":1}', "delivered", "unknown", "it waits in the inbox"),
        ("nonsense", "delivered", "unknown", "it waits in the inbox"),
        ("[]", "settled t 7 6", "unknown", "turn t read it and ended"),
        (
            '{"kind":"input","input":1}',
            "sung t 7",
            "input",
            "it is 'sung', which this release does not know: a later one wrote it",
        ),
        ('{"kind":"input","input":1}', "settled", "input", "turn  read it and ended"),
        (
            '{"kind":"wake","process_id":"p"}',
            "undeliverable",
            "wake",
            "undeliverable: ; offer it again with `wakeline redrive bot/1#3`",
        ),
    ],
)
def test_an_entry_of_a_later_release_is_shown_as_far_as_it_is_known(
    body: str, state: str, kind: str, told: str
) -> None:
    entry = entry_of(StoredEntry("bot/1", 3, body, state, 0, "nonsense"))
    assert (entry.kind, entry.state, explain(entry)) == (kind, state.split(" ")[0], told)


def test_a_turn_that_is_lost_with_its_workers_is_said_to_be() -> None:
    report = SessionView("bot/1", "active", "bot", 1, None, "t1", "queued", 1, 1, None, False, 1, None, losses=4)
    assert (
        explain_session(report)
        == "turn t1 was lost with its worker 4 times, and runs again apart from others; `wakeline show t1` says when"
    )
