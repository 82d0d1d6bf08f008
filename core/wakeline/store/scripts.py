"""Loads the Lua scripts: one file per verb, shared fragments by an include line.

Invariant: a script is addressed by its content, so old and new releases run side by side on one server. Each runs once for every object of
arguments that it is sent. A server keeps it as a function (FCALL): what stands before its first line, some 70 functions of fragments, is made
once and not at every call. Where it keeps none (before Redis 7, or a user may not load any), the same text runs by EVALSHA.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PREFIX = "wakeline_"
"""How the names of all functions begin that any release keeps on a server."""
_INCLUDE = re.compile(r"^-- Include: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One verb: its whole text with the fragments it includes, and the SHA-1 by which the server knows it.

    ``function_text``: the same as a library of one function, both called ``function``.
    """

    name: str
    text: str
    sha: str
    function: str
    function_text: str


def _source(path: str) -> str:
    return files("wakeline.store").joinpath("lua", path).read_text(encoding="utf-8")


@cache
def load(name: str) -> Script:
    """The script of a verb, e.g. ``process_register``; raises FileNotFoundError for a name without a file."""
    own = _source(f"{name}.lua")
    include = _INCLUDE.search(own)
    fragments = include.group(1).split() if include else []
    # Comments and indentation are for readers; the server stores and hashes what is left.
    shared = [_strip(_source(f"lib/{f}.lua")) for f in fragments]
    made = "\n".join([*shared, "local function main()", _strip(own), "end", _strip(_source("lib/bundle.lua"))])
    text = f"{made}\nreturn run(ARGV)"
    sha = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - Redis' own addressing
    function = f"{PREFIX}{name}_{sha[:12]}"
    function_text = f"#!lua name={function}\n{made}\nredis.register_function('{function}', function(_, argv) return run(argv) end)"
    return Script(name, text, sha, function, function_text)


def _strip(source: str) -> str:
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))


@cache
def names() -> tuple[str, ...]:
    """Every verb that has a script, sorted."""
    folder = files("wakeline.store").joinpath("lua")
    return tuple(sorted(f.name[:-4] for f in folder.iterdir() if f.name.endswith(".lua")))
