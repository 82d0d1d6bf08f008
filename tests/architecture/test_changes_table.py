"""The tables of `docs/deploys.md` and the tests behind them name the same changes, and say the same of each."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.changes import ELSEWHERE, ROWS

TESTS = Path(__file__).parents[1]
DOCUMENT = (TESTS.parent / "docs/deploys.md").read_text(encoding="utf-8")


def rows() -> dict[str, list[str]]:
    """The cells behind the name of each change, of every table below "Changes"."""
    lines = [
        line
        for line in DOCUMENT.split("\n## Changes\n")[1].split("\n## ")[0].splitlines()
        if line.startswith("| ") and not line.startswith("| change |")
    ]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert len({row[0] for row in cells}) == len(cells)
    return {row[0]: row[1:] for row in cells}


def test_each_change_of_the_document_has_a_test_and_each_test_a_row() -> None:
    assert sorted(rows()) == sorted([*ROWS, *ELSEWHERE])


def test_the_document_says_of_each_change_what_its_test_proves() -> None:
    said = {change: cells[1].split(":")[0].strip("`") for change, cells in rows().items() if change in ROWS}
    assert said == {
        change: row.misfit[0] if row.misfit else "failed" if row.fails else "nothing" for change, row in ROWS.items()
    }


def test_rows_that_are_proved_elsewhere_name_a_test_that_is_there() -> None:
    for where in ELSEWHERE.values():
        file, test = where.split("::")
        assert re.search(rf"^def {test}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE), where
