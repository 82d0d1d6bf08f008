"""Log entries as JSON and as text, and the choice between them."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from wakeline.errors import SettingsInvalid
from wakeline.logs import LONGEST, JsonFormatter, ProcessFilter, TextFormatter, configure, is_json, is_ours
from wakeline_workers.said import say

AT = 1_700_000_000.123


def record(msg: str, *args: Any, name: str = "shop.orders", **attributes: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, __file__, 1, msg, args, None)
    made.created = AT
    vars(made).update(attributes)
    return made


def test_an_entry_is_one_object_with_its_time_level_logger_and_text() -> None:
    assert JsonFormatter().format(record("order %d\nis late", 7)) == (
        '{"ts": "2023-11-14T22:13:20.123Z", "level": "WARNING", "logger": "shop.orders", "msg": "order 7\\nis late"}'
    )


def test_what_an_entry_was_given_as_extra_is_a_field_of_its_own() -> None:
    found = json.loads(JsonFormatter().format(record("paid", amount=3, of=object, ts="forged")))
    assert (found["amount"], found["of"], found["ts"]) == (3, "<class 'object'>", "2023-11-14T22:13:20.123Z")


def test_a_traceback_is_a_field() -> None:
    try:
        raise ValueError("no such card")
    except ValueError:
        failed = record("charge", exc_info=sys.exc_info())
    found = json.loads(JsonFormatter().format(failed))
    assert found["exc"].startswith("Traceback (most recent call last):")
    assert found["exc"].endswith("ValueError: no such card")


@pytest.mark.parametrize("letter", ["x", "é", "日", "👨", "\x1b", "\ud800", '"'])
def test_a_long_entry_is_cut_and_stays_an_object(letter: str) -> None:
    line = JsonFormatter().format(record(letter * 30_000, also=letter * 20_000))
    length = len(line.encode("utf-8", "backslashreplace"))
    assert LONGEST / 3 < length <= LONGEST
    assert json.loads(line)["msg"].endswith(" … (cut)")


def test_no_byte_that_a_terminal_obeys_is_in_an_entry() -> None:
    line = JsonFormatter().format(record("\x1b]0;owned\x07\u202e\u2028"))
    assert json.loads(line)["msg"] == "\x1b]0;owned\x07\u202e\u2028"
    assert line.isprintable()


def test_text_names_the_process_of_a_body_and_leaves_it_to_our_own_words() -> None:
    facts = {"process_id": "refund-7"}
    assert TextFormatter().format(record("begins", wakeline_process=facts)) == (
        "2023-11-14 22:13:20.123 UTC WARNING shop.orders [refund-7] begins"
    )
    ours = record("refund-7: no such card", name="wakeline.runner", wakeline_process=facts)
    assert TextFormatter().format(ours) == (
        "2023-11-14 22:13:20.123 UTC WARNING wakeline.runner refund-7: no such card"
    )


def test_a_record_from_nowhere_has_no_process() -> None:
    made = record("idle")
    assert ProcessFilter().filter(made)
    assert json.loads(JsonFormatter().format(made)).keys() == {"ts", "level", "logger", "msg"}


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("wakeline", True),
        ("wakeline.runner", True),
        ("wakeline_workers.loop", True),
        ("wakeline.body.refund", False),
        ("wakelines", False),
        ("shop", False),
    ],
)
def test_the_loggers_of_bodies_and_of_users_are_not_ours(name: str, ours: bool) -> None:
    assert is_ours(name) is ours


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("chosen", "stream", "found"),
    [
        (None, Terminal(), False),
        (None, io.StringIO(), True),
        ("auto", io.StringIO(), True),
        ("text", io.StringIO(), False),
        ("json", Terminal(), True),
    ],
)
def test_entries_are_text_on_a_terminal_and_json_elsewhere(
    chosen: str | None, stream: io.StringIO, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if chosen is None:
        monkeypatch.delenv("WAKELINE_LOG_FORMAT")
    else:
        monkeypatch.setenv("WAKELINE_LOG_FORMAT", chosen)
    assert is_json(stream) is found


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """The root logger without a handler, also without those of pytest."""
    found = logging.getLogger()
    handlers, level = found.handlers, found.level
    found.handlers = []
    yield found
    found.handlers = handlers
    found.setLevel(level)


def test_a_program_configures_the_same_entries() -> None:
    out = io.StringIO()
    with bare_root():
        configure("INFO", "json", out)
        logging.getLogger("shop").info("open")
        logging.getLogger("shop").debug("not said")
    assert [json.loads(line)["msg"] for line in out.getvalue().splitlines()] == ["open"]


def test_handlers_of_a_program_are_left_alone() -> None:
    own = logging.NullHandler()
    with bare_root() as root:
        root.addHandler(own)
        configure("INFO", "json", io.StringIO())
        assert root.handlers == [own]


def test_another_format_is_refused() -> None:
    with bare_root() as root:
        with pytest.raises(SettingsInvalid, match="it is one of auto, text, json"):
            configure(format="xml")  # type: ignore[arg-type]
        assert root.handlers == []


def test_what_a_supervisor_says_is_an_entry_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say("2 workers")
    monkeypatch.setenv("WAKELINE_LOG_FORMAT", "json")
    say("3 workers")
    text, line = capsys.readouterr().err.splitlines()
    assert text == "wakeline: 2 workers"
    found = json.loads(line)
    assert (found["level"], found["logger"], found["msg"]) == ("WARNING", "wakeline.supervisor", "3 workers")


class Broken:
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


def nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


@pytest.mark.parametrize(
    "extra",
    [
        {"of": Broken()},
        {"of": {Broken(): 1}},
        {"of": 10**5000},
        {"of": nested(100_000)},
        {"of": float("nan")},
        {f"k{n}": n for n in range(2_000)},
        {"k" * 20_000: 1},
    ],
    ids=["object", "key", "integer", "nested", "nan", "many", "long name"],
)
def test_no_extra_loses_an_entry_or_leaves_the_logger(extra: dict[str, Any]) -> None:
    line = JsonFormatter().format(record("paid", **extra))
    found = json.loads(line, parse_constant=lambda word: pytest.fail(word))
    assert (found["msg"], len(line) <= LONGEST) == ("paid", True)


def test_the_process_stays_when_thousands_of_fields_are_left_out() -> None:
    extra: dict[str, Any] = {f"k{n}": n for n in range(20_000)}
    found = json.loads(JsonFormatter().format(record("paid", wakeline_process={"process_id": "refund-7"}, **extra)))
    assert list(found)[:5] == ["ts", "level", "logger", "msg", "process_id"]
    assert 5 < len(found) < 500


def test_an_entry_whose_every_text_takes_many_bytes_comes_to_an_end() -> None:
    facts = {f"fact {n}": "\U000e0041" * 30 for n in range(40)}
    assert len(JsonFormatter().format(record("paid", wakeline_process=facts))) <= LONGEST


def test_a_bearer_token_is_masked_in_an_entry_of_any_logger() -> None:
    token = "wt1.cHJvY2Vzcw.c2xvdA.c2lnbmF0dXJl"
    line = JsonFormatter().format(record("answer with %s", token, also=token))
    assert (json.loads(line)["msg"], json.loads(line)["also"]) == ("answer with wt1.…", "wt1.…")
    assert "cHJvY2Vzcw" not in line


@pytest.mark.parametrize(("msg", "args"), [("%d", ("x",)), ("%s and %s", ("x",)), ("%s", (Broken(),)), (Broken(), ())])
def test_a_text_whose_arguments_do_not_fit_is_an_entry_that_says_so(msg: Any, args: tuple[Any, ...]) -> None:
    found = json.loads(JsonFormatter().format(record(msg, *args)))
    assert "do not fit" in found["msg"]


def test_an_exception_that_has_no_text_is_an_entry() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    try:
        raise Silent
    except Silent:
        failed = record("charge", exc_info=sys.exc_info())
    assert json.loads(JsonFormatter().format(failed))["msg"] == "charge"
