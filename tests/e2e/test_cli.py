"""The command line: every command, every exit code, every message that says what to do. A real server; subprocesses where the shell matters."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result
from wakeline import App, errors
from wakeline.embedded import PrivateServer
from wakeline.store import fleet, processes, sessions
from wakeline.store.client import SyncStore
from wakeline.store.connection import FakeBackend
from wakeline_workers.cli import cli
from wakeline_workers.cli.root import exit_code
from wakeline_workers.loop import WorkerLoop

APPS = Path(__file__).parent / "apps"
BIN = Path(sys.executable).parent
MODULE = [sys.executable, "-m", "wakeline_workers.cli"]
SETTINGS = ("REDIS_URL", "REDIS_TLS_URL", "REDISTOGO_URL", "REDISCLOUD_URL", "RQ_KEY_PREFIX", "DYNO")


class Shop:
    """The app of `cli_app` on an emptied server, and a user in front of it."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def app(self) -> App:
        app: App = importlib.import_module("cli_app").app
        return app

    @property
    def redis(self) -> Any:
        return self.app.store.client

    def run(self, *words: str, stdin: str | None = None) -> Result:
        """One command in this process, as if its output were piped."""
        result = CliRunner().invoke(cli, words, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def text(self, *words: str) -> str:
        """What a command that succeeds prints."""
        result = self.run(*words)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def json(self, *words: str, code: int = 0) -> Any:
        """What a command prints with --json."""
        result = self.run("--json", *words)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def work(self) -> None:
        """A worker, until there is nothing left to do."""
        asyncio.run(WorkerLoop(self.app, burst=True).serve())

    def spawn(self, *words: str, **over: Any) -> subprocess.Popen[str]:
        """A command in a process of its own."""
        return subprocess.Popen([*MODULE, *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **over)


@pytest.fixture
def shop(server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    for name in [n for n in os.environ if n.startswith("WAKELINE_") or n in SETTINGS]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WAKELINE_REDIS_URL", server.url)
    monkeypatch.setenv("WAKELINE_APP", "cli_app:app")
    monkeypatch.setenv("WAKELINE_HOLD", "0")
    monkeypatch.setattr(sys, "path", [str(APPS), *sys.path])
    monkeypatch.chdir(APPS)
    monkeypatch.delitem(sys.modules, "cli_app", raising=False)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    yield Shop(server.url)
    if "cli_app" in sys.modules:
        sys.modules.pop("cli_app").app.close()


def until(what: Callable[[], Any], seconds: float = 15) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)
    return found


# -- start ---------------------------------------------------------------------------------------------------------------------------


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
            "fields": {"process_id": "d3", "failure_class": "execution", "failure_code": "ValueError", "failure_message": "order 3 has no card"},
        }
    }


def test_start_with_wait_exits_4_when_it_takes_longer(shop: Shop) -> None:
    result = shop.run("start", "charge", "[1, 2]", "--id", "c1", "--wait", "50ms")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == "c1\nwakeline: Waiting for process c1 timed out. Wait longer, or pass default=.\n"


# -- signal, cancel, resolve -----------------------------------------------------------------------------------------------------------


def test_a_signal_resumes_a_process_and_the_same_key_is_the_same_signal(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    shop.work()
    assert shop.json("signal", "refund-7", "decision", "true", "--key", "k1") == {"id": "refund-7", "sequence": 3}
    assert shop.text("signal", "refund-7", "decision", "true", "--key", "k1") == "signal decision is event 3 of refund-7\n"
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


def test_resolve_answers_an_approval_once(shop: Shop) -> None:
    shop.text("start", "deploy", "--id", "deploy-1")
    shop.work()
    token = next(e["payload"]["token"] for e in events_of(shop, "deploy-1") if e["type"] == "log")
    assert shop.json("resolve", token, "true") == {"accepted": True}
    again = shop.run("resolve", token, "false")
    assert (again.exit_code, again.stdout, again.stderr) == (5, "", "wakeline: This token was answered before, and the first answer stands.\n")
    assert shop.json("resolve", token, "false", code=5) == {"accepted": False}
    shop.work()
    assert shop.json("show", "deploy-1")["outcome"]["value"] is True


# -- looking ---------------------------------------------------------------------------------------------------------------------------


def events_of(shop: Shop, pid: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shop.run("--json", "events", pid).stdout.splitlines()]


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """A refund that waits, a nap, a parent and its child, a deploy that asks, an archive that is done, a charge nobody took."""
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    shop.text("start", "nap", "--id", "nap-1")
    shop.text("start", "parent", "--id", "parent-1")
    shop.text("start", "deploy", "--id", "deploy-1")
    shop.text("start", "archive", "--id", "archive-1")
    shop.work()
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    return shop


def ids(shop: Shop, *words: str) -> list[str]:
    return sorted(row["id"] for row in shop.json("ps", *words))


def test_ps_lists_processes_with_these_keys(busy: Shop) -> None:
    rows = {row["id"]: row for row in busy.json("ps")}
    row = rows["refund-7"]
    assert sorted(row) == ["created_ms", "id", "kind", "label", "owner", "sequence", "status", "updated_ms", "waiting_for"]
    assert (row["status"], row["kind"], row["label"], row["waiting_for"], row["owner"]) == ("waiting", "refund", None, ["decision"], None)
    assert (rows["charge-1"]["kind"], rows["charge-1"]["label"]) == ("tool", "charge")


def test_ps_narrows_by_status_kind_session_and_signal(busy: Shop) -> None:
    busy.text("send", "clerk/u1", "hello")
    [turn] = ids(busy, "--kind", "session_turn")
    assert ids(busy) == sorted(["archive-1", "charge-1", "deploy-1", "nap-1", "parent-1", "refund-7", "the-child", turn])
    assert ids(busy, "--status", "waiting") == ["deploy-1", "nap-1", "parent-1", "refund-7", "the-child"]
    assert ids(busy, "--status", "completed") == ["archive-1"]
    assert "archive-1" not in ids(busy, "--status", "live")
    assert ids(busy, "--kind", "refund") == ["refund-7", "the-child"]
    assert ids(busy, "--kind", "tool") == ["charge-1"]
    assert ids(busy, "--kind", "nobody") == []
    assert ids(busy, "--session", "clerk/u1") == [turn]
    assert ids(busy, "--waiting", "decision") == ["refund-7", "the-child"]
    assert len(busy.json("ps", "--limit", "3")) == 3


def test_piped_output_has_rows_and_nothing_else(busy: Shop) -> None:
    [line] = busy.text("ps", "--status", "completed").splitlines()
    assert line.split() == ["archive-1", "completed", "archive", line.split()[3]]
    assert busy.text("ps", "--kind", "nobody") == ""


def test_show_tells_what_a_process_is_and_waits_for(busy: Shop) -> None:
    found = busy.json("show", "refund-7")
    assert sorted(found) == [
        "cancel_requested", "created_ms", "deadline_ms", "failed_attempts", "generation", "id", "input", "kind", "label", "labels", "losses",
        "outcome", "owner", "parent", "queue", "recorded_effects", "recovery", "sequence", "status", "updated_ms", "waiting_for", "waits", "wake_target",
    ]  # fmt: skip
    assert found["waits"] == [{"kind": "signal", "name": "decision", "due_ms": None}]
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


def test_events_are_objects_one_a_line(busy: Shop) -> None:
    found = events_of(busy, "refund-7")
    assert [sorted(event) for event in found] == [["at_ms", "payload", "replay_key", "semantics", "sequence", "type"]] * 2
    assert [(event["sequence"], event["type"]) for event in found] == [(1, "process.started"), (2, "process.waiting")]
    assert found[1]["payload"] == {"waits": [{"kind": "signal", "name": "decision", "ordinal": 1}]}
    assert [line.split()[3] for line in busy.text("events", "refund-7", "--after", "1").splitlines()] == ["process.waiting"]


def test_events_can_be_followed_to_the_end_of_the_process(busy: Shop) -> None:
    following = busy.spawn("events", "refund-7", "-f")
    assert following.stdout is not None
    seen = [following.stdout.readline().split()[3] for _ in range(2)]
    busy.text("signal", "refund-7", "decision", "true")
    busy.work()
    rest, problems = following.communicate(timeout=20)
    seen += [line.split()[3] for line in rest.splitlines()]
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
    assert busy.text("waits", "--limit", "1").count("\n") == 1


# -- sessions --------------------------------------------------------------------------------------------------------------------------


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
    assert first == {"id": "clerk/u2", "agent": "clerk", "entries": 1, "pending": 1, "revision": 0, "turn": first["turn"]}
    assert first["turn"].startswith("process:turn:")
    shop.work()
    assert [(row["pending"], row["revision"], row["turn"]) for row in shop.json("sessions")] == [(0, 1, None)] * 2
    assert len(shop.text("sessions", "--limit", "1").splitlines()) == 1


def test_wakes_tell_what_became_of_every_entry(shop: Shop) -> None:
    shop.text("send", "clerk/u1", "hello")
    handle = shop.app.using(id="charge-1", wake="clerk/u1").start(shop.app.registry.startable("charge"), 1, 2)
    shop.work()
    rows = shop.json("wakes", "clerk/u1")
    assert [sorted(row) for row in rows] == [
        ["at_ms", "event_type", "input", "kind", "n", "process_id", "reason", "session", "state", "swallowed", "turn"]
    ] * 2
    assert [(row["n"], row["kind"], row["state"], row["process_id"]) for row in rows] == [(1, "input", "settled", None), (2, "wake", "settled", handle.id)]
    assert rows[1]["event_type"] == "process.completed"
    assert all(row["turn"].startswith("process:turn:") for row in rows)
    assert len(shop.json("wakes")) == 2
    assert shop.json("wakes", "--undeliverable") == []
    assert [line.split()[:4] for line in shop.text("wakes").splitlines()] == [["clerk/u1", "1", "input", "settled"], ["clerk/u1", "2", "wake", "settled"]]


def test_wakes_say_what_no_turn_can_take(shop: Shop) -> None:
    shop.app.store.execute(sessions.send(processes.SessionAddress("robot/1", "robot", "shop", "salt0000"), '{"kind":"input","input":"hi","at_ms":1}'))
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.app.store.execute(processes.retarget("charge-1", "clerk/never-opened"))
    shop.app.store.execute(processes.append("charge-1", "wake", "{}", wake=processes.WakeText("look")))
    shop.text("send", "clerk/u1", "hello")
    rows = {row["session"]: row["reason"] for row in shop.json("wakes", "--undeliverable")}
    assert rows == {
        "robot/1": "no code here for agent robot",
        "clerk/never-opened": "the session was never opened: send to it, or start something with wake=",
    }


# -- ids -------------------------------------------------------------------------------------------------------------------------------


def searches(shop: Shop) -> int:
    return shop.app.store.sent.counts.get("process_ids", 0)


@pytest.mark.parametrize("words", [("show",), ("events",), ("cancel",), ("signal", "{}", "decision", "true")])
def test_a_unique_beginning_of_six_characters_is_an_id(shop: Shop, words: tuple[str, ...]) -> None:
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    command, *rest = words if "{}" in words else (*words, "{}")
    assert shop.run(command, *(word.format("refund") for word in rest)).exit_code == 0
    assert shop.run(command, *(word.format("refun") for word in rest)).exit_code == 3


def test_an_id_that_exists_means_itself_and_costs_no_search(shop: Shop) -> None:
    for pid in ("refund", "refund-7"):
        shop.text("start", "refund", "[7]", "--id", pid)
    before = searches(shop)
    assert shop.json("show", "refund")["id"] == "refund"
    assert searches(shop) == before
    assert shop.json("show", "refund-")["id"] == "refund-7"
    assert searches(shop) > before


def test_ids_are_found_in_every_status(busy: Shop) -> None:
    assert [busy.json("show", beginning)["status"] for beginning in ("charge", "refund", "archiv")] == ["queued", "waiting", "completed"]


def test_beginnings_are_searched_among_the_latest_10000_processes(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "oldest-refund")
    shop.redis.zadd("{shop}:idx:queued", {"oldest-refund": 1})
    shop.redis.zadd("{shop}:idx:completed", {f"done-{n}": 1000 + n for n in range(9_999)})
    assert shop.json("show", "oldest")["id"] == "oldest-refund"
    shop.redis.zadd("{shop}:idx:failed", {"failed-1": 2000})
    assert shop.run("show", "oldest").exit_code == 3


def test_an_ambiguous_beginning_names_at_most_ten_candidates(shop: Shop) -> None:
    for n in range(12):
        shop.text("start", "charge", "[1, 2]", "--id", f"charge-{n:02}")
    error = shop.json("show", "charge-", code=2)["error"]
    assert (error["code"], error["fields"]["prefix"]) == ("ambiguous_id", "charge-")
    assert len(error["fields"]["candidates"]) == 11
    assert error["fields"]["candidates"][-1] == "and 2 more"


# -- errors ----------------------------------------------------------------------------------------------------------------------------

NOT_JSON = "expected value at line 1 column 1; a text needs quotes of its own, as in '\"yes\"'"
GOLDEN = {
    "unknown engine": (
        ("start", "refnd"), 2,
        "No engine or tool is named 'refnd'; known: archive, blink, charge, decline, deploy, nap, pack, parent, refund. "
        "Register it, or include the module that does.",
    ),
    "bad JSON for arguments": (("start", "refund", "{order: 7}"), 2,
        "The argument object is not usable as JSON: key must be a string at line 1 column 2."),
    "bad JSON for a payload": (("signal", "refund-7", "decision", "yes"), 2, f"The payload is not usable as JSON: {NOT_JSON}."),
    "arguments that break the schema": (
        ("start", "pack", '{"lines": [{"sku": "a", "count": 1}, {"sku": "b", "count": "many"}]}'), 2,
        "The arguments do not fit pack: lines: 1.count: Input should be a valid integer, unable to parse string as an integer.",
    ),
    "a missing argument": (("start", "refund"), 2, "The arguments do not fit refund: missing a required argument: 'order'."),
    "an id outside the grammar": (
        ("start", "refund", "[7]", "--id", "refund 7"), 2,
        "'refund 7' is not a process id: it has to match [A-Za-z0-9][A-Za-z0-9._:~-]{0,127}.",
    ),
    "undeclared signal": (
        ("signal", "refund-7", "decison", "true"), 2,
        "Process 'refund-7' does not declare 'signal.decison'; it declares: signal.decision.",
    ),
    "mistyped signal": (
        ("signal", "refund-7", "decision", '"yes"'), 2,
        "signal.decision does not fit its schema at $: 'yes' is not of type 'boolean'.",
    ),
    "unknown id": (("show", "nothing-1"), 3, "There is no process 'nothing-1'. Check the id and the namespace."),
    "unknown session": (("wakes", "clerk/nobody"), 3, "There is no session 'clerk/nobody'. Send to it to create it."),
    "unknown agent": (("send", "clark/u1", "hi"), 2, "There is no agent 'clark' in this app. Declare it with @app.agent, or include its module."),
    "no session id": (("send", "clerk", "hi"), 2, "'clerk' is not a session id: it has to match <agent>/<key>."),
    "ambiguous beginning": (
        ("show", "refund"), 2,
        "Several processes begin with 'refund': refund-8, refund-7. Give more characters of the id.",
    ),
    "forged token": (
        ("resolve", "wt1.WyJyZWZ1bmQtNyIsImkiLCJrIixudWxsXQ.AAAA", "true"), 3,
        "This await key or token is unknown or revoked. Ask its issuer for a new one.",
    ),
    "conflict": (
        ("start", "refund", "[8]", "--id", "refund-7"), 5,
        "Process 'refund-7' exists with other content ({existing}, given {given}). Use another id, or send the same input.",
    ),
    "the same key with another signal": (
        ("signal", "refund-7", "decision", "false", "--key", "k1"), 5,
        "Replay key 'process:refund-7:signal.decision:k1' of process 'refund-7' was used with other content. Use a new key for new content.",
    ),
    "signal to an ended process": (
        ("signal", "charge-1", "more"), 5,
        "Process 'charge-1' has already ended as completed. Start a new one, or `retry` it.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_an_error_is_one_line_with_what_to_do_and_a_code(shop: Shop, name: str) -> None:
    words, code, message = GOLDEN[name]
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.work()
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    time.sleep(0.002)  # candidates are named latest first
    shop.text("start", "refund", "[8]", "--id", "refund-8")
    shop.text("signal", "refund-7", "decision", "true", "--key", "k1")
    result = shop.run(*words)
    if name == "conflict":
        fields = shop.json(*words, code=5)["error"]["fields"]
        message = message.format(**fields)
        assert len(fields["existing"]) == len(fields["given"]) == 16
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"wakeline: {message}\n")
    assert shop.json(*words, code=code)["error"]["message"] == message


APP_ERRORS = {
    "no app given": (None, "No App at '': none was named. Name it as module:attribute with -A or WAKELINE_APP."),
    "no colon": ("cli_app", "No App at 'cli_app': the name has no module and attribute around a colon. Name it as module:attribute with -A or WAKELINE_APP."),
    "no such module": ("nosuch:app", "No App at 'nosuch:app': No module named 'nosuch'. Name it as module:attribute with -A or WAKELINE_APP."),
    "no such attribute": (
        "cli_app:shop",
        "No App at 'cli_app:shop': module 'cli_app' has no attribute 'shop'. Name it as module:attribute with -A or WAKELINE_APP.",
    ),
    "no App": (
        "cli_app:not_an_app",
        "No App at 'cli_app:not_an_app': not_an_app is a dict, not an App. Name it as module:attribute with -A or WAKELINE_APP.",
    ),
    "a module that raises": (
        "broken:app",
        "No App at 'broken:app': importing it raised ZeroDivisionError at broken.py:2: division by zero. "
        "Name it as module:attribute with -A or WAKELINE_APP.",
    ),
    "a module that is no python": (
        "garbled:app",
        "No App at 'garbled:app': importing it raised SyntaxError at garbled.py:1: '(' was never closed (garbled.py, line 1). "
        "Name it as module:attribute with -A or WAKELINE_APP.",
    ),
}


@pytest.mark.parametrize("name", APP_ERRORS)
def test_an_app_that_cannot_be_had_says_why(shop: Shop, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, message = APP_ERRORS[name]
    monkeypatch.delenv("WAKELINE_APP")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("import os\nnumber = 1 / 0\n")
    (tmp_path / "garbled.py").write_text("app = App(\n")
    for word in ("ps", "worker", "doctor"):
        result = shop.run(*(("-A", target) if target else ()), word)
        assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"wakeline: {message}\n")


def test_a_redis_that_cannot_be_used_says_why(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(url: str | None, *words: str) -> tuple[int, str]:
        sys.modules.pop("cli_app").app.close()
        monkeypatch.setenv("WAKELINE_REDIS_URL", url) if url else monkeypatch.delenv("WAKELINE_REDIS_URL")
        result = shop.run(*words)
        assert result.stdout == ""
        return result.exit_code, result.stderr

    shop.redis.execute_command("ACL", "SETUSER", "alice", "on", ">secret", "~*", "+@all")
    where = shop.url.removeprefix("redis://")
    try:
        assert answer(f"redis://alice:wrong@{where}", "ps") == (
            2,
            "wakeline: Redis refused the connection or command: invalid username-password pair or user is disabled. Check user, password, ACL and the URL.\n",
        )
    finally:
        with redis.Redis.from_url(shop.url) as client:
            client.execute_command("ACL", "DELUSER", "alice")
    assert answer("redis://127.0.0.1:1/0", "ps") == (
        69,
        "wakeline: Redis does not answer: Error 111 connecting to 127.0.0.1:1. Connection refused. Check that it runs and is reachable; "
        "the call may be repeated.\n",
    )
    assert answer("http://127.0.0.1:6379", "ps") == (
        2,
        "wakeline: Redis refused the connection or command: the URL must begin with redis://, rediss:// or unix://, not 'http'. "
        "Check user, password, ACL and the URL.\n",
    )
    missing = "No Redis is configured. Set REDIS_URL (for example redis://localhost:6379/0) and start again; `wakeline dev` brings a private one."
    assert answer(None, "ps") == (2, f"wakeline: {missing}\n")
    for command in ("worker", "clock", "doctor"):
        assert shop.run(command).exit_code == 2


def test_a_duration_is_checked_before_anything_is_started(shop: Shop) -> None:
    result = shop.run("start", "refund", "[7]", "--id", "refund-7", "--wait", "3 fortnights")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == (
        "Error: Invalid value for '--wait': '3 fortnights' is not a duration. Use a timedelta, seconds, or a text such as '1d12h', '30s', '250ms'."
    )
    assert shop.run("show", "refund-7").exit_code == 3


def test_wrong_usage_is_an_error_object_too(shop: Shop) -> None:
    assert shop.json("ps", "--status", "lost", code=2)["error"]["code"] == "usage"
    assert shop.json("nosuch", code=2)["error"]["message"].startswith("No such command 'nosuch'")
    assert shop.run("ps", "--limit", "0").exit_code == 2
    assert shop.run("worker", "-n", "0").exit_code == 2


def test_a_server_that_evicts_is_refused(shop: Shop) -> None:
    with setting(shop, "maxmemory-policy", "allkeys-lru"):
        result = shop.run("ps")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == (
            "wakeline: Redis evicts keys (maxmemory-policy allkeys-lru), which loses durable work. Set maxmemory-policy to noeviction.\n"
        )


def tree(kind: type[errors.WakelineError] = errors.WakelineError) -> list[type[errors.WakelineError]]:
    return [kind, *(deeper for sub in kind.__subclasses__() for deeper in tree(sub))]


def test_every_error_has_the_exit_code_of_its_kind() -> None:
    codes: dict[int, set[str]] = {}
    for kind in tree():
        if kind.__module__ == "wakeline.errors" and not kind.__subclasses__():
            codes.setdefault(exit_code(kind.__new__(kind)), set()).add(kind.__name__)
    assert codes[3] == {"ProcessNotFound", "ProcessNoLongerRetained", "SessionNotFound", "AwaitEventUnknownOrRevoked"}
    assert codes[4] == {"WaitTimeout"}
    assert codes[5] == {"ProcessConflict", "ReplayConflict", "ProcessAlreadyTerminal"}
    assert codes[69] == {"RedisUnavailable", "TlsFailed"}
    assert {"RedisNotConfigured", "AppNotFound", "InvalidArguments", "AmbiguousId", "RedisRefused", "UndeclaredEvent", "UnknownAgent"} <= codes[2]
    assert {"ProcessFailed", "ProcessCancelled", "ProcessAbandoned", "StoreOutOfMemory", "MailboxFull"} <= codes[1]


# -- the shell ---------------------------------------------------------------------------------------------------------------------------


def test_app_and_json_may_stand_before_or_after_the_command(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAKELINE_APP")
    for words in (["-A", "cli_app:app", "--json", "ps"], ["ps", "-A", "cli_app:app", "--json"], ["--json", "ps", "--app", "cli_app:app"]):
        assert shop.run(*words).stdout == "[]\n"


def test_every_command_takes_app_and_json_and_a_variable_for_every_option(shop: Shop) -> None:
    expected = ["cancel", "clock", "completion", "demo", "dev", "doctor", "events", "ps", "resolve", "send", "sessions", "show", "signal", "start",
                "version", "waits", "wakes", "worker"]  # fmt: skip
    assert sorted(cli.commands) == expected
    for name, command in cli.commands.items():
        described = shop.run(name, "--help").stdout
        assert "-A, --app MODULE:APP" in described, name
        assert "--json" in described, name
        own = [p for p in command.params if p.param_type_name == "option" and p.name not in ("app", "json")]
        assert described.replace("\n", " ").count("var:") == len(own), name


def test_options_come_from_their_variables(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_JSON", "1")
    monkeypatch.setenv("WAKELINE_START_ID", "from-the-environment")
    monkeypatch.setenv("WAKELINE_PS_LIMIT", "1")
    assert json.loads(shop.text("start", "refund", "[7]")) == {"id": "from-the-environment"}
    monkeypatch.delenv("WAKELINE_START_ID")
    shop.text("start", "refund", "[7]")
    assert len(json.loads(shop.text("ps"))) == 1


@pytest.mark.parametrize("program", [[str(BIN / "wakeline")], [str(BIN / "wl")], MODULE], ids=["wakeline", "wl", "python -m"])
def test_every_entry_point_works(shop: Shop, program: list[str]) -> None:
    done = subprocess.run([*program, "version", "--json"], capture_output=True, text=True, check=True)
    assert sorted(json.loads(done.stdout)) == ["format", "python", "redis", "rq", "wakeline"]
    missing = subprocess.run([*program, "show", "nothing-1"], capture_output=True, text=True, check=False)
    assert (missing.returncode, missing.stdout) == (3, "")
    assert missing.stderr == "wakeline: There is no process 'nothing-1'. Check the id and the namespace.\n"


def test_a_terminal_gets_headings_and_a_word_about_nothing(shop: Shop) -> None:
    def in_a_terminal(*words: str) -> list[str]:
        output = bytearray()

        def read(fd: int) -> bytes:
            data = os.read(fd, 1024)
            output.extend(data)
            return data

        # pytest's capture has replaced the descriptors; a child of a terminal of its own is the only true test.
        code = pty.spawn([*MODULE, *words], read, lambda _: b"")
        assert code == 0
        return output.decode().replace("\r\n", "\n").splitlines()

    assert in_a_terminal("ps") == ["no processes"]
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    heading, row = in_a_terminal("ps")
    assert heading.split() == ["ID", "STATUS", "KIND", "AGE", "WAITING", "FOR"]
    assert row.split()[:3] == ["refund-7", "queued", "refund"]


def test_a_reader_that_leaves_early_causes_no_traceback(shop: Shop) -> None:
    for n in range(3):
        shop.text("start", "charge", "[1, 2]", "--id", f"charge-{n}")
    line = " ".join([*MODULE, "ps"]) + " | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert (done.stdout.split()[1], done.stderr) == ("queued", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_both_names(shop: Shop, shell: str) -> None:
    script = shop.run("completion", shell).stdout
    assert f"_WAKELINE_COMPLETE={shell}_complete" in script
    assert f"_WL_COMPLETE={shell}_complete" in script


def test_completion_knows_commands_bodies_and_ids(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "refund-7")

    def offered(words: str) -> list[str]:
        env = os.environ | {"_WAKELINE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        done = subprocess.run([str(BIN / "wakeline")], env=env, capture_output=True, text=True, check=False)
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    assert offered("wakeline sh") == ["show"]
    assert offered("wakeline start re") == ["refund"]
    assert offered("wakeline show ref") == ["refund-7"]
    assert offered("wakeline -A nosuch:app show ref") == []


# -- doctor ------------------------------------------------------------------------------------------------------------------------------


@contextmanager
def setting(shop: Shop, name: str, value: str) -> Iterator[None]:
    with redis.Redis.from_url(shop.url) as client:
        before = client.config_get(name)
        client.config_set(name, value)
        try:
            yield
        finally:
            for key, old in before.items():
                client.config_set(key, old)


def found(shop: Shop, *words: str, code: int) -> dict[str, tuple[str, str]]:
    """Level and message of doctor's findings, the last of each code."""
    return {one["code"]: (one["level"], one["message"]) for one in shop.json("doctor", *words, code=code)["findings"]}


def listen(shop: Shop, owner: str, *queues: str, lease_ms: int = 60_000) -> None:
    """A worker start, as its supervisor registers it."""
    shop.app.store.execute(fleet.register_owner(owner, queues, lease_ms=lease_ms))


def test_doctor_of_an_idle_namespace_has_nothing_to_do(shop: Shop) -> None:
    report = shop.json("doctor")
    assert sorted(report) == ["findings", "namespace", "ok", "owners", "queues", "server", "threads_left_behind"]
    assert sorted(report["server"]) == ["aof", "clock_difference_ms", "eviction", "fsync", "limit_bytes", "product", "replicas", "role", "used_bytes",
                                        "version", "where"]  # fmt: skip
    assert report["namespace"] == {
        "format": "1",
        "rq_prefix": "rq",
        "counts": {"queued": 0, "running": 0, "waiting": 0, "completed": 0, "failed": 0, "cancelled": 0, "abandoned": 0},
        "timers": 0,
    }
    assert report["queues"] == [
        {"name": "shop", "length": 0, "idle": 0, "workers": []},
        {"name": "shop.slow", "length": 0, "idle": 0, "workers": []},
    ]
    assert [sorted(one) for one in report["findings"]] == [["code", "level", "message", "stops_release"]] * len(report["findings"])
    assert report["ok"] is True
    lines = shop.text("doctor").splitlines()
    assert len(lines) == len(report["findings"])
    assert "ok       maxmemory-policy noeviction: nothing durable is ever evicted" in lines
    assert "ok       AOF is on, appendfsync everysec: a crash of the server loses nothing acknowledged, a power failure up to 2 s" in lines
    assert "note     primary without replicas: its disk is the only copy" in lines


def test_doctor_fails_for_work_without_a_worker_but_a_release_goes_on(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    problem = "1 process and no worker alive: nothing runs and no timer fires; start `wakeline worker`"
    assert found(shop, code=1)["workers"] == ("problem", problem)
    assert found(shop, "--release", code=0)["workers"] == ("problem", problem)
    listen(shop, "o_1", "shop")
    assert found(shop, code=0)["workers"] == ("ok", "1 worker alive, 0 running in them")
    assert shop.json("doctor")["queues"][0] == {"name": "shop", "length": 1, "idle": 0, "workers": ["o_1"]}


def test_doctor_names_the_queue_nobody_takes_from(shop: Shop) -> None:
    listen(shop, "o_1", "shop", "shop.slow")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1", "--queue", "night")
    assert found(shop, code=1)["queue"] == (
        "problem",
        "queue shop.night: 1 doorbell, 0 workers, 0 idle; nobody takes from it: start `wakeline worker -Q night`",
    )


def test_doctor_names_owners_that_expired(shop: Shop) -> None:
    listen(shop, "o_1", "shop", lease_ms=1)
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.app.store.execute(fleet.take("o_1", "r1", ["shop"], 1, lease_ms=1))
    time.sleep(0.01)
    seen = found(shop, code=1)
    assert seen["expired"] == (
        "warning",
        "owner o_1 has not been heard of for 0 s and holds 1; nobody ticks: start `wakeline worker` or `wakeline clock`",
    )
    assert seen["workers"][1].startswith("1 process and no worker alive")
    listen(shop, "o_2", "shop")
    assert found(shop, code=0)["expired"][1].endswith("the next tick gives them away")
    owners = shop.json("doctor")["owners"]
    assert [(owner["id"], owner["alive"], owner["holds"]) for owner in owners] == [("o_1", False, 1), ("o_2", True, 0)]


def test_doctor_names_the_cause_of_doorbells_that_a_stock_worker_failed(shop: Shop) -> None:
    listen(shop, "o_1", "shop")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    subprocess.run([sys.executable, "-m", "rq.cli", "worker", "--burst", "--url", shop.url, "shop"], capture_output=True, check=False, timeout=60)
    shop.app.store.execute(fleet.tick(beat_ms=2000, lease_ms=5000, stale_ms=0, retention_ms=10**9, tombstone_ms=10**9))
    assert found(shop, code=1)["doorbells"] == (
        "problem",
        "nobody answers the doorbells of charge-1; RQ took them and failed: a stock worker needs `-S json` and WAKELINE_APP",
    )


def test_doctor_names_doorbells_that_were_popped_and_lost(shop: Shop) -> None:
    listen(shop, "o_1", "shop")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.redis.delete("rq:queue:shop")
    shop.app.store.execute(fleet.tick(beat_ms=2000, lease_ms=5000, stale_ms=0, retention_ms=10**9, tombstone_ms=10**9))
    assert found(shop, code=1)["doorbells"][1] == (
        "nobody answers the doorbells of charge-1; they were popped and lost, as a killed stock worker does, or the workers are behind: look at their logs"
    )


def test_doctor_names_code_that_is_not_here(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old_release.py").write_text('from wakeline import App\napp = App("shop")\n')
    listen(shop, "o_1", "shop", "shop.slow")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    shop.text("start", "refund", "[8]", "--id", "refund-8")
    shop.text("send", "clerk/u1", "hello")
    assert "code" not in found(shop, code=0)
    monkeypatch.chdir(tmp_path)
    report = shop.json("-A", "old_release:app", "doctor", code=1)
    missing = sorted(one["message"].partition(";")[0] for one in report["findings"] if one["code"] == "code")
    [turn] = ids(shop, "--kind", "session_turn")
    assert missing == [
        f"no code here for agent 'clerk', needed by {turn}",
        "no code here for engine 'refund', needed by refund-7, refund-8",
        "no code here for tool 'charge', needed by charge-1",
    ]


def test_doctor_stops_a_release_for_an_eviction_policy(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with setting(shop, "maxmemory-policy", "allkeys-lru"):
        for words in ([], ["--release"]):
            assert found(shop, *words, code=1)["eviction"] == (
                "problem",
                "maxmemory-policy allkeys-lru loses durable work, and workers refuse to start; set noeviction",
            )
        sys.modules.pop("cli_app").app.close()
        monkeypatch.setenv("WAKELINE_ALLOW_EVICTION", "1")
        assert found(shop, "--release", code=0)["eviction"][0] == "warning"


def test_doctor_stops_a_release_that_is_older_than_the_keys(shop: Shop) -> None:
    shop.redis.hset("{shop}:meta", "format", "2")
    for words in ([], ["--release"]):
        assert found(shop, *words, code=1)["format"] == ("problem", "keys have format 2, this release writes 1; deploy a release that knows 2")


def test_doctor_stops_a_release_when_redis_is_away(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAKELINE_REDIS_URL", "redis://127.0.0.1:1/0")
    assert shop.json("doctor", "--release", code=69)["error"]["code"] == "redis_unavailable"


def test_doctor_sees_another_rq_prefix(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.text("ps")
    sys.modules.pop("cli_app").app.close()
    monkeypatch.setenv("RQ_KEY_PREFIX", "other")
    assert found(shop, code=1)["rq_prefix"] == (
        "problem",
        "doorbells are under RQ prefix 'rq', this client uses 'other'; set RQ_KEY_PREFIX=rq everywhere",
    )


def test_doctor_reads_how_the_server_keeps_its_data(shop: Shop) -> None:
    with setting(shop, "appendfsync", "no"):
        assert found(shop, code=0)["aof"][0] == "warning"
    with setting(shop, "appendonly", "no"):
        assert found(shop, code=0)["aof"] == (
            "warning",
            "AOF is off: a restart of the server loses what happened since its last snapshot; set appendonly yes",
        )


def test_what_a_server_does_not_tell_is_not_known() -> None:
    app = App("shop", backend=FakeBackend())
    facts = fleet.server_facts(SyncStore(app.backend, app.address).info())
    assert facts == fleet.ServerFacts()


# -- processes that serve ------------------------------------------------------------------------------------------------------------------


def test_worker_runs_what_there_is_and_ends_in_burst_mode(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    done = subprocess.run([*MODULE, "worker", "-n", "2", "--burst", "-c", "4"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[0].startswith("wakeline: 2 workers of shop on redis://127.0.0.1:")
    assert shop.json("show", "charge-1")["status"] == "completed"


def test_worker_takes_only_from_the_queues_it_is_given(shop: Shop) -> None:
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    shop.text("start", "archive", "--id", "archive-1")
    assert subprocess.run([*MODULE, "worker", "-Q", "slow", "--burst"], capture_output=True, timeout=60, check=False).returncode == 0
    assert [shop.json("show", pid)["status"] for pid in ("archive-1", "charge-1")] == ["completed", "queued"]
    assert shop.run("worker", "-Q", "no such queue", "--burst").exit_code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_serves_until_it_is_told_to_stop(shop: Shop, number: int) -> None:
    serving = shop.spawn("worker")
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    until(lambda: shop.json("show", "charge-1")["status"] == "completed")
    serving.send_signal(number)
    assert serving.wait(30) == 0


def test_clock_only_ticks(shop: Shop) -> None:
    shop.text("start", "blink", "--id", "blink-1")
    shop.work()
    assert shop.json("show", "blink-1")["status"] == "waiting"
    ticking = shop.spawn("clock")
    until(lambda: shop.json("show", "blink-1")["status"] == "queued")
    ticking.send_signal(signal.SIGTERM)
    output, problems = ticking.communicate(timeout=30)
    assert (ticking.returncode, output) == (0, "")
    assert problems.startswith("wakeline: clock of shop on redis://127.0.0.1:")
    assert shop.json("show", "blink-1")["status"] == "queued"


def test_demo_runs_and_answers_in_json(shop: Shop) -> None:
    done = subprocess.run([*MODULE, "--json", "demo"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"ok": True}
    assert "kill: SIGKILL" in done.stderr
