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


@pytest.mark.parametrize("name", scripts.names())
def test_every_script_includes_what_it_uses_in_the_order_of_the_library(name: str) -> None:
    found = scripts.included(scripts._source(f"{name}.lua"))
    assert found == [fragment for fragment in scripts.FRAGMENTS if fragment in found]


def test_the_library_has_every_fragment_once_and_every_script_as_a_function_of_its_own_name() -> None:
    library = scripts.as_library()
    fragments = "\n".join(scripts._source(f"lib/{name}.lua") for name in (*scripts.FRAGMENTS, "bundle"))
    functions = re.findall(r"^(?:local )?function (\w+\()", fragments, re.MULTILINE)
    assert len(functions) > 100
    assert [len(re.findall(rf"\bfunction {re.escape(one)}", library.text)) for one in functions] == [1] * len(functions)
    assert [
        library.text.count(f"redis.register_function('{scripts.load(name).function}'") for name in scripts.names()
    ] == [1] * len(scripts.names())


def test_no_two_fragments_use_one_name() -> None:
    """In the library the later one would hide the earlier one from every script."""
    declared = re.compile(r"^local (?:function )?([a-z_A-Z][\w, ]*)", re.MULTILINE)
    lines = [
        found
        for fragment in (*scripts.FRAGMENTS, "bundle")
        for found in declared.findall(scripts._source(f"lib/{fragment}.lua"))
    ]
    names = [name.strip() for line in lines for name in line.split(",")]
    assert len(names) > 100
    assert [name for name, times in Counter(names).items() if times > 1] == []


def test_names_that_fragments_share_are_far_from_as_many_as_lua_has_room_for() -> None:
    """200 side by side. Without the library a server runs the text of each script, which costs it more, and fakeredis
    runs none."""
    library = scripts.as_library().text
    shared = [name for line in re.findall(r"^local ([\w, ]+)\ndo$", library, re.MULTILINE) for name in line.split(", ")]
    assert 50 < len(shared) < 170


@pytest.mark.parametrize("server", BACKENDS[1:])
def test_the_text_of_every_script_is_one_that_the_server_takes_and_has_all_that_its_fragments_name(
    server: str, lua_server: Callable[[str], str]
) -> None:
    """Without functions it is what runs. With no arguments each gets as far as to look for them."""
    with redis.Redis.from_url(lua_server(server)) as client:
        for name in scripts.names():
            with pytest.raises(redis.ResponseError, match="argument #1 to 'sub'"):
                client.eval(scripts.load(name).text, 0)


@pytest.mark.parametrize("server", BACKENDS[1:])
def test_a_server_keeps_all_scripts_in_little_room(server: str, lua_server: Callable[[str], str]) -> None:
    with redis.Redis.from_url(lua_server(server)) as client:
        client.function_flush()
        client.function_load(scripts.as_library().text)
        used = client.info("memory")["used_memory_vm_functions"]
    # Its Lua looks through all of it again and again; with a copy of the fragments for each script it was 3,700 KB.
    assert used < 800_000
