"""What the command line says when something is wrong: one line with what to do, and an exit code for its kind."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import redis
from wakeline import errors
from wakeline_workers.cli.root import exit_code

from tests.e2e.shop import Shop, setting

# -- errors

NOT_JSON = "expected value at line 1 column 1; a text needs quotes of its own, as in '\"yes\"'"
GOLDEN = {
    "unknown engine": (
        ("start", "refnd"),
        2,
        "No engine or tool is named 'refnd'; known: archive, blink, charge, decline, deploy, grind, nap, pack, parent, "
        "refund. "
        "Register it, or include the module that does.",
    ),
    "bad JSON for arguments": (
        ("start", "refund", "{order: 7}"),
        2,
        "The argument object is not usable as JSON: key must be a string at line 1 column 2.",
    ),
    "bad JSON for a payload": (
        ("signal", "refund-7", "decision", "yes"),
        2,
        f"The payload is not usable as JSON: {NOT_JSON}.",
    ),
    "arguments that break the schema": (
        ("start", "pack", '{"lines": [{"sku": "a", "count": 1}, {"sku": "b", "count": "many"}]}'),
        2,
        "The arguments do not fit pack: lines: 1.count: Input should be a valid integer, unable to parse string as "
        "an integer.",
    ),
    "a missing argument": (
        ("start", "refund"),
        2,
        "The arguments do not fit refund: missing a required argument: 'order'.",
    ),
    "an id outside the grammar": (
        ("start", "refund", "[7]", "--id", " "),
        2,
        "' ' is not a process id: it has to match 1 to 200 bytes of printable text, not all of it blank.",
    ),
    "undeclared signal": (
        ("signal", "refund-7", "decison", "true"),
        2,
        "Process 'refund-7' does not declare 'signal.decison'; it declares: signal.decision.",
    ),
    "mistyped signal": (
        ("signal", "refund-7", "decision", '"yes"'),
        2,
        "signal.decision does not fit its schema at $: 'yes' is not of type 'boolean'.",
    ),
    "unknown id": (("show", "nothing-1"), 3, "There is no process 'nothing-1'. Check the id and the namespace."),
    "unknown session": (
        ("wakes", "clerk/nobody"),
        3,
        "There is no session 'clerk/nobody'. Check its key and the namespace; the first input creates it.",
    ),
    "unknown agent": (
        ("send", "clark/u1", "hi"),
        2,
        "There is no agent 'clark' in this app. Declare it with @app.agent, or include its module.",
    ),
    "no session id": (("send", "clerk", "hi"), 2, "'clerk' is not a session id: it has to match <agent>/<key>."),
    "ambiguous beginning": (
        ("show", "refund"),
        2,
        "Several processes begin with 'refund': refund-8 (queued refund), refund-7 (queued refund). Give more"
        " characters of the id.",
    ),
    "forged token": (
        ("resolve", "wt1.WyJyZWZ1bmQtNyIsImkiLCJrIixudWxsXQ.AAAA", "true"),
        3,
        "This await key or token is unknown or revoked. Ask its issuer for a new one.",
    ),
    "conflict": (
        ("start", "refund", "[8]", "--id", "refund-7"),
        5,
        "Process 'refund-7' exists with other content ({existing}, given {given}). Use another id, or send the "
        "same input.",
    ),
    "the same key with another signal": (
        ("signal", "refund-7", "decision", "false", "--key", "k1"),
        5,
        "Replay key 'process:refund-7:signal.decision:k1' of process 'refund-7' was used with other content. Use a "
        "new key for new content.",
    ),
    "signal to an ended process": (
        ("signal", "charge-1", "more"),
        5,
        "Process 'charge-1' has already ended as completed. Start a new one, or `retry` it.",
    ),
}


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
    "no colon": (
        "cli_app",
        (
            "No App at 'cli_app': the name has no module and attribute around a colon. Name it as module:attribute with"
            " -A or WAKELINE_APP."
        ),
    ),
    "no such module": (
        "nosuch:app",
        "No App at 'nosuch:app': No module named 'nosuch'. Name it as module:attribute with -A or WAKELINE_APP.",
    ),
    "no such attribute": (
        "cli_app:shop",
        (
            "No App at 'cli_app:shop': module 'cli_app' has no attribute 'shop'. Name it as module:attribute with -A or"
            " WAKELINE_APP."
        ),
    ),
    "no App": (
        "cli_app:not_an_app",
        (
            "No App at 'cli_app:not_an_app': not_an_app is a dict, not an App. Name it as module:attribute with -A or"
            " WAKELINE_APP."
        ),
    ),
    "a module that raises": (
        "broken:app",
        (
            "No App at 'broken:app': importing it raised ZeroDivisionError at broken.py:2: division by zero. It"
            " was found; correct it."
        ),
    ),
    "a module that imports what is not there": (
        "lacking:app",
        (
            "No App at 'lacking:app': importing it raised ModuleNotFoundError at lacking.py:1: No module named"
            " 'nosuch'. It was found; correct it."
        ),
    ),
    "a module that is no python": (
        "garbled:app",
        (
            "No App at 'garbled:app': importing it raised SyntaxError at garbled.py:1: '(' was never closed"
            " (garbled.py, line 1). It was found; correct it."
        ),
    ),
}


@pytest.mark.parametrize("name", APP_ERRORS)
def test_an_app_that_cannot_be_had_says_why(
    shop: Shop, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, message = APP_ERRORS[name]
    monkeypatch.delenv("WAKELINE_APP")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("import os\nnumber = 1 / 0\n")
    (tmp_path / "lacking.py").write_text("import nosuch\n")
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
    where = shop.url.partition("@")[2]
    try:
        assert answer(f"redis://alice:wrong@{where}", "ps") == (
            2,
            (
                "wakeline: Redis refused the connection or command: invalid username-password pair or user is disabled."
                " Check user, password, ACL and the URL.\n"
            ),
        )
    finally:
        with redis.Redis.from_url(shop.url) as client:
            client.execute_command("ACL", "DELUSER", "alice")
    assert answer("redis://127.0.0.1:1/0", "ps") == (
        69,
        (
            "wakeline: Redis does not answer: Error 111 connecting to 127.0.0.1:1. Connection refused. Check that it"
            " runs and is reachable; the call may be repeated.\n"
        ),
    )
    for command in ("worker", "clock"):
        assert answer("redis://127.0.0.1:1/0", command)[0] == 69
    assert answer("http://127.0.0.1:6379", "ps") == (
        2,
        (
            "wakeline: The URL of Redis cannot be used: the URL must begin with redis://, rediss://, unix://,"
            " sentinel:// or cluster://, not 'http'. Correct REDIS_URL (or the URL that the app was given).\n"
        ),
    )
    missing = (
        "No Redis is configured. Set REDIS_URL (for example redis://localhost:6379/0) and start again; `wakeline dev`"
        " brings a private one."
    )
    assert answer(None, "ps") == (2, f"wakeline: {missing}\n")
    for command in ("worker", "clock", "doctor"):
        assert shop.run(command).exit_code == 2


def test_a_duration_is_checked_before_anything_is_started(shop: Shop) -> None:
    result = shop.run("start", "refund", "[7]", "--id", "refund-7", "--wait", "3 fortnights")
    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        result.stderr.splitlines()[-1]
        == "Error: Invalid value for '--wait': '3 fortnights' is not a duration. Use seconds, or a text such as"
        " '1d12h', '30s', '250ms'."
    )
    assert shop.run("show", "refund-7").exit_code == 3


@pytest.mark.parametrize("n", ["1000000000000000", "9223372036854775807", "99999999999999999999"])
def test_a_number_that_is_too_large_is_wrong_usage_and_says_the_range(shop: Shop, n: str) -> None:
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    for words in (
        ("events", "refund-7", "--after", n),
        ("ps", "--limit", n),
        ("waits", "--limit", n),
        ("sessions", "--limit", n),
        ("wakes", "--limit", n),
    ):
        result = shop.run(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "<=x<=999999999999999" in result.stderr.splitlines()[-1]
    assert shop.run("why", f"refund-7#{n}").exit_code == 2
    assert shop.run("effects", "refund-7", "--after", n).exit_code == 2


def test_words_that_name_nothing_say_so(shop: Shop) -> None:
    shop.text("start", "refund", "[7]", "--id", "日本")
    shop.app.session("clerk", "u1").create()
    assert shop.text("why", "日本").startswith("日本: queued since ")
    said = {
        ("why", "nothing"): (3, "There is no process 'nothing'. Check the id and the namespace."),
        ("redrive", "clerk/u1"): (
            1,
            (
                "No entry blocks session 'clerk/u1': it is idle. `wakeline wakes` names its entries; redrive one by its"
                " number."
            ),
        ),
        ("skip", "clerk/u1"): (
            1,
            (
                "No entry blocks session 'clerk/u1': it is idle. `wakeline wakes` names its entries; redrive one by its"
                " number."
            ),
        ),
        ("why", "clerk/u2"): (
            3,
            "There is no session 'clerk/u2'. Check its key and the namespace; the first input creates it.",
        ),
        ("ps", "--kind", "nosuch"): (
            0,
            "this app has no engine 'nosuch', and the other kinds are tool, session_turn, external",
        ),
        ("ps", "--session", "clerk/u2"): (
            3,
            "There is no session 'clerk/u2'. Check its key and the namespace; the first input creates it.",
        ),
    }
    for words, (code, message) in said.items():
        result = shop.run(*words)
        assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"wakeline: {message}\n")
    for quiet in (
        ("ps", "--kind", "tool"),
        ("ps", "--kind", "refund", "--status", "failed"),
        ("ps", "--session", "clerk/u1"),
    ):
        assert (shop.run(*quiet).stdout, shop.run(*quiet).stderr) == ("", "")


@pytest.mark.parametrize("queues", ["", " ", ","])
def test_a_worker_of_no_queue_is_refused(shop: Shop, queues: str) -> None:
    result = shop.run("worker", "-Q", queues)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        "Error: Invalid value for '-Q' / '--queues' (env var: 'WAKELINE_QUEUES'): It names no queue. Leave it out "
        "to serve all of them.",
    )


def test_columns_stand_below_each_other_beside_wide_characters(shop: Shop) -> None:
    for id in ("日本", "e\u0301e", "abcd"):
        shop.text("start", "refund", "[7]", "--id", id)
    assert sorted(line.partition("queued")[0] for line in shop.text("ps").splitlines()) == [
        "abcd  ",
        "e\u0301e    ",
        "日本  ",
    ]


def test_wrong_usage_is_an_error_object_too(shop: Shop) -> None:
    assert shop.json("ps", "--status", "lost", code=2)["error"]["code"] == "usage"
    assert shop.json("nosuch", code=2)["error"]["message"].startswith("No such command 'nosuch'")
    assert shop.run("ps", "--limit", "0").exit_code == 2
    assert shop.run("worker", "-n", "0").exit_code == 2


def test_a_server_that_evicts_is_refused(shop: Shop) -> None:
    with setting(shop, "maxmemory-policy", "allkeys-lru"):
        result = shop.run("ps")
        assert (result.exit_code, result.stdout) == (2, "")
        assert (
            result.stderr == "wakeline: Redis evicts keys (maxmemory-policy allkeys-lru), which loses durable work. Set"
            " maxmemory-policy to noeviction.\n"
        )


def tree(kind: type[errors.WakelineError] = errors.WakelineError) -> list[type[errors.WakelineError]]:
    return [kind, *(deeper for sub in kind.__subclasses__() for deeper in tree(sub))]


def test_every_error_has_the_exit_code_of_its_kind() -> None:
    codes: dict[int, set[str]] = {}
    for kind in tree():
        if kind.__module__ == "wakeline.errors" and not kind.__subclasses__():
            codes.setdefault(exit_code(kind.__new__(kind)), set()).add(kind.__name__)
    assert codes[3] == {
        "ProcessNotFound",
        "ProcessNoLongerRetained",
        "SessionDeleted",
        "AwaitEventUnknownOrRevoked",
        "EntryNotFound",
        "SubscriptionNotFound",
        "AttachmentNotFound",
        "EventNotFound",
    }  # and ApprovalNotOpen itself, of which one kind is a conflict
    assert exit_code(errors.ApprovalNotOpen(approval="a")) == 3
    assert codes[4] == {"SignalWaitTimeout"}
    assert codes[5] == {
        "ProcessConflict",
        "EffectRepeated",  # a kind of ReplayConflict
        "ProcessAlreadyTerminal",
        "ProcessNotEnded",
        "OccurrenceConflict",
        "SubscriptionChanged",
        "AlreadyRunning",
        "RotationOverlaps",
        "ApprovalAnswered",
        "TokenUsed",
        "CountMoved",
    }
    assert codes[69] == {
        "StoreOutOfMemory",
        "WritesRefused",
        "TlsFailed",
    }  # and RedisUnavailable itself, which the first two are kinds of
    assert {
        "RedisNotConfigured",
        "AppNotFound",
        "InvalidArguments",
        "AmbiguousId",
        "RedisUrlInvalid",
        "UndeclaredEvent",
        "UnknownAgent",
    } <= codes[2]
    assert {"ProcessFailed", "ProcessCancelled", "ProcessAbandoned", "MailboxFull"} <= codes[1]
