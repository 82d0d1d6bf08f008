"""The English of code and documents: a short list of mannerisms, each with what to write in its place.

The list is short on purpose. It finds phrases that make a reader guess who does what; it is no police of style.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GAP = r"(?:\s|#|--)+"
"""Between two words of a phrase, which may be at the end of a line of a comment."""
MANNERISMS = {
    r"(?i:whoever)": "name the role: the sender, the worker, the reader, the operator, the process that waits",
    r"(?i:whatever)": "say what it is: any value, all that is left, with any outcome, even if",
    r"(?i:nobody)": "name the role and say what it does not do: no worker, no client, without a reader",
    r"(?i:(?:some|any)body)": "name the role: a sender, a worker, a reader, an operator, another process",
    rf"(?i:for{GAP}ever)": "write permanently, without an end, or until what",
    rf"(?i:once{GAP}in{GAP}a{GAP}while)": "say how often: once a second, every hour",
    rf"(?i:so{GAP}long)": "say for how long, or as long as what",
    rf"(?i:all{GAP}the{GAP}same)": "write still, nevertheless, or even so",
    rf"(?i:as{GAP}it{GAP}falls)": "say what decides, or that the order is not fixed",
    rf"(?<!there )(?:is|are){GAP}none(?!{GAP}of)": "write is invalid, or is no X, with the noun; or: there is no X",
}
"""A pattern between two bounds of words, and what to write in its place."""
FIELD_OF = "a sentence or a noun phrase: “the time of …” and not “Of …: …”"

READ = sorted(
    path
    for path in chain(
        (ROOT / "core").rglob("*"),
        (ROOT / "workers").rglob("*"),
        (ROOT / "docs").rglob("*"),
        (ROOT / "examples").rglob("*"),
        (ROOT / name for name in ("README.md", "CONTEXT.md", "CHANGELOG.md")),
    )
    if path.suffix in (".py", ".lua", ".md")
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def mannered(text: str) -> Iterator[tuple[int, str, str]]:
    """The line, the phrase, and what to write in its place. `test_nobody_waits` is a name and does not count."""
    for pattern, instead in MANNERISMS.items():
        for found in re.finditer(rf"\b{pattern}\b", text):
            yield text.count("\n", 0, found.start()) + 1, " ".join(found[0].split()), instead


def docstrings_of_fields(text: str) -> Iterator[tuple[int, str]]:
    """Each string that stands right behind an assignment, with its line."""
    for block in ast.walk(ast.parse(text)):
        body: list[ast.stmt] = getattr(block, "body", []) if isinstance(block, (ast.Module, ast.ClassDef)) else []
        for field, said in zip(body, body[1:], strict=False):
            match said:
                case ast.Expr(value=ast.Constant(value=str() as words)) if isinstance(
                    field, (ast.Assign, ast.AnnAssign)
                ):
                    yield said.lineno, words
                case _:
                    pass


def faults(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    found = [f"{name_of(path)}:{line}: “{phrase}”: {instead}" for line, phrase, instead in mannered(text)]
    if path.suffix == ".py":
        of = [(line, words) for line, words in docstrings_of_fields(text) if words.startswith("Of ")]
        found += [f"{name_of(path)}:{line}: “{words[:20]}…”: {FIELD_OF}" for line, words in of]
    return found


@pytest.mark.parametrize("path", READ, ids=name_of)
def test_a_text_says_who_does_what(path: Path) -> None:
    assert faults(path) == []


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("Whoever waits is told.", ["Whoever"]),
        ("# it stays for\n    # ever", ["for # ever"]),
        ("-- a policy of it is none.", ["is none"]),
        ("it goes on all the same, so long as nobody asks", ["nobody", "so long", "all the same"]),
        ("if value is None: return", []),
        ("there are none here, and test_nobody_asks_whatever_comes is a name", []),
        ("the sender of the signal is told; forever", []),
    ],
)
def test_mannerisms_are_found_and_names_and_code_are_not(text: str, phrases: list[str]) -> None:
    assert [phrase for _, phrase, _ in mannered(text)] == phrases


def test_a_docstring_of_a_field_that_begins_with_of_is_found() -> None:
    lines = [
        "class Row:",
        '    """Of no field."""',
        "    at_ms: int",
        '    """Of the row: when."""',
        "    name: str",
        '    """The name."""',
    ]
    assert list(docstrings_of_fields("\n".join(lines))) == [(4, "Of the row: when."), (6, "The name.")]
