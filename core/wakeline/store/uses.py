"""What the scripts use: which field of which hash or stream, and which members of timers, todo rows and hints; read off
their text for the tables of docs/keys.md.

Invariant: the part of a name that only a run of the script knows is ``<>``; the rest stands as the script says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

Tokens = list[str]
_TOKEN = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|[A-Za-z_][\w]*|\d+(?:\.\d+)?|\.\.\.|\.\.|[=~<>]=|\S""")
_NAME = re.compile(r"[A-Za-z_]\w*$")
_STATEMENTS = frozenset(
    (";", "local", "if", "then", "end", "return", "for", "while", "else", "elseif", "do", "until", "repeat", "function")
)
_JOINING = frozenset(
    ("..", "+", "-", "*", "/", "and", "or", "not", "==", "~=", "<", ">", "<=", ">=", ",", "#", "%", ":", ".", "=")
)
_WRITES = {"HSET", "HSETNX", "HINCRBY", "HINCRBYFLOAT", "XADD"}
_READS = {"HGET", "HMGET", "HEXISTS"}
_PAIRS = {"HSET", "XADD"}
_BEFORE_FIELDS = {"MAXLEN": 3, "NOMKSTREAM": 5}
"""How many arguments of an XADD come before its fields, by the first one; only the id, unless it is one of these."""
GATHERS = "lib/record"
"""The fragment that writes what others gather; they say the fields."""
DEEPEST = 6
"""A name is followed through so many assignments and calls."""


@dataclass(frozen=True, slots=True)
class Use:
    """One field of a hash or a stream, or one member of a list of codes, as a script names it."""

    family: str
    field: str
    how: Literal["writes", "reads"]
    script: str


@dataclass(frozen=True, slots=True)
class Expression:
    """Tokens of a script with the place where they stand: what a name means is looked for before it."""

    script: str
    at: int
    tokens: tuple[str, ...]

    @property
    def name(self) -> str | None:
        """The name, where it is nothing else."""
        return self.tokens[0] if len(self.tokens) == 1 and _NAME.match(self.tokens[0]) else None

    @property
    def is_member(self) -> bool:
        """Whether it is a member of a table, by its name."""
        return len(self.tokens) == 3 and self.tokens[1] == "."


class Scripts:
    """The texts of scripts and fragments, by their names (``lib/process``), and what is used in them."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._tokens = {name: _TOKEN.findall(re.sub(r"--[^\n]*", "", text)) for name, text in texts.items()}
        self._families = dict(self._key_functions())

    def uses(self) -> Iterator[Use]:
        """Every use of every script, in their order."""
        for script, tokens in self._tokens.items():
            for at, arguments in self._calls(script, "call", "pcall") if script != GATHERS else ():
                yield from self._used(script, at, arguments)
            for at, arguments in self._calls(script, "get", "set") if script != GATHERS else ():
                if tokens[at - 2] == "record" and not _is_made(tokens, at):
                    how: Literal["writes", "reads"] = "writes" if tokens[at] == "set" else "reads"
                    yield from (Use("proc", field, how, script) for field in self._said(arguments[1]))
            for at, arguments in [*self._calls(script, "send"), *self._calls(script, "send_to_run")]:
                if tokens[at - 2] == "hints" and not _is_made(tokens, at):
                    words = {one.split(" ")[0] for one in self._said(arguments[-1])}
                    yield from (Use("notify", word, "writes", script) for word in words - {"", "<>"})

    def _used(self, script: str, at: int, arguments: list[Expression]) -> Iterator[Use]:
        command = arguments[0].tokens[0].strip("'\"") if arguments else ""
        if command not in _WRITES | _READS:
            return
        for key, fields in self._bound(script, at, arguments[1], arguments[2:]):
            if command == "XADD":
                fields = fields[_BEFORE_FIELDS.get(fields[0].tokens[0].strip("'"), 1) :]
            how: Literal["writes", "reads"] = "writes" if command in _WRITES else "reads"
            for family in self._families_of(key):
                for field in self._fields(command, fields):
                    yield Use(family, field, how, fields[0].script)

    # -- what an expression says

    def _fields(self, command: str, given: list[Expression]) -> Iterator[str]:
        flat: list[Expression] = []
        for one in given:
            flat += self._unpacked(one) if one.tokens[0] == "unpack" else [one]
        named = flat[::2] if command in _PAIRS else flat if command == "HMGET" else flat[:1]
        for one in named:
            yield from self._said(one)

    def _said(self, one: Expression, depth: int = 0) -> set[str]:
        """The texts that an expression may give."""
        choices = [list(_split(choice, "and"))[-1] for choice in _split(one.tokens, "or")]
        if len(choices) > 1:
            given = (Expression(one.script, one.at, tuple(choice)) for choice in choices)
            return {text for choice in given for text in self._said(choice, depth + 1)}
        parts = [Expression(one.script, one.at, tuple(part)) for part in _split(one.tokens, "..")]
        if len(parts) > 1:
            texts = {""}
            for part in parts:
                texts = {text + said for text in texts for said in self._said(part, depth + 1)}
            return {re.sub(r"(<>)+", "<>", text) for text in texts}
        if len(one.tokens) == 1 and one.tokens[0][0] in "'\"":
            return {one.tokens[0][1:-1]}
        if one.tokens == ("nil",):
            return set()
        if depth > DEEPEST or not (one.name or one.is_member):
            return {"<>"}
        meant = self._meant(one) if one.name else self._put_in(one)
        return {text for given in meant for text in self._said(given, depth + 1)} or {"<>"}

    def _families_of(self, key: Expression, depth: int = 0) -> set[str]:
        match key.tokens:
            case ("ns", "..", text, *_) if text[0] == "'":
                return {text[1:-1].split(":")[0]}
            case ("rq", "..", text, *_) if text[0] == "'":
                return {f"rq{text[1:-1]}".rstrip(":")}
            case (name, "(", *_) if name in self._families:
                return {self._families[name]}
            case _ if key.name is not None and depth <= DEEPEST:
                return {family for meant in self._meant(key) for family in self._families_of(meant, depth + 1)}
            case _:
                return set()

    def _meant(self, one: Expression) -> list[Expression]:
        """What a name stands for: what it was given last before, what a loop goes through, or what callers hand in."""
        tokens, name = self._tokens[one.script], one.tokens[0]
        for at in range(one.at - 1, -1, -1):
            if tokens[at] == "function":
                own, parameters = _header(tokens, at)
                if name in parameters:
                    given = (arguments for _, _, arguments in self._callers(one.script, own))
                    place = parameters.index(name)
                    return [arguments[place] for arguments in given if place < len(arguments)]
            if tokens[at] != name or tokens[at - 1] in (".", ":", "#"):
                continue
            first, last = at, at
            while tokens[first - 1] == "," and _NAME.match(tokens[first - 2]):
                first -= 2
            while tokens[last + 1 : last + 2] == [","] and _NAME.match(tokens[last + 2]):
                last += 2
            follows = tokens[last + 1] if last + 1 < len(tokens) else ""
            if follows == "in" and tokens[last + 2] == "ipairs":
                inner = tokens[last + 4 : _closing(tokens, last + 3)]
                listed = inner[1:-1] if inner[:1] == ["{"] else []
                return [Expression(one.script, at, tuple(item)) for item in _split(listed, ",")]
            if follows == "=" and tokens[last + 2 : last + 3] != ["function"]:
                values = list(_split(_expressions(tokens, last + 2), ","))
                place = (at - first) // 2
                return [Expression(one.script, at, tuple(values[place]))] if place < len(values) else []
        return []

    def _put_in(self, member: Expression) -> list[Expression]:
        """What a member of a table was given last before."""
        tokens = self._tokens[member.script]
        for at in range(member.at - 1, -1, -1):
            if tuple(tokens[at : at + 3]) == member.tokens and tokens[at + 3] == "=":
                return [Expression(member.script, at, tuple(_expressions(tokens, at + 4)))]
        return []

    def _unpacked(self, call: Expression) -> list[Expression]:
        """The items of a table that was filled before: those it was made with, then those put in behind them."""
        first = next(_split(call.tokens[2:-1], ","))
        table = Expression(call.script, call.at, tuple(first))
        if table.name is None:
            return [table]
        made = next(iter(self._meant(table)), None)
        if made is None or "{" not in made.tokens:
            return [table]
        tokens = self._tokens[call.script]
        opening = made.tokens.index("{")
        inner = made.tokens[opening + 1 : _closing(list(made.tokens), opening)]
        items = [Expression(call.script, made.at, tuple(item)) for item in _split(inner, ",")]
        for at in range(made.at + 1, call.at):
            if tokens[at] == table.name and tokens[at + 1] == "[" and tokens[at - 1] not in ("#", ",", "unpack"):
                last = _closing(tokens, at + 1)
                while tokens[last + 1] == "," and tokens[last + 2] == table.name:
                    last = _closing(tokens, last + 3)
                if tokens[last + 1] == "=":
                    put = _split(_expressions(tokens, last + 2), ",")
                    items += [Expression(call.script, at, tuple(item)) for item in put]
        return items or [table]

    def _bound(
        self, script: str, at: int, key: Expression, given: list[Expression]
    ) -> Iterator[tuple[Expression, list[Expression]]]:
        """Key and fields of a call; where they are parameters of the function around it, those of each caller."""
        own, parameters = self._around(script, at)
        takes = [one for one in (key, *given) if one.tokens == ("...",) or one.name in parameters]
        if not own or not takes or (key.name is None and not any(one.tokens == ("...",) for one in given)):
            yield key, given
            return

        def filled(one: Expression, arguments: list[Expression]) -> list[Expression]:
            if one.tokens == ("...",):
                return arguments[parameters.index("...") :]
            place = parameters.index(one.name) if one.name in parameters else len(arguments)
            return [arguments[place]] if place < len(arguments) else [one]

        for _, _, arguments in self._callers(script, own):
            found = [item for one in given for item in filled(one, arguments)]
            if found:
                yield filled(key, arguments)[0], found

    # -- where things stand

    def _key_functions(self) -> Iterator[tuple[str, str]]:
        for tokens in self._tokens.values():
            for at in range(len(tokens) - 8):
                if tokens[at] == "function" and tokens[at + 5 : at + 8] == ["return", "ns", ".."]:
                    yield tokens[at + 1], tokens[at + 8][1:-1].rstrip(":")

    def _around(self, script: str, at: int) -> tuple[str, list[str]]:
        """The function with a name that a place is in, and its parameters; '' outside of all."""
        tokens = self._tokens[script]
        depth = 0
        for place in range(at, -1, -1):
            if tokens[place] == "end":
                depth += 1
            elif tokens[place] in ("function", "then", "do") and depth:
                depth -= tokens[place] != "then" or not _goes_on(tokens, place)
            elif tokens[place] == "function":
                own, parameters = _header(tokens, place)
                if own:
                    return own, parameters
        return "", []

    def _callers(self, script: str, own: str) -> Iterator[tuple[str, int, list[Expression]]]:
        for other, tokens in self._tokens.items():
            for at, arguments in self._calls(other, own):
                if not _is_made(tokens, at) and (own != "put" or other == script):
                    yield other, at, arguments

    def _calls(self, script: str, *names: str) -> Iterator[tuple[int, list[Expression]]]:
        tokens = self._tokens[script]
        for at in range(len(tokens) - 1):
            if tokens[at] in names and tokens[at + 1] == "(":
                inner = tokens[at + 2 : _closing(tokens, at + 1)]
                yield at, [Expression(script, at, tuple(one)) for one in _split(inner, ",")]


def _header(tokens: Tokens, at: int) -> tuple[str, list[str]]:
    """Name and parameters of the function that begins at a place; the name of one in a table is its last part."""
    opening = tokens.index("(", at)
    return tokens[opening - 1] if opening > at + 1 else "", [
        one for one in tokens[opening + 1 : tokens.index(")", opening)] if one != ","
    ]


def _is_made(tokens: Tokens, at: int) -> bool:
    """Whether the function whose name stands at a place, alone or as a member of a table, is made there."""
    return "function" in (tokens[at - 1], tokens[at - 3] if tokens[at - 1] == "." else "")


def _goes_on(tokens: Tokens, at: int) -> bool:
    """Whether a ``then`` is that of an ``elseif``, which has no end of its own."""
    while at >= 0 and tokens[at] not in ("if", "elseif"):
        at -= 1
    return tokens[at] == "elseif"


def _closing(tokens: Tokens, at: int) -> int:
    """Where the bracket at a place is closed."""
    depth = 0
    for place in range(at, len(tokens)):
        depth += (tokens[place] in "([{") - (tokens[place] in ")]}")
        if depth == 0:
            return place
    return len(tokens)


def _split(tokens: Tokens | tuple[str, ...], *joints: str) -> Iterator[Tokens]:
    """What stands between the joints that are in no brackets."""
    part: Tokens = []
    depth = 0
    for token in tokens:
        depth += (token in "([{") - (token in ")]}")
        if token in joints and depth == 0:
            yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part


def _expressions(tokens: Tokens, at: int) -> Tokens:
    """The tokens of a list of expressions, up to the next statement."""
    depth, before, found = 0, "=", Tokens()
    for token in tokens[at:]:
        operand = _NAME.match(token) or token[0] in "'\""
        if depth == 0 and (token in _STATEMENTS or (operand and before not in _JOINING and token not in _JOINING)):
            break
        depth += (token in "([{") - (token in ")]}")
        if depth < 0:
            break
        found.append(token)
        before = token if depth == 0 or token not in "([{" else "="
    return found


def uses() -> frozenset[Use]:
    """All uses of this release's scripts."""
    folder = files("wakeline.store").joinpath("lua")
    paths = {one.name.removesuffix(".lua"): one for one in folder.iterdir() if one.name.endswith(".lua")}
    paths |= {f"lib/{one.name.removesuffix('.lua')}": one for one in folder.joinpath("lib").iterdir()}
    return frozenset(Scripts({name: paths[name].read_text(encoding="utf-8") for name in sorted(paths)}).uses())
