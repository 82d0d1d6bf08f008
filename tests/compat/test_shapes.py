"""A stored shape that changes gets the next number: what each number looks like is kept, and what is written is
compared with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from wakeline.effects.journal import JournalRow
from wakeline.store.formats import SHAPES, Shape, markdown

from tests.compat.kept import STORES

PINNED = Path(__file__).parent / "shapes.json"
ROOT = Path(__file__).parents[2]


def pinned() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = json.loads(PINNED.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_shape_whose_fields_change_gets_another_number(shape: Shape) -> None:
    numbers = pinned()[shape.name]
    assert max(map(int, numbers)) == shape.number
    assert list(shape.fields) == numbers[str(shape.number)], (
        f"the fields of {shape.name!r} are others than those of number {shape.number}: raise it, say how a reader of"
        " each release meets it, and write it down with `python -m tests.compat.test_shapes`"
    )


def test_nothing_that_was_kept_is_forgotten() -> None:
    assert set(pinned()) == {shape.name for shape in SHAPES}
    assert list(STORES.glob("*.json")), "each release keeps a store"


def test_the_document_is_the_table() -> None:
    assert (ROOT / "docs/formats.md").read_text(encoding="utf-8") == markdown()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"v": 2, "n": 1, "k": "call", "f": "a", "h": "h", "at": 1, "o": 1},
            "a journal row of shape 2, and this release knows 1",
        ),
        (
            {"n": 1, "k": "wait", "f": "a", "h": "h", "at": 1, "o": {"status": "sung"}},
            "a wait was answered with 'sung', which this release does not know",
        ),
    ],
)
def test_a_row_of_a_later_release_is_not_guessed(row: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        JournalRow.from_json(json.dumps(row))


def test_a_row_with_more_fields_is_the_row_that_it_is() -> None:
    row = JournalRow.from_json(
        '{"v":1,"n":1,"k":"wait","f":"a","h":"h","at":1,"o":{"status":"ok","value":1},"later":[1]}'
    )
    assert (row.n, row.outcome) == (1, {"status": "ok", "value": 1})


def write() -> None:
    """Adds what the numbers of now look like; what an earlier number looked like stays."""
    known = pinned() if PINNED.exists() else {}
    for shape in SHAPES:
        known.setdefault(shape.name, {}).setdefault(str(shape.number), list(shape.fields))
    PINNED.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(write())
