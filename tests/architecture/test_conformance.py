"""The conformance tables are complete, and every test they name is one that pytest collects."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
TABLES = ("processes-1-110", "processes-111-235", "effects", "wakes")
PREFIXES = ("differs: ", "does not apply: ", "open: ")
ROW = re.compile(r"^\| ([PEW][0-9]+) \| (\S.*) \| (\S.*) \|$")
NAMED = re.compile(r"^(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)$")
SHORTEST_REASON = len("see P75")


class Row(NamedTuple):
    """One line of a table."""

    table: str
    number: str
    behaviour: str
    shown_by: str

    @property
    def test(self) -> tuple[str, str] | None:
        """File and name of the test that shows it, if one does."""
        match = NAMED.match(self.shown_by)
        return (match[1], match[2]) if match else None

    @property
    def reason(self) -> str | None:
        """Why no test shows it, if a reason is given."""
        prefix = next((prefix for prefix in PREFIXES if self.shown_by.startswith(prefix)), None)
        return self.shown_by.removeprefix(prefix) if prefix else None


def read(text: str, table: str = "") -> list[Row]:
    """The rows of a table; a line that only begins like a row is an error."""
    found: list[Row] = []
    for line in text.splitlines():
        if match := ROW.match(line):
            found.append(Row(table, match[1], match[2], match[3]))
        else:
            assert not re.match(r"\|\s*[PEW][0-9]", line), f"{table}: cannot read {line!r}"
    return found


@cache
def rows() -> tuple[Row, ...]:
    folder = ROOT / "docs" / "conformance"
    return tuple(row for table in TABLES for row in read((folder / f"{table}.md").read_text(encoding="utf-8"), table))


@cache
def collected() -> frozenset[tuple[str, str]]:
    """File and name of everything that pytest collects from the files the tables name."""
    files = sorted({row.test[0] for row in rows() if row.test})
    missing = [file for file in files if not (ROOT / file).is_file()]
    assert not missing, f"the tables name files that do not exist: {missing}"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return frozenset(re.findall(r"^(tests/[^:\s]+\.py)::(test_\w+)", done.stdout, re.MULTILINE))


@pytest.mark.parametrize(("letter", "last"), [("P", 235), ("E", 93), ("W", 36)])
def test_every_number_has_exactly_one_row_in_order(letter: str, last: int) -> None:
    numbers = [int(row.number[1:]) for row in rows() if row.number[0] == letter]
    assert numbers == list(range(1, last + 1))


def test_every_row_ends_with_a_test_or_with_a_reason() -> None:
    assert [row for row in rows() if not row.test and len(row.reason or "") < SHORTEST_REASON] == []


def test_every_named_test_is_collected() -> None:
    assert [(row.number, row.shown_by) for row in rows() if row.test and row.test not in collected()] == []


def test_every_test_that_a_row_mentions_is_collected() -> None:
    known = {name for _, name in collected()}
    mentioned = [(row.number, name) for row in rows() for name in re.findall(r"`(test_\w+)`", row.behaviour)]
    assert len(mentioned) >= 80
    assert [(number, name) for number, name in mentioned if name not in known] == []


def test_a_row_that_differs_names_the_test_of_what_still_applies() -> None:
    assert [
        row.number for row in rows() if row.shown_by.startswith("differs: ") and "`test_" not in row.behaviour
    ] == []


def test_what_is_open_belongs_to_what_is_not_built_yet() -> None:
    """A behaviour of the kernel is shown, differs or does not apply; it is not put off."""
    later = re.compile("sessions|triggers|attachments|tool catalog|execution context|see P209")
    assert [row.number for row in rows() if row.shown_by.startswith("open: ") and not later.search(row.shown_by)] == []


def test_the_index_links_every_table() -> None:
    index = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert re.findall(r"\(conformance/([a-z0-9-]+)\.md\)", index) == list(TABLES)
    assert {path.stem for path in (ROOT / "docs" / "conformance").glob("*.md")} == set(TABLES)


def test_most_behaviours_are_shown_by_a_test() -> None:
    """A floor, so that rows cannot turn into reasons one by one."""
    assert sum(1 for row in rows() if row.test) >= 226


@pytest.mark.parametrize("line", ["| P7 | no third column |", "| P7 |  |  |", "|P7| x | y |"])
def test_a_malformed_row_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError):
        read(line)
