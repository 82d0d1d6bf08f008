"""Letters of the store: the tables have every field and every code that a script uses, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from wakeline.store import codes, document, fields, hashes, letters
from wakeline.store.codes import Hint, HintVerb, hint_of
from wakeline.store.fields import ProcessFields, SessionHead, Slot
from wakeline.store.hashes import Field, row_of
from wakeline.store.uses import Scripts, uses
from wakeline.waits.kinds import WaitKind, kind_of

ROOT = Path(__file__).parents[2]
CORE, WORKERS = ROOT / "core/wakeline", ROOT / "workers/wakeline_workers"
TABLES = {one.family: one.rows for one in hashes.every()}
CODES = {"notify": codes.HINTS}
FROM_A_CLAIM = {"why", "bs"}
"""What a claim's reply says beside the fields of the record."""


def of_ours() -> set[tuple[str, str, str]]:
    """Family, field and script of each use; RQ's own fields are RQ's."""
    found = {(document.family_of(use), use.field, use.script) for use in uses() if use.family not in CODES}
    return {one for one in found if one[0] != "rq" or one[1].startswith("wl_")}


def test_every_field_that_a_script_uses_is_in_the_table() -> None:
    found = of_ours()
    assert len(found) > 400
    assert sorted(one for one in found if row_of(TABLES.get(one[0], ()), one[1]) is None) == []


def test_every_field_of_the_table_is_used_by_a_script() -> None:
    used = {(family, row.letters) for family, field, _ in of_ours() if (row := row_of(TABLES[family], field))}
    listed = {(one.family, row.letters) for one in hashes.every() for row in one.rows}
    assert len(listed) > 180
    assert listed - used == set()


@pytest.mark.parametrize("family", CODES)
def test_codes_are_those_of_the_scripts(family: str) -> None:
    assert {use.field for use in uses() if use.family == family} == {one.letters for one in CODES[family]}


def test_a_table_says_each_field_once_and_in_words() -> None:
    for one in (*hashes.HASHES, *hashes.STREAMS):
        assert len({row.letters for row in one.rows}) == len({row.name for row in one.rows}) == len(one.rows), (
            one.pattern
        )
        assert all(row.meaning and re.fullmatch(r"[a-z][a-z_]*", row.name) for row in one.rows)
    for table in (codes.HINTS, codes.ATTACHMENT_OWNERS):
        assert len({row.letters for row in table}) == len({row.name for row in table}) == len(table)


def read_by(kind: type) -> set[str]:
    """The letters that a class of `wakeline.store.fields` reads."""
    tree = ast.parse(Path(fields.__file__).read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    found: set[str] = set()
    for node in ast.walk(body):
        match node:
            case ast.Subscript(value=ast.Attribute(attr="fields"), slice=ast.Constant(value=str(said))):
                found.add(said)
            case ast.Call(
                func=ast.Attribute(attr="get" | "_number" | "startswith"), args=[ast.Constant(value=str(said)), *_]
            ):
                found.add(said)
            case ast.Compare(left=ast.Constant(value=str(said)), comparators=[ast.Attribute(attr="fields")]):
                found.add(said)
            case _:
                pass
    return found


@pytest.mark.parametrize(("kind", "family"), [(ProcessFields, "proc"), (Slot, "slot"), (SessionHead, "sess")])
def test_what_python_reads_of_a_record_is_in_the_table(kind: type, family: str) -> None:
    known = {re.sub("<.*", "", row.letters) for row in TABLES[family]}
    assert len(read_by(kind)) > 4
    assert read_by(kind) - known - FROM_A_CLAIM == set()


# -- what the reader of scripts finds

KEYS = "local function proc_key(pid) return ns .. 'proc:' .. pid end\n"
HELPER = "local function fields(key, ...) call('HMGET', key, ...) end\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("call('HSET', ns .. 'proc:' .. pid, 'aa', int(now), 'bb', f(x, y))", {"aa", "bb"}),
        ("call('HSET', proc_key(pid), 'cr', now)", {"cr"}),
        ("local key = proc_key(pid)\ncall('HINCRBY', key, 'seq', 1)", {"seq"}),
        ("local a1, key = 1, proc_key(pid)\ncall('HSETNX', key, n .. ':s', 1)", {"<>:s"}),
        ("local p = fields(proc_key(pid), 'st', 'seq')", {"st", "seq"}),
        ("local ALL = { 'x', 'yy' }\nlocal p = fields(proc_key(pid), unpack(ALL))", {"x", "yy"}),
        (
            "local e = { 'a', 1, 'b', 2 }\ne[#e + 1], e[#e + 2] = 'c', 3\ncall('HSET', proc_key(pid), unpack(e))",
            {"a", "b", "c"},
        ),
        (
            "local e = { 'a', 1 }\nlocal function put(name, value)\n"
            "if value then e[#e + 1] = name; e[#e + 1] = value end\nend\n"
            "put('dd', 4)\ncall('HSET', proc_key(pid), unpack(e))",
            {"a", "dd"},
        ),
        ("local e = { 'a', 1, ok and 'b' or nil, ok }\ncall('HSET', proc_key(pid), unpack(e))", {"a", "b"}),
        ("local function mark(pid, field) call('HSET', proc_key(pid), field, '1') end\nmark(pid, 'mm')", {"mm"}),
        ("call('HSET', proc_key(pid), ok and 'yes' or 'no', '1')", {"yes", "no"}),
        ("for _, one in ipairs({ 'u', 'v' }) do call('HGET', proc_key(pid), one) end", {"u", "v"}),
        ("local one = {}\none.name = 'k:' .. id\ncall('HGET', proc_key(pid), one.name)", {"k:<>"}),
        ("-- call('HSET', proc_key(pid), 'said', 1)", set()),
    ],
)
def test_the_reader_of_scripts_finds_a_field_however_it_is_said(text: str, found: set[str]) -> None:
    said = {use.field for use in Scripts({"base": KEYS + HELPER, "one": text}).uses() if use.family == "proc"}
    assert said == found


def test_a_row_is_found_by_its_letters_or_by_what_is_different_each_time() -> None:
    rows = (Field("<key>", "any", "a"), Field("@inbox", "batch", "b"), Field("read:<pid>", "read", "c"))
    assert [one.name if (one := row_of(rows, said)) else None for said in ("@inbox", "<>", "read:<>", "other")] == [
        "batch",
        "any",
        "read",
        "any",
    ]
    assert row_of(rows[1:], "new") is None


# -- hints and kinds of waits

PID = "a%20process"


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("bell", Hint("bell")),
        ("timer 1700", Hint("timer", due_ms=1700)),
        (f'slot w1 c-1 {{"status": "ok"}} {PID}', Hint("slot", None, "w1", "c-1", "a process", '{"status": "ok"}')),
        (f"slot w1 {PID}", Hint("slot", None, "w1", None, "a process")),
        (f"cancel c-1 {PID}", Hint("cancel", None, "", "c-1", "a process")),
        (f"lost {PID}", Hint("lost", None, "", None, "a process")),
        (f"sung c-1 {PID}", Hint("sung", None, "", "c-1", "a process")),
        ("sung", Hint("sung")),
    ],
)
def test_a_hint_is_read_as_every_release_writes_it(message: str, hint: Hint) -> None:
    assert hint_of(message) == hint


def test_hints_and_waits_have_types() -> None:
    assert {one.letters for one in codes.HINTS} == set(HintVerb)
    assert {one.name for one in letters.WAITS} == set(WaitKind) - {WaitKind.APPROVAL}, (
        "kept as a completion, with a field"
    )
    assert [kind_of(kind.of("n")) for kind in WaitKind] == [(kind, "n") for kind in WaitKind]
    assert kind_of("z:n") == ("z", "n")


# -- outside of the store

OWN_WIRE = {
    "core/wakeline/effects/journal.py": "the row of a journal is made and read here",
    "core/wakeline/processes/limits.py": "the wire form of a limit is made and shown here",
    "core/wakeline/sessions/admission.py": "the wire form of what turns take is made here",
    "workers/wakeline_workers/isolated.py": "what goes through the pipe to an isolate, and back",
    "workers/wakeline_workers/isolation.py": "what goes through the pipe to an isolate, and back",
}
"""Modules with short names of their own for what they write, and what that is."""
MAKES_CODES = {"core/wakeline/waits/kinds.py", "core/wakeline/processes/code.py", "core/wakeline/processes/limits.py"}


def outside() -> list[Path]:
    return [
        path for root in (CORE, WORKERS) for path in sorted(root.rglob("*.py")) if CORE / "store" not in path.parents
    ]


def test_nothing_outside_the_store_reads_a_field_by_its_letters() -> None:
    short = {row.letters for one in hashes.every() for row in one.rows if len(row.letters) <= 4} - {
        "id",
        "at",
        "by",
        "n",
    }
    short -= {"name", "last", "what", "back", "first", "type", "turn"}
    found: set[str] = set()
    for path in outside():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Subscript(slice=ast.Constant(value=str(said))) if said in short:
                    found.add(path.relative_to(ROOT).as_posix())
                case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(said)), *_]) if (
                    said in short
                ):
                    found.add(path.relative_to(ROOT).as_posix())
                case _:
                    pass
    assert found - OWN_WIRE.keys() == set()


def test_nothing_outside_makes_a_code_from_its_letter() -> None:
    found: list[str] = []
    for path in outside():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match(r"[a-z]:(?!//)", node.value):
                found.append(path.relative_to(ROOT).as_posix())
    assert set(found) - MAKES_CODES == set()
    assert set(found) >= MAKES_CODES - {"core/wakeline/waits/kinds.py"}
