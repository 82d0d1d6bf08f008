"""Every key is in one table, with its type, its owner and what reclaims it: scripts, table and document agree."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from wakeline.store import document, keys, letters

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "core/wakeline/store/lua"
COMMANDS = {"hash": "H", "set": "S", "zset": "Z", "stream": "X", "list": "L"}
EXACT = {
    "SET": "string",
    "GET": "string",
    "GETDEL": "string",
    "GETRANGE": "string",
    "RPUSH": "list",
    "RPOP": "list",
    "BLPOP": "list",
}
ANY = {"DEL", "UNLINK", "EXISTS", "EXPIRE", "PEXPIRE", "COPY", "RENAME", "TYPE", "PTTL", "TTL", "PERSIST"}


@cache
def code() -> str:
    """All scripts, without their comments."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.rglob("*.lua")))
    return re.sub(r"--.*", "", text)


def named() -> set[str]:
    """Every family a script names behind the namespace: literally, or from the list that pruning goes through."""
    literal = set(re.findall(r"\bns \.\. '([a-z]+):?", code()))
    lists = re.findall(r"for _, (\w+) in ipairs\(\{([^}]*)\}\) do\s+call\('\w+', ns \.\. \1 \.\. ':'", code())
    assert len(lists) == len(re.findall(r"\bns \.\. [a-z]", code())), (
        "a script builds a key in a way this test cannot read"
    )
    return literal | {name for _, members in lists for name in re.findall(r"'([a-z]+)'", members)}


def kind_of(command: str) -> str | None:
    """The type of key a command works on; None where it works on any."""
    if command in ANY:
        return None
    return EXACT.get(command) or next(kind for kind, letter in COMMANDS.items() if command.startswith(letter))


def test_every_family_a_script_names_is_in_the_table_and_the_other_way_round() -> None:
    by_code = {"bytes"}  # of the Redis backend of attachments: bytes are no argument of a script
    assert named() | by_code == {family.name for family in keys.TABLE}
    assert len(named()) >= 30


def test_every_key_of_rq_a_script_writes_is_in_the_table_and_the_other_way_round() -> None:
    assert set(re.findall(r"\brq \.\. ':([a-z]+)", code())) == {family.name for family in keys.RQ_TABLE}


def test_scripts_use_every_key_as_the_type_the_table_says() -> None:
    functions = dict(re.findall(r"local function (\w+_key)\(\w+\) return ns \.\. '([a-z]+):'", code()))
    assert functions == {"proc_key": "proc", "slot_key": "slot", "att_key": "att"}
    direct = re.findall(r"call\('([A-Z]+)', ns \.\. '([a-z]+)", code())
    through = [(command, functions[name]) for command, name in re.findall(r"call\('([A-Z]+)', (\w+_key)\(", code())]
    of_rq = re.findall(r"call\('([A-Z]+)', rq \.\. ':([a-z]+):?' \.\. \w+[,)]", code())
    assert len(direct) >= 100 and len(through) >= 20 and len(of_rq) >= 8
    types = {family.name: {one.type for one in keys.TABLE if one.name == family.name} for family in keys.TABLE}
    assert [
        (command, name)
        for command, name in direct + through
        if (kind_of(command) or "any") not in {*types[name], "any"}
    ] == []
    rq = {
        family.pattern.partition(":<")[0]: family.type
        for family in keys.RQ_TABLE
        if ":<" in family.pattern and family.pattern.endswith(">")
    }
    assert [(command, name) for command, name in of_rq if kind_of(command) not in (rq[name], None)] == []


def test_every_row_says_who_owns_the_key_and_what_reclaims_it() -> None:
    assert [
        family
        for family in (*keys.TABLE, *keys.RQ_TABLE)
        if not all((family.content, family.owner, family.reclaimed_by))
    ] == []
    assert {family.type for family in keys.TABLE} <= {"hash", "string", "stream", "list", "set", "zset"}
    patterns = [family.pattern for family in keys.TABLE]
    assert len(patterns) == len(set(patterns))


def test_the_document_is_what_the_command_in_it_writes() -> None:
    written = (ROOT / "docs/keys.md").read_text(encoding="utf-8")
    assert "`python -m wakeline.store > docs/keys.md`" in written
    done = subprocess.run(
        [sys.executable, "-m", "wakeline.store"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == written


def test_the_document_has_a_row_for_every_key() -> None:
    written = document.markdown()
    assert [family.pattern for family in keys.TABLE if f"| `{family.pattern}` | {family.type} |" not in written] == []


# -- letters


def test_scripts_have_the_letters_that_python_has_under_the_same_names() -> None:
    text = (SCRIPTS / "lib/letters.lua").read_text(encoding="utf-8")
    tables = dict(re.findall(r"^local (\w+) = \{(.*?)\}", text, re.MULTILINE | re.DOTALL))
    found = {name: dict(re.findall(r"(\w+) = '([a-z]:)'", rows)) for name, rows in tables.items()}
    python = {"TIMER": letters.TIMERS, "LEFT": letters.LEFT, "WAIT": letters.WAITS}
    assert found == {table: {one.name: f"{one.letter}:" for one in rows} for table, rows in python.items()}
    assert [len({one.letter for one in rows}) for rows in python.values()] == [8, 8, 6]


def test_letters_are_those_that_stores_have() -> None:
    """An upgrade in place finds rows of the release before."""
    assert "".join(one.letter for one in letters.TIMERS) == "sdceqawr"
    assert "".join(one.letter for one in letters.LEFT) == "ckwdpngm"
    assert "".join(one.letter for one in letters.WAITS) == "stcxae"


def test_scripts_call_letters_by_their_names() -> None:
    for family, table in (("timers", "TIMER"), ("todo", "LEFT")):
        calls = re.findall(rf"call\('[A-Z]+', ns \.\. '{family}',.*", code())
        assert len(calls) >= 8
        assert [one for one in calls if re.search(r"'[a-z]:", one)] == []
        assert len([one for one in calls if f"{table}." in one]) >= 8
    assert re.findall(r"\b(?:code|kind|kind, 1, 2\)|k, 1, 2\)) == '[a-z]:'", code()) == []
    assert len(re.findall(r"== WAIT\.", code())) >= 10
    for table, rows in (("TIMER", letters.TIMERS), ("LEFT", letters.LEFT), ("WAIT", letters.WAITS)):
        assert set(re.findall(rf"\b{table}\.(\w+)", code())) == {one.name for one in rows}
