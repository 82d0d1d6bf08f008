"""Processes over HTTP: every route of theirs, what each refuses, and what a repetition means."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import Any

import pytest
from wakeline import App
from wakeline.store.link import Link
from wakeline.store.together import Exchange

from tests.scenario.conftest import until
from tests.scenario.web.client import Client, Got, quoted

AT = "/v1/processes"


def start(web: Client, name: str, *arguments: Any, **more: Any) -> str:
    got = web.post(AT, {"name": name, "arguments": list(arguments), **more})
    assert got.status == 201, got.body
    pid: str = got.json["id"]
    return pid


def waits(web: Client, pid: str) -> None:
    until(lambda: web.get(f"{AT}/{quoted(pid)}").json["status"] == "waiting")


# -- start


def test_a_start_is_201_with_its_place_and_again_200(web: Client) -> None:
    given = {"name": "refund", "arguments": {"order": 7}, "id": "refund/7 ü"}
    first, again = web.post(AT, given), web.post(AT, given)
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json == {"id": "refund/7 ü"}
    assert first.headers["location"] == again.headers["location"] == "/v1/processes/refund%2F7%20%C3%BC"
    assert web.get(first.headers["location"]).json["input"]["payload"] == {"order": 7}


def test_the_same_id_with_other_arguments_is_a_conflict(web: Client) -> None:
    start(web, "refund", 7, id="one")
    got = web.post(AT, {"name": "refund", "arguments": [8], "id": "one"})
    assert (got.status, got.code) == (409, "process_conflict")


def test_the_key_of_a_start_is_its_id_and_another_id_beside_it_is_refused(web: Client) -> None:
    got = web.post(AT, {"name": "nap"}, idempotency_key="nap-1")
    assert (got.status, got.json) == (201, {"id": "nap-1"})
    assert web.post(AT, {"name": "nap"}, idempotency_key="nap-1").status == 200
    other = web.post(AT, {"name": "nap", "id": "nap-2"}, idempotency_key="nap-1")
    assert (other.status, other.code) == (422, "invalid_arguments")


def test_with_prefer_wait_the_start_gives_the_result_or_says_that_it_has_not_come(web: Client) -> None:
    got = web.post(AT, {"name": "charge", "arguments": [7, 500], "id": "c"}, prefer="respond-async, wait=20")
    assert (got.status, got.json) == (200, {"id": "c", "result": "charged 7: 500"})
    assert got.headers["preference-applied"] == "wait=20"
    late = web.post(AT, {"name": "nap", "id": "n"}, prefer="wait=0")
    assert (late.status, late.json) == (202, {"id": "n"})


def test_a_start_that_fails_while_its_sender_waits_says_how_it_failed(web: Client) -> None:
    got = web.post(AT, {"name": "decline", "arguments": [7], "max_attempts": 1}, prefer="wait=20")
    assert (got.status, got.code) == (424, "process_failed")
    assert "order 7 has no card" in got.json["detail"]


def test_a_unique_key_gives_the_process_that_has_it(web: Client) -> None:
    first = start(web, "nap", unique="one nap")
    got = web.post(AT, {"name": "nap", "unique": "one nap"})
    assert (got.status, got.json) == (200, {"id": first})
    refused = web.post(AT, {"name": "nap", "unique": "one nap", "if_running": "reject"})
    assert (refused.status, refused.code) == (409, "already_running")


@pytest.mark.parametrize(
    ("given", "status", "code", "says"),
    [
        ({"name": "missing"}, 404, "unknown_name", "No engine or tool is named 'missing'"),
        ({"name": "refund"}, 422, "invalid_arguments", "order"),
        ({"name": "refund", "arguments": {"order": "seven"}}, 422, "invalid_arguments", "order"),
        ({"name": "refund", "arguments": "7"}, 422, "invalid_arguments", "arguments"),
        ({"name": "refund", "arguments": [7], "lables": {}}, 422, "invalid_arguments", "lables"),
        ({"arguments": [7]}, 422, "invalid_arguments", "name: Field required"),
        ([1], 422, "invalid_arguments", "the body"),
        ({"name": "nap", "delay": "soon"}, 422, "invalid_duration", "soon"),
        ({"name": "nap", "id": "process:x"}, 422, "invalid_id", "process:"),
        ({"name": "nap", "queue": "a b"}, 422, "invalid_id", "queue"),
    ],
)
def test_a_start_that_cannot_be_is_refused_with_what_to_change(
    web: Client, given: Any, status: int, code: str, says: str
) -> None:
    got = web.post(AT, given)
    assert (got.status, got.code) == (status, code)
    assert says in got.json["detail"]


# -- read


def test_a_process_is_read_again_only_if_it_changed(web: Client) -> None:
    pid = start(web, "refund", 7)
    waits(web, pid)
    first = web.get(f"{AT}/{pid}")
    assert first.json["waits"][0]["name"] == "decision"
    same = web.get(f"{AT}/{pid}", if_none_match=f'"x", {first.headers["etag"]}')
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", first.headers["etag"])
    web.post(f"{AT}/{pid}/signals/decision", True)
    until(lambda: web.get(f"{AT}/{pid}").json["status"] == "completed")
    changed = web.get(f"{AT}/{pid}", if_none_match=first.headers["etag"])
    assert changed.json["outcome"] == {"type": "success", "value": "charged 7: -500"}


def test_a_read_may_wait_for_the_next_event(web: Client) -> None:
    pid = start(web, "refund", 7)
    waits(web, pid)
    sequence = web.get(f"{AT}/{pid}").json["sequence"]
    threading.Timer(0.3, web.post, (f"{AT}/{pid}/signals/decision", False)).start()
    begun = time.monotonic()
    got = web.get(f"{AT}/{pid}?after={sequence}&wait=20")
    assert got.json["sequence"] > sequence
    assert 0.2 < time.monotonic() - begun < 15


def test_a_read_that_waits_in_vain_gives_what_there_is(web: Client) -> None:
    pid = start(web, "nap")
    waits(web, pid)
    sequence = web.get(f"{AT}/{pid}").json["sequence"]
    assert web.get(f"{AT}/{pid}?after={sequence}&wait=0.2").json["sequence"] == sequence


@pytest.mark.parametrize("what", ["", "/result", "/events", "/effects", "/why"])
def test_an_unknown_process_is_404(web: Client, what: str) -> None:
    got = web.get(f"{AT}/missing%00%2F{what}")
    assert (got.status, got.code) == (404, "process_not_found")


def test_a_result_is_200_or_202_or_says_how_the_process_ended(web: Client) -> None:
    nap = start(web, "nap")
    waits(web, nap)
    waiting = web.get(f"{AT}/{nap}/result")
    assert (waiting.status, waiting.json) == (202, {"id": nap, "status": "waiting"})
    done = start(web, "charge", 1, 2)
    got = web.get(f"{AT}/{done}/result?wait=20")
    assert (got.status, got.json) == (200, {"id": done, "result": "charged 1: 2"})
    failed = web.get(f"{AT}/{start(web, 'decline', 7, max_attempts=1)}/result?wait=20")
    assert (failed.status, failed.code) == (424, "process_failed")
    web.post(f"{AT}/{nap}/cancel", {"reason": "a mistake"})
    cancelled = web.get(f"{AT}/{nap}/result?wait=20")
    assert (cancelled.status, cancelled.code) == (409, "process_cancelled")


def test_events_come_in_pages_behind_a_sequence(web: Client) -> None:
    pid = start(web, "refund", 7)
    waits(web, pid)
    web.post(f"{AT}/{pid}/signals/decision", True)
    web.get(f"{AT}/{pid}/result?wait=20")
    found, after, pages = [], "0", 0
    while True:
        got = web.get(f"{AT}/{pid}/events?after={after}&limit=2").json
        found += got["events"]
        after, pages = got["next"], pages + 1
        if not got["more"]:
            break
    assert [one["sequence"] for one in found] == list(range(1, len(found) + 1))
    assert pages == (len(found) + 1) // 2
    assert found[-1]["type"] == "process.completed"
    assert web.get(f"{AT}/{pid}/events?after={after}&wait=5").json == {"events": [], "more": False, "next": after}


def test_events_may_be_waited_for(web: Client) -> None:
    pid = start(web, "refund", 7)
    waits(web, pid)
    after = web.get(f"{AT}/{pid}/events").json["next"]
    threading.Timer(0.2, web.post, (f"{AT}/{pid}/signals/decision", False)).start()
    got = web.get(f"{AT}/{pid}/events?after={after}&wait=20").json
    assert got["events"][0]["type"] == "signal.decision"


def test_effects_and_why_tell_what_it_did_and_what_it_waits_for(web: Client) -> None:
    pid = start(web, "refund", 7)
    waits(web, pid)
    assert "signal" in web.get(f"{AT}/{pid}/why").json["says"]
    web.post(f"{AT}/{pid}/signals/decision", True)
    web.get(f"{AT}/{pid}/result?wait=20")
    got = web.get(f"{AT}/{pid}/effects?limit=1").json
    assert (got["effects"][0]["kind"], got["more"]) == ("wait", True)
    [call] = web.get(f"{AT}/{pid}/effects?after={got['next']}").json["effects"]
    assert (call["kind"], call["name"], call["outcome"]) == ("tool_call", "call:charge", "charged 7: -500")


def test_bearer_tokens_are_masked_wherever_a_payload_is_shown(web: Client, shop: App) -> None:
    pid = start(web, "ask", "the news")
    waits(web, pid)
    [approval] = shop.approvals()
    shop.answer(approval, True)
    answers = [
        web.get(f"{AT}/{pid}/result?wait=20"),
        web.get(f"{AT}/{pid}/events"),
        web.get(f"{AT}/{pid}/effects"),
        web.get(f"{AT}/{pid}"),
    ]
    stored = json.dumps([one.to_data() for one in shop.handle(pid).events()])
    [token] = set(re.findall(r"wt[12]\.[\w.-]{20,}", stored))
    masked = f"{token[:4]}…"
    assert answers[0].json["result"] == f"published, and {masked}"
    [logged] = [one["payload"] for one in answers[1].json["events"] if one["type"] == "log"]
    assert logged == {"token": masked, masked: "name"}
    assert all(token not in one.body.decode() for one in answers)


# -- signals, cancel, retry


def test_a_signal_with_the_same_key_is_the_same_signal(web: Client) -> None:
    pid = start(web, "refund", 7)
    waits(web, pid)
    first = web.post(f"{AT}/{pid}/signals/decision", True, idempotency_key="click-1")
    again = web.post(f"{AT}/{pid}/signals/decision", True, idempotency_key="click-1")
    assert (first.status, again.status) == (202, 202)
    assert first.json == again.json
    assert first.headers["idempotency-key"] == "click-1"
    other = web.post(f"{AT}/{pid}/signals/decision", False, idempotency_key="click-1")
    assert (other.status, other.code) == (409, "replay_conflict")


def test_a_signal_without_a_key_is_told_the_one_that_it_was_given(web: Client) -> None:
    pid = start(web, "refund", 7)
    waits(web, pid)
    got = web.post(f"{AT}/{pid}/signals/decision", True)
    again = web.post(f"{AT}/{pid}/signals/decision", True, idempotency_key=got.headers["idempotency-key"])
    assert again.json == got.json


@pytest.mark.parametrize(
    ("name", "payload", "status", "code"),
    [
        ("decision", "perhaps", 422, "payload_schema_mismatch"),
        ("decison", True, 422, "undeclared_event"),
        ("a b", True, 422, "invalid_id"),
    ],
)
def test_a_signal_that_does_not_fit_is_refused(web: Client, name: str, payload: Any, status: int, code: str) -> None:
    pid = start(web, "refund", 7)
    got = web.post(f"{AT}/{pid}/signals/{quoted(name)}", payload)
    assert (got.status, got.code) == (status, code)


def test_a_signal_to_an_ended_process_is_a_conflict(web: Client) -> None:
    pid = start(web, "refund", 7)
    web.post(f"{AT}/{pid}/signals/decision", False)
    web.get(f"{AT}/{pid}/result?wait=20")
    got = web.post(f"{AT}/{pid}/signals/decision", False)
    assert (got.status, got.code) == (409, "process_already_terminal")


def test_cancel_and_retry(web: Client) -> None:
    pid = start(web, "nap")
    waits(web, pid)
    early = web.post(f"{AT}/{pid}/retry")
    assert (early.status, early.code) == (409, "process_not_ended")
    got = web.post(f"{AT}/{pid}/cancel")
    assert (got.status, got.json["id"]) == (202, pid)
    web.get(f"{AT}/{pid}/result?wait=20")
    retried: list[Got] = [web.post(f"{AT}/{pid}/retry"), web.post(f"{AT}/{pid}/retry")]
    assert [(one.status, one.json) for one in retried] == [(200, {"id": f"{pid}~r1"})] * 2
    assert retried[0].headers["location"] == f"/v1/processes/{pid}~r1"


# -- lists


def test_a_list_goes_on_by_its_cursor_and_by_its_link(web: Client) -> None:
    pids = [start(web, "nap", id=f"n {n}") for n in range(5)]
    for pid in pids:
        waits(web, pid)  # one that changes its status meanwhile would move in the list
    found, url, pages = [], f"{AT}?kind=nap&limit=2", 0
    while True:
        got = web.get(url)
        found += [one["id"] for one in got.json["processes"]]
        pages += 1
        if not got.json["more"]:
            break
        url = got.headers["link"].removeprefix("<").partition(">")[0]
        assert got.json["next"] in url
    assert sorted(found) == sorted(pids)
    assert pages == 3
    assert "link" not in got.headers and got.json["next"] is None


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("after=bm8", "invalid_arguments"),
        ("after=%C3%BC", "invalid_arguments"),
        ("after=", "invalid_arguments"),
        ("status=gone", "invalid_arguments"),
        ("limit=0", "invalid_arguments"),
        ("limit=201", "invalid_arguments"),
        ("limit=x", "invalid_arguments"),
        ("limit=1&limit=2", "invalid_arguments"),
        ("colour=red", "invalid_arguments"),
        ("kind=a%20b", "invalid_id"),
        ("session=x", "invalid_id"),
    ],
)
def test_a_list_refuses_what_it_does_not_know(web: Client, query: str, code: str) -> None:
    got = web.get(f"{AT}?{query}")
    assert (got.status, got.code) == (422, code)


def test_a_list_of_a_session_that_never_was_is_404(web: Client) -> None:
    got = web.get(f"{AT}?session=clerk/7")
    assert (got.status, got.code) == (404, "session_not_found")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?status=live",
        "?status=queued&kind=nap",
        "?kind=nap",
        "?waiting=decision",
        "?limit=200",
        "?session=clerk/7",
    ],
)
def test_a_page_of_a_list_takes_at_most_three_round_trips(
    web: Client, shop: App, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    engines = shop.registry.engines
    rows = [{"order": n} for n in range(150)]
    shop.start_many(engines["refund"], rows)
    shop.using(delay="1h", wake="clerk/7").start_many(engines["nap"], [{}] * 300)
    until(lambda: len(shop.processes("waiting", kind="refund", limit=500)) == 150)
    assert len(web.get(f"{AT}{query}").json["processes"]) in (50, 150, 200)
    trips: list[int] = []
    carry = Link.carry

    async def counted(self: Link, exchange: Exchange) -> None:
        if threading.get_ident() == web.thread:
            trips.append(1)
        await carry(self, exchange)

    monkeypatch.setattr(Link, "carry", counted)
    first = web.get(f"{AT}{query}")
    assert 1 <= len(trips) <= 3
    trips.clear()
    if first.json["more"]:
        assert web.get(first.headers["link"].removeprefix("<").partition(">")[0]).json["processes"]
        assert 1 <= len(trips) <= 3
