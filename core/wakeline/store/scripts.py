"""Loads the Lua scripts: one file per verb, shared fragments by an include line.

Invariant: a script is addressed by its content, so old and new releases run side by side on one server. Each runs once
for every object of
arguments that it is sent. A server keeps all of them as the functions of one library (FCALL, ADR 9): the fragments that
they share are made once
and not at every call. Where it keeps none (before Redis 7, or a user may not load any), the text of each runs by
EVALSHA.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PREFIX = "wakeline_"
"""How the names of all libraries and functions begin that any release keeps on a server."""
FRAGMENTS = (
    "base",
    "keyring",
    "declarations",
    "doorbell",
    "process",
    "limits",
    "slots",
    "sessions",
    "lifecycle",
    "claims",
    "admitting",
    "environments",
    "triggers",
    "attachments",
    "deleting",
    "retention",
    "standing",
    "takers",
    "righting",
)
"""All that scripts share, each below what it rests on."""
_LOCAL = re.compile(r"^local (?:function (\w+)|([\w, ]*\w)\s*(=)?)")
"""A name of a fragment at its outermost level: of a function, or of values, which it may give at once."""
_QUOTED_OR_SAID = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|--[^\n]*""")
_reading = threading.RLock()
"""Held while texts are read and kept, so that `forget` leaves nothing behind that a thread was just reading."""
_INCLUDE = re.compile(r"^-- Include: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One verb: its whole text with the fragments it includes, the SHA-1 by which the server knows that, and the
    function of the library."""

    name: str
    text: str
    sha: str
    function: str


@dataclass(frozen=True, slots=True)
class Library:
    """All verbs as functions over one copy of the fragments.

    A server's Lua looks through all that it keeps again and again: a copy for each verb cost a fifth of its time.
    """

    name: str
    text: str

    def function(self, verb: str) -> str:
        """What a verb is called by: the server keeps functions of several releases apart."""
        return f"{PREFIX}{verb}_{self.name.removeprefix(PREFIX)}"


def _source(path: str) -> str:
    return files("wakeline.store").joinpath("lua", path).read_text(encoding="utf-8")


def load(name: str) -> Script:
    """The script of a verb, e.g. ``process_register``; raises FileNotFoundError for a name without a file."""
    with _reading:
        return _load(name)


@cache
def _load(name: str) -> Script:
    own = _source(f"{name}.lua")
    main = f"{_main(own)}\nreturn run(main, ARGV)"
    text = "\n".join(
        [*_closed({fragment: _source(f"lib/{fragment}.lua") for fragment in (*included(own), "bundle")}, main), main]
    )
    sha = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - Redis' own addressing
    return Script(name, text, sha, as_library().function(name))


def as_library() -> Library:
    """The library of this release."""
    with _reading:
        return _as_library()


@cache
def _as_library() -> Library:
    mains = {name: _main(_source(f"{name}.lua")) for name in names()}
    shared = "\n".join(
        _closed({name: _source(f"lib/{name}.lua") for name in (*FRAGMENTS, "bundle")}, "\n".join(mains.values()))
    )
    told_apart = "\n".join([shared, *(f"{name} {main}" for name, main in mains.items())])
    made = hashlib.sha1(told_apart.encode()).hexdigest()[:12]  # noqa: S324 - told apart, not trusted
    found = Library(PREFIX + made, "")
    verbs = (
        f"do\n{main}\nredis.register_function('{found.function(name)}', function(_, argv) return run(main, argv)"
        " end)\nend"
        for name, main in mains.items()
    )
    return Library(found.name, "\n".join([f"#!lua name={found.name}", shared, *verbs]))


def included(source: str) -> list[str]:
    """The fragments that a script's text names."""
    include = _INCLUDE.search(source)
    return include.group(1).split() if include else []


def _closed(fragments: dict[str, str], rest: str) -> Iterator[str]:
    """The fragments, with what only one of them uses in a block of its own: Lua has room for 200 names side by side."""
    for name, text in fragments.items():
        others = set(
            re.findall(r"\w+", _code("\n".join([rest, *(text for other, text in fragments.items() if other != name)])))
        )
        shared: list[str] = []
        lines: list[str] = []
        for line in text.splitlines():
            found = _LOCAL.match(line)
            names = [one.strip() for one in (found[1] or found[2]).split(",")] if found else []
            used = [one for one in names if one in others]
            if found and used and found[3]:
                used, line = names, line.removeprefix("local ")
            elif used:
                left = ", ".join(one for one in names if one not in used)
                line = line.removeprefix("local ") if found and found[1] else f"local {left}" if left else ""
            shared += used
            lines.append(line)
        yield "\n".join([*([f"local {', '.join(shared)}"] if shared else []), "do", _strip("\n".join(lines)), "end"])


def _code(source: str) -> str:
    """What is neither text in quotes nor a comment: a word there is no mention of a name."""
    return _QUOTED_OR_SAID.sub(" ", source)


def _main(source: str) -> str:
    return f"local function main()\n{_strip(source)}\nend"


def _strip(source: str) -> str:
    # Comments and indentation are for readers; the server stores and hashes what is left.
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))


def forget() -> None:
    """Reads all texts anew when they are asked for next: they changed."""
    with _reading:
        _load.cache_clear()
        _as_library.cache_clear()


@cache
def names() -> tuple[str, ...]:
    """Every verb that has a script, sorted."""
    folder = files("wakeline.store").joinpath("lua")
    return tuple(sorted(f.name[:-4] for f in folder.iterdir() if f.name.endswith(".lua")))
