"""Which definitions of the shipped packages are reached from what a user or a process can begin with.

Names are followed, not types: a mention of an attribute reaches every member of that name. What this finds unreached is
unreached; what it calls reached may still be dead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
PLAIN = {
    "property",
    "cached_property",
    "classmethod",
    "staticmethod",
    "abstractmethod",
    "overload",
    "override",
    "cache",
    "lru_cache",
}
PLAIN |= {"contextmanager", "asynccontextmanager", "dataclass", "total_ordering", "runtime_checkable"}
"""Decorators that hand a definition to nothing that would use it."""


@dataclass
class Definition:
    """A function, class, constant or member: where it stands, what it mentions, and the class it is a member of."""

    module: str
    name: str
    nodes: list[ast.AST]
    of: Definition | None = None
    bases: list[str] = field(default_factory=list[str])

    @property
    def path(self) -> str:
        return f"{self.module}.{self.of.name}.{self.name}" if self.of else f"{self.module}.{self.name}"


class Shipped:
    """The modules below some folders, their definitions, and what each of them mentions."""

    def __init__(self, *packages: Path, without: str) -> None:
        self.trees = {
            name: ast.parse(path.read_text(encoding="utf-8"))
            for root in packages
            for name, path in _modules(root)
            if not name.startswith(without)
        }
        self.names: dict[str, dict[str, str]] = {}
        self.definitions: dict[str, Definition] = {}
        self.members: dict[str, list[Definition]] = {}
        self.below: dict[str, list[Definition]] = {}
        self.loose: dict[str, list[ast.stmt]] = {}
        for module, tree in self.trees.items():
            self.names[module] = dict(_imports(tree, module))
            self.loose[module] = []
            self._define(module, tree.body)

    def _define(self, module: str, body: list[ast.stmt]) -> None:
        for node in body:
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    self._add(Definition(module, name, [node]))
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if not _dunder(
                    name
                ):
                    self._add(Definition(module, name, [node]))
                case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                    self.loose[module].append(node)
                case ast.If(body=then, orelse=other) | ast.Try(body=then, orelse=other):
                    self._define(
                        module,
                        [
                            *then,
                            *other,
                            *(inner for handler in getattr(node, "handlers", []) for inner in handler.body),
                        ],
                    )
                case ast.Import() | ast.ImportFrom():
                    pass
                case _:
                    self.loose[module].append(node)

    def _add(self, definition: Definition) -> None:
        if known := self.definitions.get(definition.path):  # an overload
            known.nodes += definition.nodes
            return
        self.definitions[definition.path] = definition
        if definition.of:
            self.members.setdefault(definition.name, []).append(definition)
            self.below.setdefault(definition.of.path, []).append(definition)
        match definition.nodes:
            case [ast.ClassDef(bases=bases, body=body)]:
                definition.bases = [
                    found for base in bases if (found := self.resolved(definition.module, _dotted(base)))
                ]
                for inner in body:
                    if isinstance(inner, FUNCTIONS):
                        self._add(Definition(definition.module, inner.name, [inner], definition))
            case _:
                pass

    def resolved(self, module: str, text: str) -> str | None:
        """The full name of what a dotted name means in a module, None where it means nothing shipped."""
        head, _, rest = text.partition(".")
        known = self.names[module].get(head)
        full = known or (f"{module}.{head}" if f"{module}.{head}" in self.definitions else None)
        return self.full(f"{full}.{rest}" if rest else full) if full else None

    def full(self, full: str) -> str:
        """Through modules that hand on what they import."""
        module, _, name = full.rpartition(".")
        onward = self.names.get(module, {}).get(name)
        return self.full(onward) if onward and full not in self.definitions and onward != full else full

    def mentions(self, module: str, node: ast.AST) -> Iterator[str]:
        """Full names, and ``.name`` for an attribute of what is not a module."""
        for part in _scope(node):
            match part:
                case ast.Name(id=name):
                    yield self.resolved(module, name) or ""
                case ast.Attribute(attr=attr):
                    full = self.resolved(module, _dotted(part)) if _dotted(part) else None
                    yield full if full in self.definitions else f".{attr}"
                case ast.MatchClass(kwd_attrs=attrs):
                    yield from (f".{attr}" for attr in attrs)
                case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=str(attr)), *_]):
                    yield f".{attr}"
                case ast.Call(func=ast.Name(id="cast"), args=[ast.Constant(value=str(text)), *_]):
                    yield from (self.resolved(module, name) or "" for name in re.findall(r"[A-Za-z_.]+", text))
                case _:
                    pass

    def reached(self, roots: set[str]) -> set[str]:
        """The paths of all definitions that are reached from these, and from what modules do when they are imported."""
        found: set[str] = set()
        said: set[str] = set()
        work = [
            name for module, nodes in self.loose.items() for node in nodes for name in self.mentions(module, node)
        ] + sorted(roots)
        while work:
            name = work.pop()
            if name not in said:
                said.add(name)
                work += [new for one in self._meant(name) for new in self._reach(one, found, said)]
        return found

    def _reach(self, one: Definition, found: set[str], said: set[str]) -> Iterator[str]:
        """What is mentioned by a definition that is reached now; a member is reached with its class, not before."""
        if one.path in found or (one.of and one.of.path not in found):
            return
        found.add(one.path)
        for node in one.nodes:
            yield from self.mentions(one.module, node)
        for member in self.below.get(one.path, ()):
            if _dunder(member.name) or self._is_called_by_others(member) or {member.path, f".{member.name}"} & said:
                yield from self._reach(member, found, said)

    def public(self, names: set[str]) -> set[str]:
        """What a user gets hold of through these: their public members, and those of what such members give, take from
        it or inherit."""
        found: set[str] = set()
        seen: set[str] = set()
        work = sorted(names)
        while work:
            one = self.definitions.get(work.pop())
            if one is None or one.path in seen:
                continue
            seen.add(one.path)
            found |= {one.path} & names
            work += one.bases
            members = [each for each in self.below.get(one.path, ()) if not each.name.startswith("_")]
            found |= {each.path for each in members}
            given = [
                node.returns for each in members for node in each.nodes if isinstance(node, FUNCTIONS) and node.returns
            ]
            for part in [*given, *(inner for node in one.nodes for inner in _fields(node))]:
                work += self.mentions(one.module, part)
        return found

    def registered(self, module: str) -> set[str]:
        """What decorators of a module's own functions hand to other code, such as commands."""
        loose = [one for one in self.definitions.values() if one.of is None and one.module.startswith(module)]
        return {one.path for one in loose if self._is_called_by_others(one)}

    def _is_called_by_others(self, one: Definition) -> bool:
        """Whether something outside calls it: what a decorator hands it to, or a base class that is not shipped and has
        it."""
        if any(
            _last(each) not in PLAIN
            for node in one.nodes
            if isinstance(node, FUNCTIONS)
            for each in node.decorator_list
        ):
            return True
        kind: Any = getattr(import_module(one.module), one.of.name) if one.of else object
        return any(one.name in vars(base) for base in kind.__mro__ if base.__module__ not in self.trees)

    def _meant(self, name: str) -> list[Definition]:
        if name.startswith("."):
            return self.members.get(name[1:], [])
        return [self.definitions[name]] if name in self.definitions else []


def _fields(node: ast.AST) -> list[ast.AST]:
    match node:
        case ast.ClassDef(body=body):
            return [inner.annotation for inner in body if isinstance(inner, ast.AnnAssign)]
        case ast.Assign(value=value):  # the name of a union
            return [value]
        case _:
            return []


def _last(node: ast.AST) -> str:
    while isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _scope(node: ast.AST) -> Iterator[ast.AST]:
    """Everything a definition says of itself: of a class all but its methods, which are definitions of their own."""
    if isinstance(node, ast.ClassDef):
        for part in [
            *node.bases,
            *node.keywords,
            *node.decorator_list,
            *(inner for inner in node.body if not isinstance(inner, FUNCTIONS)),
        ]:
            yield from ast.walk(part)
    else:
        yield from ast.walk(node)


def _dotted(node: ast.AST) -> str:
    """``a.b.c`` as text, empty for what is no dotted name."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr) if below := _dotted(value):
            return f"{below}.{attr}"
        case ast.Subscript(value=value):
            return _dotted(value)
        case _:
            return ""


def _dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(root.rglob("*.py")):
        yield ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__"), path


def _imports(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                (alias.asname or alias.name.split(".")[0], alias.name if alias.asname else alias.name.split(".")[0])
                for alias in node.names
            )
