"""What comments, docstrings and documents cite exists: races, decisions, documents, files and modules. Two documents
are written by programs."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from wakeline import error_table, errors
from wakeline.telemetry import conventions, table
from wakeline.telemetry.instrument import Instrument

from tests.races import document

ROOT = Path(__file__).parents[2]
TEXTS = sorted(
    path
    for folder, kinds in (
        ("core", ("py", "lua")),
        ("workers", ("py",)),
        ("tests", ("py",)),
        ("docs", ("md",)),
        ("examples", ("py", "md")),
    )
    for kind in kinds
    for path in (ROOT / folder).rglob(f"*.{kind}")
) + [ROOT / "README.md", ROOT / "CONTEXT.md", ROOT / "CHANGELOG.md"]
WAKE_RACES = document.wake_races()
RACE = re.compile(r"\b[Rr]aces? (?=\d)((?:\d+|, | and )+)")
WAKE_RACE = re.compile(r"\bW(\d+)\b")
ADR = re.compile(r"\bADRs? (\d+)")
ELSEWHERE = re.compile(r"\b(?:semantics|product|house|style|api) §?\d")
"""A chapter of a document that is not in this repository."""


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def cited(pattern: re.Pattern[str], *, leaving: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    for path in TEXTS:
        if named(path) not in leaving:
            yield from ((named(path), found) for found in pattern.findall(path.read_text(encoding="utf-8")))


def test_every_race_that_is_cited_is_in_the_list_of_races() -> None:
    found = {(path, int(number)) for path, numbers in cited(RACE) for number in re.findall(r"\d+", numbers)}
    assert len(found) > 60
    assert sorted(one for one in found if one[1] not in document.RACES) == []


def test_every_race_of_wakes_that_is_cited_is_in_their_table() -> None:
    found = {(path, int(number)) for path, number in cited(WAKE_RACE)}
    assert len(found) > 30
    assert sorted(one for one in found if one[1] not in WAKE_RACES) == []


def test_every_decision_that_is_cited_is_written_down() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs/adr").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1)), "each decision has a number of its own"
    decisions = set(numbers)
    found = {(path, int(number)) for path, number in cited(ADR)}
    assert len(found) > 5
    assert sorted(one for one in found if one[1] not in decisions) == []
    assert [one for one in cited(re.compile(r"\bADRs? (0\d+)"))] == [], "decisions are cited as ADR 1, in one spelling"


def test_no_chapter_is_cited_of_a_document_that_is_not_here() -> None:
    assert list(cited(ELSEWHERE, leaving=("tests/architecture/test_citations.py",))) == []


def test_every_document_that_is_cited_exists() -> None:
    """By its path from the root, from docs/, or from where it is cited."""
    missing = [
        (named(path), cite)
        for path in TEXTS
        for cite in re.findall(r"(?<![\w/*<.{-])((?:[\w-]+/)*[\w-]+\.md)\b", path.read_text(encoding="utf-8"))
        if not any((base / cite).is_file() for base in (ROOT, ROOT / "docs", path.parent))
        and not cite.startswith("NNNN")
    ]
    assert missing == []


def comments(path: Path) -> str:
    """What a file says to readers: docstrings and comments of Python, comments of Lua, all of a document."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".lua":
        return "\n".join(line[line.index("--") :] for line in text.splitlines() if "--" in line)
    if path.suffix == ".md":
        return text
    strings = [
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return "\n".join([*strings, *re.findall(r"#.*", text)])


def exists(dotted: str) -> bool:
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def test_every_module_that_shipped_code_or_a_document_names_exists() -> None:
    modules = re.compile(r"`(wakeline(?:_workers)?(?:\.[A-Za-z_]\w*)+)`")
    shipped = [path for path in TEXTS if named(path).startswith(("core", "workers", "docs", "README", "CONTEXT"))]
    found = {(named(path), name) for path in shipped for name in modules.findall(comments(path))}
    assert len(found) > 5
    assert sorted(one for one in found if not exists(one[1])) == []


def test_every_file_that_shipped_code_names_exists() -> None:
    files = re.compile(r"(?<![\w/.<-])((?:[\w-]+/)+[\w-]+\.(?:py|lua))\b")
    known = [named(path) for path in ROOT.rglob("*") if path.suffix in (".py", ".lua") and ".venv" not in path.parts]
    shipped = [path for path in TEXTS if named(path).startswith(("core", "workers", "docs"))]
    found = {(named(path), name) for path in shipped for name in files.findall(comments(path))}
    assert len(found) > 10
    assert sorted(one for one in found if not any(f"/{path}".endswith(f"/{one[1]}") for path in known)) == []


# -- what programs write


def test_every_rule_that_a_test_of_a_race_does_without_stands_where_its_row_says() -> None:
    """A rule that moved is found here, in a second, and not only when its race runs."""
    tests = [test for module in document.modules() for test in vars(module).values()]
    rules = {row.rule for test in tests for row in getattr(test, "rows", []) if row.rule is not None}
    assert len(rules) > 150
    for rule in sorted(rules, key=str):
        with rule.taken_out():  # raises RuleMoved
            pass


def test_the_document_of_races_is_what_their_tests_say() -> None:
    assert (ROOT / "docs/races.md").read_text(encoding="utf-8") == document.markdown()
    assert all(title and actors for title, actors in document.RACES.values())
    assert [
        number
        for number in document.RACES
        if not any(getattr(test, "rows", []) for _, test in document.tests_of(number))
    ] == []


def test_the_document_of_instruments_is_what_their_code_says() -> None:
    assert (ROOT / "docs/instrument.md").read_text(encoding="utf-8") == table.markdown()


def test_the_document_of_traces_has_the_names_that_spans_have() -> None:
    assert (ROOT / "docs/telemetry.md").read_text(encoding="utf-8") == conventions.markdown()
    assert {name for name in vars(Instrument) if not name.startswith("_")} == {*table.METHODS, "breaks_work"}


def test_the_document_of_errors_is_what_their_tree_says() -> None:
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    assert text == error_table.markdown()
    codes = {
        kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.WakelineError)
    } - {"wakeline_error"}
    assert len(codes) > 100
    assert [code for code in sorted(codes) if text.count(f"`{code}`") != 1] == []


@pytest.mark.parametrize("page", ["docs/races.md", "docs/errors.md"])
def test_a_reader_finds_both_from_the_readme(page: str) -> None:
    assert f"({page})" in (ROOT / "README.md").read_text(encoding="utf-8")


# -- the clock


def test_only_the_clock_asks_the_operating_system_for_the_time_of_day() -> None:
    asks = re.compile(
        r"\btime\.time(?:_ns)?\(|\bdatetime\.(?:now|utcnow|today)\(|\bdate\.today\(|from time import .*\btime\b"
    )
    shipped = [path for path in TEXTS if named(path).startswith(("core", "workers")) and path.suffix == ".py"]
    assert [named(path) for path in shipped if asks.search(path.read_text(encoding="utf-8"))] == [
        "core/wakeline/clock.py"
    ]
