"""What a terminal or a log shows of the text of others: nothing in it is obeyed, and nothing looks like a line of its
own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline.errors import InvalidId, ProcessConflict
from wakeline.logs import TextFormatter
from wakeline.shown import Lines, logger, moment, shown, shown_entry, shown_json, shown_lines
from wakeline_workers.cli.root import Console

EVIL = "\x1b]0;owned\x07\x9b31m\u202ebidi\u2028\x85\r\n2026-01-01 00:00:00,000 ERROR wakeline.runner forged"
SAFE = "\\x1b]0;owned\\x07\\x9b31m\\u202ebidi\\u2028\\x85\\r\\n2026-01-01 00:00:00,000 ERROR wakeline.runner forged"


def test_what_a_terminal_would_obey_is_shown_as_its_escape() -> None:
    assert shown(EVIL) == SAFE


def test_a_time_of_day_says_its_zone_also_in_the_log_of_a_worker() -> None:
    assert (moment(1_700_000_000_123), moment(1_700_000_000_123, exact=True)) == (
        "2023-11-14 22:13:20 UTC",
        "2023-11-14 22:13:20.123 UTC",
    )
    assert moment(10**15) == "1000000000000000 ms since 1970"
    record = logging.makeLogRecord(
        {"msg": "told", "created": 1_700_000_000.123, "levelname": "INFO", "name": "wakeline.run"}
    )
    assert (
        TextFormatter("%(asctime)s %(levelname)s %(name)s %(message)s").format(record)
        == "2023-11-14 22:13:20.123 UTC INFO wakeline.run told"
    )


@pytest.mark.parametrize(
    "text", ["", "plain text", "anna@example.com", "日本語 é ü", "👨\u200d👩\u200d👧", "a\\nb", "naïve #1 %20"]
)
def test_what_can_be_read_is_shown_as_it_is(text: str) -> None:
    assert shown(text) == shown_lines(text) == shown_json(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("wt1.WyJwIl0.c2lnbmF0dXJl", "wt1.…"),
        ('{"token": "wt2.0123456789ab.WyJwIl0.c2lnbmF0dXJl"}', '{"token": "wt2.…"}'),
        ("mail wt1.WyJw…", "mail wt1.……"),
        ("wt3.WyJwIl0.c2lnbmF0dXJl and wt1.0", "wt3.WyJwIl0.c2lnbmF0dXJl and wt1.0"),
    ],
)
def test_a_bearer_token_is_shown_without_what_makes_it_good(text: str, seen: str) -> None:
    assert (shown(text), shown_lines(text), shown_entry(text)) == (seen, seen, seen)


@given(st.text(st.characters()))
def test_no_text_leaves_anything_to_obey_and_json_means_what_it_did(text: str) -> None:
    for line in (shown(text), shown_json(text), *shown_entry(text).split("\n")):
        assert not any(char in line for char in "\x00\x07\x08\x1b\x7f\x85\x9b\u202a\u202e\u2066\u2028\n\r")
    value = json.dumps(text, ensure_ascii=False)
    assert json.loads(shown_json(value)) == text


class Kept(logging.Handler):
    """Keeps what a plain formatter makes of entries."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += self.format(record).split("\n")


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, log = Kept(), logging.getLogger("wakeline.test")
    log.addHandler(handler)
    log.setLevel("DEBUG")
    yield handler
    log.removeHandler(handler)


def test_an_entry_of_a_log_shows_ids_and_errors_in_its_one_line(kept: Kept) -> None:
    log = logger("wakeline.test")
    log.warning("%s failed: %s after %d", EVIL, RuntimeError(EVIL), 3)
    log.info("%(who)s", {"who": EVIL})
    log.info(EVIL)
    assert kept.lines[:2] == [f"{SAFE} failed: {SAFE} after 3", SAFE]
    assert kept.lines[2:] == [
        "\\x1b]0;owned\\x07\\x9b31m\\u202ebidi\\u2028\\x85\\r",
        "  | 2026-01-01 00:00:00,000 ERROR wakeline.runner forged",
    ]


def test_a_traceback_stands_behind_a_margin(kept: Kept) -> None:
    log = logger("wakeline.test")
    try:
        raise RuntimeError(EVIL)
    except RuntimeError:
        log.exception("it broke")
    log.warning("it broke: %s", Lines(f"\nTraceback\n  RuntimeError: {EVIL}"))
    starts = [line for line in kept.lines if not line.startswith("  | ")]
    assert starts == ["it broke", "it broke: "]
    assert [line for line in kept.lines if "\x1b" in line or "\x9b" in line or "\u202e" in line] == []


def test_a_worker_shows_entries_of_foreign_loggers_no_other_way() -> None:
    record = logging.LogRecord("asyncio", logging.ERROR, __file__, 1, f"Task {EVIL}", None, None)
    first, second = TextFormatter("%(levelname)s %(name)s %(message)s").format(record).split("\n")
    assert first == "ERROR asyncio Task \\x1b]0;owned\\x07\\x9b31m\\u202ebidi\\u2028\\x85\\r"
    assert second == "  | 2026-01-01 00:00:00,000 ERROR wakeline.runner forged"


def test_the_command_line_prints_no_text_of_others_raw(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.answer(None, EVIL)
    console.table(("ID",), [(EVIL,)], None, empty="none")
    console.note(EVIL)
    console.fail({"code": "x"}, say=EVIL)
    told = capsys.readouterr()
    assert told.out == f"{SAFE}\n{SAFE}\n"
    assert told.err == f"{SAFE}\nwakeline: {SAFE}\n"
    console.as_json = True
    console.answer({"id": EVIL})
    [line] = capsys.readouterr().out.splitlines()
    assert line.isprintable() and json.loads(line) == {"id": EVIL}


def test_an_error_about_a_text_of_two_megabytes_stays_short() -> None:
    bad, taken = (
        InvalidId(kind="process id", value="x" * 2_000_000, grammar="short"),
        ProcessConflict(process_id="y" * 2_000_000, existing="a", given="b"),
    )
    for error in (bad, taken):
        assert len(str(error)) < 10_000
