"""All scripts: what each of them owes its reader."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest
import redis
from wakeline.store import scripts

from tests.servers import BACKENDS


@pytest.mark.parametrize("name", scripts.names())
def test_every_script_says_what_it_is_for(name: str) -> None:
    source = scripts._source(f"{name}.lua")
    for heading in ("-- Purpose:", "-- Include:", "-- ARGV:", "-- Reply:", "-- Atomic"):
        assert heading in source


def declared(fragment: str) -> set[str]:
    """The names that a fragment gives to things for all that include it."""
    lines = re.findall(r"^local (?:function )?([A-Za-z_][\w, ]*)", scripts._source(f"lib/{fragment}.lua"), re.MULTILINE)
    return {name.strip() for line in lines for name in line.split(",")}


def bound(source: str, *, outermost: bool) -> set[str]:
    """The names that a text gives to values, functions, parameters and loops; of a fragment those within functions."""
    code = scripts._QUOTED_OR_SAID.sub(" ", source)
    lines = re.findall(rf"^ {'*' if outermost else '+'}local (?:function )?([\w, ]+)", code, re.MULTILINE)
    lines += re.findall(r"\bfunction ?[\w.]*\(([^)]*)\)", code) + re.findall(r"\bfor ([\w, ]+?) (?:in|=) ", code)
    return {name.strip() for line in lines for name in line.split(",")}


def names(source: str) -> set[str]:
    """The names that a text mentions, without the keys of tables."""
    return scripts._mentioned(re.sub(r"(?<=[{,])\s*[A-Za-z]\w* = ", " ", source))


SOURCES = {name: scripts._source(f"{name}.lua") for name in scripts.names()} | {
    f"lib/{name}": scripts._source(f"lib/{name}.lua") for name in scripts.fragments()
}


@pytest.mark.parametrize("path", SOURCES)
def test_a_head_names_exactly_the_fragments_that_are_used_in_the_order_of_the_library(path: str) -> None:
    """Without the library, a script's text has these and what they need, and nothing else."""
    own = path.removeprefix("lib/") if path.startswith("lib/") else "bundle"
    used = {name for name in scripts.fragments() if name != own and declared(name) & names(SOURCES[path])}
    named = scripts.named(SOURCES[path])
    assert set(named) == used
    assert len(named) == len(used)


WORDS_OF_LUA = """
    and break do else elseif end false for function if in local nil not or repeat return then true until while
    KEYS ARGV redis cjson string table math ipairs pairs next tonumber tostring type select unpack pcall error rawget _G
"""
LUA = {*WORDS_OF_LUA.split()}


@pytest.mark.parametrize("path", SOURCES)
def test_every_name_is_one_of_lua_of_the_text_itself_or_of_a_fragment_that_comes_with_it(path: str) -> None:
    """A name that is nothing is found only by the call that gets to its line."""
    comes_with_it = set[str]().union(*(declared(name) for name in scripts.included(SOURCES[path])))
    known = LUA | comes_with_it | bound(SOURCES[path], outermost=True)
    assert {name for name in names(SOURCES[path]) if not name[0].isdigit()} - known == set()


@pytest.mark.parametrize("path", SOURCES)
def test_no_name_that_fragments_share_is_given_to_something_else(path: str) -> None:
    """A reader, and the test above, knows what a name means wherever it stands."""
    shared = {name for fragment in scripts.fragments() for name in declared(fragment)}
    assert bound(SOURCES[path], outermost=not path.startswith("lib/")) & shared == set()


def families() -> dict[str, set[str]]:
    """The tables that fragments share, with the functions and values that their own fragment puts into each."""
    found: dict[str, set[str]] = {}
    for fragment in scripts.fragments():
        source = scripts._source(f"lib/{fragment}.lua")
        for family in re.findall(r"^local (\w+) = \{\}", source, re.MULTILINE):
            code = scripts._QUOTED_OR_SAID.sub(" ", source)
            made = re.findall(rf"^function {family}\.(\w+)\(", code, re.MULTILINE)
            found[family] = {*made, *re.findall(rf"(?<![\w.]){family}\.(\w+)(?=(?:, [\w.]+)* = )", code)}
    return found


@pytest.mark.parametrize("path", SOURCES)
def test_a_member_of_a_family_that_a_text_names_is_made_by_its_fragment(path: str) -> None:
    """A member that is not there is found only by the call that gets to its line."""
    code = scripts._QUOTED_OR_SAID.sub(" ", SOURCES[path])
    members = families()
    assert len(members) > 15
    used = {(family, one) for family in members for one in re.findall(rf"(?<![\w.]){family}\.(\w+)", code)}
    assert {f"{family}.{one}" for family, one in used if one not in members[family]} == set()


@pytest.mark.parametrize("fragment", scripts.fragments())
def test_every_fragment_says_its_job_first(fragment: str) -> None:
    assert re.match(r"-- [A-Z`]\w.{20,}", scripts._source(f"lib/{fragment}.lua"))


def test_fragments_that_need_each_other_in_a_circle_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    read = scripts._source
    circle = {"lib/base.lua": "-- Needs: slots\n" + read("lib/base.lua")}
    with monkeypatch.context() as patch:
        patch.setattr(scripts, "_source", lambda path: circle.get(path) or read(path))
        scripts.forget()
        with pytest.raises(ValueError, match="in a circle: .*base -> .*slots.* -> base"):
            scripts.fragments()
    scripts.forget()


def test_the_library_has_every_fragment_once_and_every_script_as_a_function_of_its_own_name() -> None:
    library = scripts.as_library()
    fragments = "\n".join(scripts._source(f"lib/{name}.lua") for name in scripts.fragments())
    functions = re.findall(r"^(?:local )?function ([\w.]+\()", fragments, re.MULTILINE)
    assert len(functions) > 100
    assert [len(re.findall(rf"\bfunction {re.escape(one)}", library.text)) for one in functions] == [1] * len(functions)
    assert [library.text.count(f"register('{scripts.load(name).function}'") for name in scripts.names()] == [1] * len(
        scripts.names()
    )


def test_no_two_fragments_use_one_name() -> None:
    """In the library the later one would hide the earlier one from every script."""
    declared = re.compile(r"^local (?:function )?([a-z_A-Z][\w, ]*)", re.MULTILINE)
    lines = [
        found for fragment in scripts.fragments() for found in declared.findall(scripts._source(f"lib/{fragment}.lua"))
    ]
    names = [name.strip() for line in lines for name in line.split(",")]
    assert len(names) > 100
    assert [name for name, times in Counter(names).items() if times > 1] == []


def test_names_that_fragments_share_are_far_from_as_many_as_lua_has_room_for() -> None:
    """It has room for 200 side by side; a family of functions is one table, which is one name. Without the library a
    server runs the text of each script, which costs it more, and fakeredis runs none."""
    library = scripts.as_library().text
    shared = [name for line in re.findall(r"^local ([\w, ]+)\ndo$", library, re.MULTILINE) for name in line.split(", ")]
    assert 50 < len(shared) < 150


@pytest.mark.parametrize("server", BACKENDS[1:])
def test_the_text_of_every_script_is_one_that_the_server_takes_and_has_all_that_its_fragments_name(
    server: str, lua_server: Callable[[str], str]
) -> None:
    """Without functions it is what runs. With no arguments each gets as far as to look for them."""
    with redis.Redis.from_url(lua_server(server)) as client:
        for name in scripts.names():
            with pytest.raises(redis.ResponseError, match="argument #1 to 'sub'"):
                client.eval(scripts.load(name).text, 0)


COLLECTS = """#!lua name=collects
redis.register_function('collects', function() collectgarbage('collect') end)
"""


@pytest.mark.parametrize("server", BACKENDS[1:])
def test_a_server_keeps_all_scripts_in_little_room(server: str, lua_server: Callable[[str], str]) -> None:
    with redis.Redis.from_url(lua_server(server)) as client:
        client.function_flush()
        client.function_load(scripts.as_library().text)
        client.function_load(COLLECTS)  # what loading left behind is as much again, and differs from time to time
        client.fcall("collects", 0)
        used = client.info("memory")["used_memory_vm_functions"]
    # Its Lua looks through all of it again and again; with a copy of the fragments for each script it was 3,700 KB.
    # 24 KB of it are the indices of filters, 8 the counts of workers and what instruments give, 6 what went wrong,
    # 9 hand-offs, 9 names, labels and times of lists and verbs for many.
    assert used < 680_000
