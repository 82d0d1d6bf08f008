"""Loads the Lua scripts: one file per verb, a fragment per job, each of which names those it needs.

Invariant: a script is addressed by its content, so old and new releases run side by side on one server. Each runs once
for every object of arguments that it is sent. A server keeps all of them as the functions of one library (FCALL, ADR
9), so the fragments that they share are made once, and not at every call. If it keeps none (before Redis 7, or the user
may not load any), the text of each runs by EVALSHA.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import chain

PREFIX = "wakeline_"
"""The beginning of the names of all libraries and functions that any release keeps on a server."""
_LOCAL = re.compile(r"^local (?:function (\w+)|([\w, ]*\w)\s*(=)?)")
"""A name of a fragment at its outermost level: of a function, or of values, which it may give at once."""
_QUOTED_OR_SAID = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|--[^\n]*""")
_MENTION = re.compile(r"(?<![\w.])\w+|(?<=\.\.)\w+")
_REGISTER = """local function register(name, main)
redis.register_function(name, function(_, argv) return run_script(main, argv) end)
end"""
"""Makes a function of the library. Written out for each verb, it took 20 KB of the server's Lua."""
_reading = threading.RLock()
"""Held while texts are read and kept, so that after `forget` no text stays that a thread was just reading."""
_NAMED = re.compile(r"^-- (?:Include|Needs): (.+(?:\n-- {3,}.+)*)", re.MULTILINE)
"""The line in which a script or a fragment names the fragments that it uses itself; an indented line continues it."""


@dataclass(frozen=True, slots=True)
class Script:
    """One verb: its whole text with the included fragments, the SHA-1 by which the server knows that text, and the
    function of the library."""

    name: str
    text: str
    sha: str
    function: str


@dataclass(frozen=True, slots=True)
class Library:
    """All verbs as functions over one copy of the fragments.

    A server's Lua looks through all its memory repeatedly, and a copy for each verb cost a fifth of its time.
    """

    name: str
    text: str

    def function(self, verb: str) -> str:
        """The function of a verb. Its name keeps functions of several releases apart on the server."""
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
    main = f"{_main(own)}\nreturn run_script(main, ARGV)"
    text = "\n".join([*_closed({fragment: _source(f"lib/{fragment}.lua") for fragment in included(own)}, main), main])
    sha = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - Redis' own addressing
    return Script(name, text, sha, as_library().function(name))


def as_library() -> Library:
    """The library of this release."""
    with _reading:
        return _as_library()


@cache
def _as_library() -> Library:
    mains = {name: _main(_source(f"{name}.lua")) for name in names()}
    texts = {name: _source(f"lib/{name}.lua") for name in fragments()}
    shared = "\n".join(_closed(texts, "\n".join([*mains.values(), "run_script"])))
    told_apart = "\n".join([shared, *(f"{name} {main}" for name, main in mains.items())])
    made = hashlib.sha1(told_apart.encode()).hexdigest()[:12]  # noqa: S324 - told apart, not trusted
    found = Library(PREFIX + made, "")
    verbs = (f"do\n{main}\nregister('{found.function(name)}', main)\nend" for name, main in mains.items())
    return Library(found.name, "\n".join([f"#!lua name={found.name}", shared, _REGISTER, *verbs]))


def named(source: str) -> list[str]:
    """The fragments that the text of a script or of a fragment uses itself."""
    found = _NAMED.search(source)
    return found.group(1).replace("--", " ").split() if found else []


def included(source: str) -> list[str]:
    """The fragments that a script's text names, and those that they need, in the order of the library.

    Every script includes the one that runs it (bundle).
    """
    found, left = set[str](), [*named(source), "bundle"]
    while left:
        fragment = left.pop()
        if fragment not in found:
            found.add(fragment)
            left += named(_source(f"lib/{fragment}.lua"))
    return sorted(found, key=fragments().index)


@cache
def fragments() -> tuple[str, ...]:
    """All shared fragments, each below those that it needs."""
    placed: dict[str, None] = {}

    def place(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"fragments need each other in a circle: {' -> '.join((*above, name))}")
        for needed in named(_source(f"lib/{name}.lua")):
            if needed not in placed:
                place(needed, (*above, name))
        placed[name] = None

    for name in _files("lib"):
        place(name, ())
    return tuple(placed)


def _closed(texts: dict[str, str], rest: str) -> Iterator[str]:
    """The fragments, with names that only one of them uses in a separate block, because Lua has room for 200 names side
    by side."""
    mentions = {name: _mentioned(text) for name, text in texts.items()}
    by_rest, mentioned = _mentioned(rest), Counter(chain.from_iterable(mentions.values()))
    for name, text in texts.items():
        others = {one for one, n in mentioned.items() if n > (one in mentions[name])} | by_rest
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


def _mentioned(source: str) -> set[str]:
    """The names that a text mentions. A word in quotes or in a comment is no mention, nor is a field."""
    return set(_MENTION.findall(_QUOTED_OR_SAID.sub(" ", source)))


def _main(source: str) -> str:
    return f"local function main()\n{_strip(source)}\nend"


def _strip(source: str) -> str:
    # Comments and indentation are for readers; the server stores and hashes the rest.
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))


def forget() -> None:
    """Makes the next use read all texts anew, because they changed."""
    with _reading:
        _load.cache_clear()
        _as_library.cache_clear()
        fragments.cache_clear()


@cache
def names() -> tuple[str, ...]:
    """Every verb that has a script, sorted."""
    return tuple(_files())


def _files(*folder: str) -> list[str]:
    found = files("wakeline.store").joinpath("lua", *folder).iterdir()
    return sorted(file.name[:-4] for file in found if file.name.endswith(".lua"))
