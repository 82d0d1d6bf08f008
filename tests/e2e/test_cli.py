"""The command line: starting, telling, looking, sessions, ids. Every command prints what it did, and with --json the
same as JSON."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from wakeline.store import events, processes, sessions, starts

from tests.e2e.shop import Shop, events_of, ids

# -- start


def test_start_prints_the_id_it_was_given(shop: Shop) -> None:
    assert shop.text("start", "refund", '{"order": 7}', "--id", "refund-7") == "refund-7\n"
    assert shop.json("start", "refund", '{"order": 7}', "--id", "refund-7") == {"id": "refund-7"}


def test_start_takes_a_list_or_stdin_for_the_arguments(shop: Shop) -> None:
    shop.run("start", "charge", "[1, 2]", "--id", "by-list")
    shop.run("start", "charge", "-", "--id", "by-stdin", stdin='{"order": 3, "cents": 4}')
    shop.work()
    outcomes = [shop.json("show", pid)["outcome"]["value"] for pid in ("by-list", "by-stdin")]
    assert outcomes == ["order 1: 2", "order 3: 4"]


def test_start_puts_it_on_the_named_queue_and_delays_it(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--id", "later", "--queue", "night", "--delay", "1h")
    assert shop.json("show", "later")["queue"] == "shop.night"
    shop.work()
    assert shop.json("show", "later")["status"] == "queued"


def test_start_at_a_moment_waits_for_it_and_a_moment_without_a_zone_is_a_usage_error(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--id", "later", "--at", "2999-01-31T09:00+01:00")
    shop.text("start", "charge", "[1, 2]", "--id", "now", "--at", "2001-01-31T09:00Z")
    shop.work()
    assert [shop.json("show", pid)["status"] for pid in ("later", "now")] == ["queued", "completed"]
    assert "2999-01-31 08:00:00 UTC" in shop.text("why", "later")
    for words in (("--at", "2030-01-31T09:00"), ("--at", "tomorrow"), ("--at", "2030-01-31T09:00Z", "--delay", "1h")):
        assert shop.run("start", "charge", "[1, 2]", *words).exit_code == 2


def test_start_with_wait_prints_the_result(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--id", "c1")
    shop.work()
    result = shop.run("start", "charge", "[1, 2]", "--id", "c1", "--wait", "5s")
    assert (result.exit_code, result.stdout, result.stderr) == (0, '"order 1: 2"\n', "c1\n")
    assert shop.json("start", "charge", "[1, 2]", "--id", "c1", "--wait", "5s") == {"id": "c1", "result": "order 1: 2"}


def test_start_with_wait_exits_1_with_the_class_code_and_message_of_a_failure(shop: Shop) -> None:
    shop.text("start", "decline", "[3]", "--id", "d3")
    shop.work()
    result = shop.run("start", "decline", "[3]", "--id", "d3", "--wait", "5s")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "d3\nwakeline: Process 'd3' failed (execution/ValueError): order 3 has no card\n"
    assert shop.json("start", "decline", "[3]", "--id", "d3", "--wait", "5s", code=1) == {
        "error": {
            "code": "process_failed",
            "message": "Process 'd3' failed (execution/ValueError): order 3 has no card",
            "retryable": False,
            "fields": {
                "process_id": "d3",
                "failure_class": "execution",
                "failure_code": "ValueError",
                "failure_message": "order 3 has no card",
            },
        }
    }


def test_start_with_wait_exits_4_when_it_takes_longer(shop: Shop) -> None:
    result = shop.run("start", "charge", "[1, 2]", "--id", "c1", "--wait", "50ms")
    assert (result.exit_code, result.stdout) == (4, "")
    assert (
        result.stderr
        == "c1\nwakeline: Waiting for process c1 timed out. Wait longer; in code, default= says what to go on with.\n"
    )


def test_ctrl_c_while_waiting_leaves_the_id_behind(shop: Shop) -> None:
    waiting = shop.spawn("start", "charge", "[1, 2]", "--id", "c1", "--wait", "1h")
    assert waiting.stderr is not None
    assert waiting.stderr.readline() == "c1\n"
    waiting.send_signal(signal.SIGINT)
    output, problems = waiting.communicate(timeout=20)
    assert (waiting.returncode, output, problems.strip()) == (130, "", "")
    assert shop.json("show", "c1")["status"] == "queued"


# -- signal, cancel, resolve


def test_a_signal_resumes_a_process_and_the_same_key_is_the_same_signal(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    shop.work()
    assert shop.json("signal", "refund-7", "decision", "true", "--key", "k1") == {"id": "refund-7", "sequence": 3}
    assert (
        shop.text("signal", "refund-7", "decision", "true", "--key", "k1") == "signal decision is event 3 of refund-7\n"
    )
    shop.work()
    assert shop.json("show", "refund-7")["outcome"] == {"type": "success", "value": "order 7: -500, approved"}


def test_a_signal_takes_its_payload_from_stdin(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    assert shop.run("signal", "refund-7", "decision", "-", stdin="false").exit_code == 0
    shop.work()
    assert shop.json("show", "refund-7")["outcome"]["value"] == "order 7: -500, refused"


def test_cancel_prints_the_status_and_leaves_an_ended_process_alone(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--id", "c1")
    assert shop.text("cancel", "c1", "--reason", "wrong order") == "queued\n"
    shop.work()
    assert shop.json("cancel", "c1") == {"id": "c1", "status": "cancelled"}


def test_retry_runs_an_ended_process_again_and_refuses_a_live_one(shop: Shop) -> None:
    shop.text("start", "decline", "[7]", "--id", "d1")
    refused = shop.run("retry", "d1")
    assert (refused.exit_code, refused.stderr) == (
        5,
        "wakeline: Process 'd1' is queued; only one that has ended is retried. Wait for its end, or cancel it first.\n",
    )
    shop.work()
    assert shop.json("retry", "d1") == {"id": "d1~r1", "retry_of": "d1"}
    assert shop.text("retry", "d1") == "d1~r1\n"
    shop.work()
    assert shop.json("show", "d1~r1")["status"] == "failed"


def test_resolve_answers_an_approval_once(shop: Shop) -> None:
    shop.text("start", "deploy", "--id", "deploy-1")
    shop.work()
    token = next(e["payload"]["token"] for e in events_of(shop, "deploy-1") if e["type"] == "log")
    assert shop.json("resolve", token, "true") == {"accepted": True}
    again = shop.run("resolve", token, "false")
    assert (again.exit_code, again.stdout, again.stderr) == (
        5,
        "",
        "wakeline: This token was answered before, and the first answer stands.\n",
    )
    assert shop.json("resolve", token, "false", code=5)["error"]["code"] == "token_used"
    shop.work()
    assert shop.json("show", "deploy-1")["outcome"]["value"] is True


def test_approvals_lists_what_can_be_answered_in_pages_and_answer_answers_by_the_id_it_shows(shop: Shop) -> None:
    for n in (1, 2, 3):
        shop.text("start", "deploy", "--id", f"deploy-{n}")
        shop.work()
    found = shop.json("approvals")
    assert [row["process_id"] for row in found] == ["deploy-1", "deploy-2", "deploy-3"]
    assert found[0].keys() == {
        "id",
        "process_id",
        "process_kind",
        "label",
        "session",
        "name",
        "question",
        "schema",
        "options",
        "since_ms",
        "due_ms",
        "cursor",
    }
    assert (found[0]["name"], found[0]["options"]) == ("deploy", [True, False])
    first = shop.run("approvals", "--limit", "2")
    assert [line.split()[1] for line in first.stdout.splitlines()] == ["deploy-1", "deploy-2"]
    assert first.stderr == f"wakeline: there are more than these 2; --after {found[1]['cursor']} shows the next\n"
    assert shop.text("approvals", "--after", found[1]["cursor"]).split()[1] == "deploy-3"
    assert shop.run("approvals", "--after", "nowhere").exit_code == 2
    refused = shop.run("answer", found[0]["id"], '"maybe"')
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert shop.json("answer", found[0]["id"], "true") == {"accepted": True}
    again = shop.json("answer", found[0]["id"], "false", code=5)["error"]
    assert (again["code"], again["fields"]["approval"]) == ("approval_answered", found[0]["id"])
    assert found[0]["since_ms"] <= again["fields"]["answered_at_ms"]
    assert shop.json("answer", "nothing", "true", code=3)["error"]["code"] == "approval_not_open"
    shop.work()
    assert shop.json("show", "deploy-1")["outcome"]["value"] is True
    assert [row["process_id"] for row in shop.json("approvals")] == ["deploy-2", "deploy-3"]
    shop.text("cancel", "deploy-2")
    assert [row["process_id"] for row in shop.json("approvals")] == ["deploy-3"]


# -- looking


def test_ps_lists_processes_with_these_keys(busy: Shop) -> None:
    rows = {row["id"]: row for row in busy.json("ps")}
    row = rows["refund-7"]
    assert sorted(row) == [
        "because",
        "created_ms",
        "error",
        "id",
        "kind",
        "label",
        "labels",
        "losses",
        "misfit",
        "owner",
        "release",
        "runs_again_ms",
        "seen_ms",
        "sequence",
        "status",
        "unread",
        "updated_ms",
        "waiting_for",
    ]  # fmt: skip
    assert (row["status"], row["kind"], row["label"], row["waiting_for"], row["owner"]) == (
        "waiting",
        "refund",
        None,
        ["decision"],
        None,
    )
    assert (rows["charge-1"]["kind"], rows["charge-1"]["label"]) == ("tool", "charge")


def test_ps_narrows_by_status_kind_session_and_signal(busy: Shop) -> None:
    busy.text("send", "clerk/u1", "hello")
    [turn] = ids(busy, "--kind", "session_turn")
    assert ids(busy) == sorted(
        ["archive-1", "charge-1", "deploy-1", "nap-1", "parent-1", "refund-7", "the-child", turn]
    )
    assert ids(busy, "--status", "waiting") == ["deploy-1", "nap-1", "parent-1", "refund-7", "the-child"]
    assert ids(busy, "--status", "completed") == ["archive-1"]
    assert "archive-1" not in ids(busy, "--status", "live")
    assert ids(busy, "--kind", "refund") == ["refund-7", "the-child"]
    assert ids(busy, "--kind", "tool") == ["charge-1"]
    assert ids(busy, "--kind", "nobody") == []
    assert ids(busy, "--session", "clerk/u1") == [turn]
    assert ids(busy, "--waiting", "decision") == ["refund-7", "the-child"]
    assert ids(busy, "--name", "charge") == ["charge-1"]
    assert ids(busy, "--beginning", "refund") == ["refund-7"]
    assert ids(busy, "--since", "1h", "--status", "completed") == ["archive-1"]
    assert ids(busy, "--until", "2026-01-01T00:00+01:00") == []
    assert ids(busy, "--label", "tenant=acme") == []
    assert len(busy.json("ps", "--limit", "3")) == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--since", "yesterday"), "is no duration and no moment"),
        (("--since", "2026-12-01T08:00"), "has no time zone"),
        (("--label", "tenant"), "is not KEY=VALUE"),
        (("--label", "a=b", "--label", "a=c"), "has two values"),
    ],
)
def test_an_option_of_a_filter_that_means_nothing_is_a_usage_error(
    busy: Shop, words: tuple[str, ...], told: str
) -> None:
    said = busy.run("ps", *words)
    assert (said.exit_code, told in said.stderr) == (2, True), said.stderr


def test_a_beginning_of_an_id_that_is_too_short_says_how_long_it_has_to_be(busy: Shop) -> None:
    said = busy.run("ps", "--beginning", "order")
    assert (said.exit_code, "6 characters or more" in said.stderr) == (2, True), said.stderr


def test_piped_output_has_rows_and_nothing_else(busy: Shop) -> None:
    [line] = busy.text("ps", "--status", "completed").splitlines()
    assert line.split() == ["archive-1", "completed", "archive", line.split()[3]]
    nothing = busy.run("ps", "--kind", "nobody")
    assert (nothing.exit_code, nothing.stdout, "'nobody'" in nothing.stderr) == (0, "", True)


def test_ages_are_said_by_the_servers_clock_whatever_this_machines_says(
    busy: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: here() + 3 * 3_600_000_000_000)
    [line] = busy.text("ps", "--status", "completed").splitlines()
    assert line.split()[3].endswith("s")  # of a process that was started a moment ago; by this machine it would be "3h"


def test_show_tells_what_a_process_is_and_waits_for(busy: Shop) -> None:
    found = busy.json("show", "refund-7")
    assert sorted(found) == [
        "attempt",
        "because",
        "cancel_requested",
        "children",
        "children_count",
        "created_ms",
        "deadline_ms",
        "error",
        "failed_attempts",
        "failed_effect",
        "generation",
        "id",
        "input",
        "kind",
        "label",
        "labels",
        "losses",
        "max_attempts",
        "misfit",
        "name",
        "offered_ms",
        "originator",
        "outcome",
        "owner",
        "parent",
        "places_taken",
        "queue",
        "recorded_effects",
        "recovery",
        "release",
        "runs",
        "runs_again_ms",
        "seen_ms",
        "sequence",
        "session",
        "setbacks",
        "status",
        "trace",
        "unread",
        "updated_ms",
        "version",
        "waiting_for",
        "waits",
        "waits_count",
        "wake_target",
    ]
    [wait] = found["waits"]
    assert found["created_ms"] <= wait.pop("since_ms") <= found["updated_ms"]
    assert wait == {"kind": "signal", "name": "decision", "due_ms": None}
    assert found["input"] == {"type": "engine", "kind": "refund", "payload": {"order": 7}}
    assert (found["recorded_effects"], found["outcome"], found["parent"]) == (1, None, None)
    assert busy.json("show", "the-child")["parent"] == "parent-1"


def test_show_for_people_is_a_line_a_fact(busy: Shop) -> None:
    lines = busy.text("show", "refund-7").splitlines()
    assert "status           waiting" in lines
    assert "waits for        signal decision" in lines
    assert 'input            {"type":"engine","kind":"refund","payload":{"order":7}}' in lines
    created = next(line for line in lines if line.startswith("created "))
    assert created.split()[1] == time.strftime("%Y-%m-%d")


def test_effects_are_what_a_process_has_done(busy: Shop) -> None:
    [first] = busy.json("effects", "refund-7")
    assert (first["n"], first["attempts"], first["status"], first["is_whole"]) == (1, 1, "ok", True)
    assert sorted(first) == [
        "args_hash",
        "attempts",
        "error",
        "failed",
        "is_whole",
        "key",
        "kind",
        "n",
        "name",
        "outcome",
        "recorded_ms",
        "size",
        "started_ms",
        "status",
        "took_ms",
    ]
    [line] = busy.text("effects", "refund-7").splitlines()
    cells = re.split("  +", line)
    assert (cells[0], cells[3], cells[4], cells[5]) == ("1", "1", first["kind"], first["name"])
    assert busy.json("effects", "refund-7", "--after", "1") == []
    assert busy.run("effects", "refund-7", "--limit", "1").stderr == ""


def test_events_are_objects_one_a_line(busy: Shop) -> None:
    found = events_of(busy, "refund-7")
    assert [sorted(event) for event in found] == [
        ["at_ms", "payload", "replay_key", "semantics", "sequence", "type"]
    ] * 2
    assert [(event["sequence"], event["type"]) for event in found] == [(1, "process.started"), (2, "process.waiting")]
    assert found[1]["payload"]["waits"] == [{"kind": "signal", "name": "decision", "ordinal": 1}]
    assert found[0]["payload"] == {name: found[1]["payload"][name] for name in found[0]["payload"]}
    assert list(found[0]["payload"]) == ["claimed_ms", "owner", "release", "attempt"]
    assert [line.split()[4] for line in busy.text("events", "refund-7", "--after", "1").splitlines()] == [
        "process.waiting"
    ]


def test_events_can_be_followed_to_the_end_of_the_process(busy: Shop) -> None:
    following = busy.spawn("events", "refund-7", "-f")
    assert following.stdout is not None
    seen = [following.stdout.readline().split()[4] for _ in range(2)]
    busy.text("signal", "refund-7", "decision", "true")
    busy.work()
    rest, problems = following.communicate(timeout=20)
    seen += [line.split()[4] for line in rest.splitlines()]
    assert seen == ["process.started", "process.waiting", "signal.decision", "process.resumed", "process.completed"]
    assert (following.returncode, problems) == (0, "")


def test_ctrl_c_ends_following_with_130_and_no_traceback(busy: Shop) -> None:
    following = busy.spawn("events", "refund-7", "-f")
    assert following.stdout is not None
    following.stdout.readline()
    following.send_signal(signal.SIGINT)
    _, problems = following.communicate(timeout=20)
    assert (following.returncode, problems.strip()) == (130, "")


def test_waits_names_signals_timers_children_and_approvals(busy: Shop) -> None:
    rows = {row["process_id"]: row for row in busy.json("waits")}
    assert {pid: (row["process_kind"], row["kind"], row["name"]) for pid, row in rows.items()} == {
        "refund-7": ("refund", "signal", "decision"),
        "the-child": ("refund", "signal", "decision"),
        "nap-1": ("nap", "timer", None),
        "parent-1": ("parent", "child", "the-child"),
        "deploy-1": ("deploy", "approval", "deploy"),
    }
    now = time.time() * 1000
    assert 3_500_000 < rows["nap-1"]["due_ms"] - now < 3_600_000
    assert 86_000_000 < rows["deploy-1"]["due_ms"] - now < 86_400_000
    assert rows["refund-7"]["due_ms"] is None
    assert busy.run("waits", "--limit", "1").stdout.count("\n") == 1


@pytest.fixture
def tokyo() -> Iterator[None]:
    """A machine whose own time is not UTC."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_each_time_of_day_is_printed_in_one_form_that_says_its_zone(busy: Shop) -> None:
    due_ms = {row["process_id"]: row["due_ms"] for row in busy.json("waits")}["nap-1"]
    due = datetime.fromtimestamp(due_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    assert f"nap-1  nap  timer  {due}" in [re.sub("  +", "  ", line) for line in busy.text("waits").splitlines()]
    assert f"timer until {due}" in busy.text("show", "nap-1")
    assert re.search(r"^created +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", busy.text("show", "nap-1"), re.M)
    assert re.match(r" +1  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC  process\.", busy.text("events", "nap-1"))
    busy.text("send", "clerk/u1", "hello")
    assert re.search(r"^created: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", busy.text("session", "clerk/u1"), re.M)
    busy.text("session", "clerk/u1", "--delete")
    assert re.search(r"was deleted at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", busy.run("send", "clerk/u1", "hello").stderr)
    assert re.search(r"\n[^\n]*good until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "\n" + busy.text("secret", "rotate"))


# -- sessions


def test_send_creates_a_session_and_the_same_key_is_the_same_input(shop: Shop) -> None:
    assert shop.json("send", "clerk/u1", "hello", "--key", "k1") == {"session": "clerk/u1", "entry": 1}
    assert shop.text("send", "clerk/u1", "hello", "--key", "k1") == "entry 1 of clerk/u1\n"
    assert shop.run("send", "clerk/u1", "-", stdin="from a pipe").exit_code == 0
    assert [row["input"] for row in shop.json("wakes", "clerk/u1")] == ["hello", "from a pipe"]


def test_sessions_lists_the_latest_first_with_these_keys(shop: Shop) -> None:
    shop.text("send", "clerk/u1", "hello")
    time.sleep(0.002)  # order is by the millisecond
    shop.text("send", "clerk/u2", "hello")
    first, second = shop.json("sessions")
    assert (first["id"], second["id"]) == ("clerk/u2", "clerk/u1")
    assert first == {
        "id": "clerk/u2",
        "agent": "clerk",
        "status": "active",
        "entries": 1,
        "pending": 1,
        "revision": 0,
        "turn": first["turn"],
        "turn_status": "queued",
        "frame": None,
        "blocked_by": None,
        "isolating": False,
        "created_ms": first["created_ms"],
        "deleted_ms": None,
        "misfit": None,
        "losses": 0,
        "because": {
            "code": "no_worker",
            "what": "a worker: none is alive",
            "to_do": "start `wakeline worker`",
            "message": "a worker: none is alive; start `wakeline worker`",
        },
        "why": (
            f"turn {first['turn']} is queued, and waits for a worker: none is alive; start `wakeline worker`;"
            f" `wakeline show {first['turn']}` says more"
        ),
    }
    assert first["turn"].startswith("process:turn:")
    shop.work()
    assert [(row["pending"], row["revision"], row["turn"]) for row in shop.json("sessions")] == [(0, 1, None)] * 2
    assert len(shop.run("sessions", "--limit", "1").stdout.splitlines()) == 1


def test_wakes_tell_what_became_of_every_entry(shop: Shop) -> None:
    shop.text("send", "clerk/u1", "hello")
    handle = shop.app.using(id="charge-1", wake="clerk/u1").start(shop.app.registry.startable("charge"), 1, 2)
    shop.work()
    rows = shop.json("wakes", "clerk/u1")
    assert [sorted(row) for row in rows] == [
        [
            "admitted_ms",
            "by",
            "ended_ms",
            "error",
            "event_type",
            "input",
            "kind",
            "n",
            "name",
            "process_id",
            "reason",
            "recorded_ms",
            "sequence",
            "session",
            "state",
            "swallowed",
            "swallowed_wakes",
            "turn",
            "wake_id",
        ]  # fmt: skip
    ] * 2
    assert [(row["n"], row["kind"], row["state"], row["process_id"]) for row in rows] == [
        (1, "input", "settled", None),
        (2, "wake", "settled", handle.id),
    ]
    assert rows[1]["event_type"] == "process.completed"
    assert all(row["turn"].startswith("process:turn:") for row in rows)
    assert len(shop.json("wakes")) == 2
    assert shop.json("wakes", "--undeliverable") == []
    assert [line.split()[:4] for line in shop.text("wakes").splitlines()] == [
        ["clerk/u1", "1", "input", "settled"],
        ["clerk/u1", "2", "wake", "settled"],
    ]


def test_wakes_say_what_no_turn_can_take(shop: Shop) -> None:
    shop.app.store.execute(
        sessions.send(
            starts.SessionAddress("robot/1", "robot", "shop", "salt0000"), '{"kind":"input","input":"hi","at_ms":1}'
        )
    )
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.app.store.execute(processes.retarget("charge-1", "clerk/never-opened"))
    shop.app.store.execute(events.append("charge-1", "wake", "{}", wake=events.WakeText("look")))
    shop.text("send", "clerk/u1", "hello")
    rows = {row["session"]: row["reason"] for row in shop.json("wakes", "--undeliverable")}
    assert rows == {
        "robot/1": "no code here for agent robot",
        "clerk/never-opened": "the session was never opened: send to it, or start something with wake=",
    }


# -- ids


def searches(shop: Shop) -> int:
    return shop.app.store.sent.counts.get("process_list", 0)


def test_an_id_that_exists_means_itself_and_costs_no_search(shop: Shop) -> None:
    for pid in ("refund", "refund-7"):
        shop.text("start", "refund", "[7]", "--id", pid)
    before = searches(shop)
    assert shop.json("show", "refund")["id"] == "refund"
    assert searches(shop) == before
    assert shop.json("show", "refund-")["id"] == "refund-7"
    assert searches(shop) > before


def test_ids_are_found_in_every_status(busy: Shop) -> None:
    assert [busy.json("show", beginning)["status"] for beginning in ("charge", "refund", "archiv")] == [
        "queued",
        "waiting",
        "completed",
    ]


def test_a_beginning_is_found_however_many_processes_are_newer(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "oldest-refund")
    for n in range(300):
        shop.app.using(id=f"charge-{n}").start(shop.app.registry.tools["charge"], 1, 2)
    assert shop.json("show", "oldest")["id"] == "oldest-refund"


def test_an_ambiguous_beginning_names_at_most_ten_candidates(shop: Shop) -> None:
    for n in range(12):
        shop.text("start", "charge", "[1, 2]", "--id", f"charge-{n:02}")
    error = shop.json("show", "charge-", code=2)["error"]
    assert (error["code"], error["fields"]["prefix"]) == ("ambiguous_id", "charge-")
    assert error["fields"]["candidates"][0] == "charge-11 (queued charge)"
    assert len(error["fields"]["candidates"]) == 11
    assert error["fields"]["candidates"][-1] == "and more"


# -- triggers


def test_triggers_are_listed_emitted_and_switched(shop: Shop) -> None:
    assert shop.json("triggers") == []
    app = shop.app
    subscribed = app.trigger("order.paid").subscribe(app.registry.engines["archive"])
    assert [(row["source"], row["name"], row["starts"], row["enabled"]) for row in shop.json("triggers")] == [
        ("order.paid", "archive", "archive", True)
    ]
    receipt = shop.json("triggers", "emit", "order.paid", "{}", "--key", "k1")
    assert (receipt["replayed"], len(receipt["started"]), receipt["failed"]) == (False, 1, [])
    assert shop.text("triggers", "emit", "order.paid", "{}", "--key", "k1") == receipt["started"][0] + "\n"
    conflict = shop.run("triggers", "emit", "order.paid", "7", "--key", "k1")
    assert (conflict.exit_code, conflict.stderr) == (
        5,
        "wakeline: Key 'k1' of 'order.paid' was used for an occurrence with another payload. Emit this one under "
        "another key.\n",
    )
    assert shop.json("triggers", "disable", "order.paid", "archive") == {
        "source": "order.paid",
        "id": subscribed.id,
        "changed": True,
    }
    assert shop.json("triggers", "emit", "order.paid", "{}")["started"] == []
    assert shop.text("triggers", "enable", "order.paid", subscribed.id) == f"{subscribed.id} enabled\n"
    shop.text("triggers", "remove", "order.paid", "archive")
    assert shop.run("triggers", "remove", "order.paid", "archive").exit_code == 3
    assert shop.run("triggers", "remove", "cron", "daily").exit_code == 3


def test_an_occurrence_that_cannot_start_something_exits_1(shop: Shop) -> None:
    app = shop.app
    app.trigger("order.paid").subscribe(app.registry.tools["charge"])
    result = shop.run("triggers", "emit", "order.paid", '{"order": "seven"}')
    assert (result.exit_code, result.stdout) == (1, "")
    assert "starts nothing: invalid_arguments: The arguments do not fit charge" in result.stderr


def test_a_ctrl_c_that_hits_a_finaliser_is_not_lost() -> None:
    # Python drops what a finaliser raises; a client that was given up may be collected at any moment.
    code = (
        "import time; from wakeline_workers import cli\n"
        "class Pool:\n"
        "    def __del__(self): raise KeyboardInterrupt\n"
        "def command():\n"
        "    Pool()\n"
        "    time.sleep(20)\n"
        "cli.cli = command\n"
        "try: cli.main()\n"
        "except KeyboardInterrupt: print('heard')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15, check=False)
    assert (done.stdout, done.stderr) == ("heard\n", "")
