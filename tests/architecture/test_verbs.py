"""A verb is one program, and the faces only say it: what one costs is counted here."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE, WORKERS = ROOT / "core/wakeline", ROOT / "workers/wakeline_workers"
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(CORE if CORE in path.parents else ROOT).as_posix()


# -- one program per verb

LOOKS = {
    "attachments.owned",
    "attachments.read",
    "choices.count",
    "choices.page",
    "declarations.written",
    "entries.look",
    "entries.undeliverable",
    "fleet.probe",
    "fleet.read_fleet",
    "journal.list_keys",
    "metrics.read_metrics",
    "processes.list_ids",
    "processes.read",
    "processes.read_log",
    "queues.list_queues",
    "sessions.read",
    "triggers.list_all",
}
"""Calls that write nothing, or what is there already: any code may look."""
SEVERAL = {
    "attachments.share": "what a run takes over from what it waited for goes the other way",
    "ends.finish": "a run's end is its commit, and work outside is ended by its reporter",
    "journal.record": "a run records what is no verb",
    "triggers.emit": "what a schedule does when it is due is an occurrence, too",
    "triggers.settle": "three ways in which a delivery comes to nothing now",
}


def calls_of_the_store() -> set[str]:
    """Every typed call of a script, as ``<module>.<function>``."""
    found: set[str] = set()
    for path in (CORE / "store").glob("*.py"):
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef) and ast.unparse(node.returns or node).startswith("Call["):
                found.add(f"{path.stem}.{node.name}")
    return found


def named_in(path: Path, package: str) -> Iterator[tuple[str, str]]:
    """What a file names of the modules of a package, as ``<module>.<name>``, each with the definition that names it."""
    modules: dict[str, str] = {}
    names: dict[str, str] = {}
    for node in ast.walk(tree(path)):
        match node:
            case ast.ImportFrom(module=str(module)) if module == package:
                modules |= {alias.asname or alias.name: alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module)) if module.startswith(f"{package}."):
                names |= {
                    alias.asname or alias.name: f"{module.rpartition('.')[2]}.{alias.name}" for alias in node.names
                }
            case _:
                pass

    def visit(node: ast.AST, within: str) -> Iterator[tuple[str, str]]:
        for inner in ast.iter_child_nodes(node):
            match inner:
                case ast.Attribute(value=ast.Name(id=module), attr=name) if module in modules:
                    yield f"{modules[module]}.{name}", within
                case ast.Name(id=name) if name in names:
                    yield names[name], within
                case _:
                    pass
            deeper = f"{within}.{inner.name}".strip(".") if isinstance(inner, Definition) and not within else within
            yield from visit(inner, deeper)

    yield from visit(tree(path), "")


def test_what_a_verb_writes_is_asked_for_in_one_place() -> None:
    """Written for a client and again for a body, a verb has two policies, and a change of one forgets the other."""
    known, asked = calls_of_the_store(), defaultdict[str, set[str]](set)
    for path in [*CORE.rglob("*.py"), *WORKERS.rglob("*.py")]:
        if CORE / "store" in path.parents:
            continue
        for name, within in named_in(path, "wakeline.store"):
            if name in known:
                asked[name].add(f"{name_of(path)}:{within}")
    of_verbs = {name: places for name, places in asked.items() if any(place.startswith("verbs/") for place in places)}
    assert len(of_verbs) > 25
    several = {name: sorted(places) for name, places in of_verbs.items() if len(places) > 1 and name not in LOOKS}
    assert {name: places for name, places in several.items() if name not in SEVERAL} == {}
    assert several.keys() == SEVERAL.keys(), "one that is asked for in one place by now leaves the table"


# -- faces of a client

FACES = {
    "client/handles.py": ("Handle", "AsyncHandle"),
    "client/externals.py": ("External", "AsyncExternal"),
    "client/sessions.py": ("Session", "AsyncSession"),
    "client/many.py": ("Many", "AsyncMany"),
    "client/starters.py": ("Starter", "AsyncStarter"),
    "client/triggers.py": ("Trigger", "AsyncTrigger"),
}
LONGEST_FACE = 4
"""Statements of a face beside its docstring: it binds arguments, runs its program, and makes a value of the answer."""


def class_in(file: str, name: str) -> ast.ClassDef:
    return next(node for node in tree(CORE / file).body if isinstance(node, ast.ClassDef) and node.name == name)


def methods(made: ast.ClassDef) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The methods of a class that are shown; of one that has overloads, the code."""
    return {
        node.name: node
        for node in made.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("__")
    }


def programs_in(file: str, made: ast.ClassDef) -> dict[str, set[str]]:
    """By verb as a face runs it (``session.send``), the programs that it runs."""
    modules = {
        alias.asname or alias.name
        for node in tree(CORE / file).body
        if isinstance(node, ast.ImportFrom) and node.module == "wakeline.verbs"
        for alias in node.names
    }
    found = defaultdict[str, set[str]](set)
    for method in methods(made).values():
        asked = {
            f"{node.value.id}.{node.attr}"
            for node in ast.walk(method)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
        }
        for node in ast.walk(method):
            match node:
                case ast.Call(func=ast.Attribute(attr=name, value=ast.Attribute(attr=("at" | "_fleet") as holder))):
                    asked.add(f"{holder}.{name}")  # what puts the program together for both faces
                case _:
                    pass
        for node in ast.walk(method):
            match node:
                case ast.Call(func=ast.Attribute(attr="run"), args=[ast.Constant(value=str() as verb), *_]):
                    found[verb] |= asked
                case _:
                    pass
    return dict(found)


@pytest.mark.parametrize("file", FACES)
def test_both_faces_of_a_noun_run_the_same_programs_one_for_each_verb(file: str) -> None:
    blocking, awaited = (programs_in(file, class_in(file, name)) for name in FACES[file])
    assert blocking == awaited
    assert len(blocking) >= 2
    assert {verb: asked for verb, asked in blocking.items() if len(asked) != 1} == {}


def test_both_faces_of_an_app_run_the_same_programs_one_for_each_verb() -> None:
    blocking = programs_in("app.py", class_in("app.py", "App"))
    awaited = programs_in("client/aio.py", class_in("client/aio.py", "AsyncApp"))
    resolving = blocking.pop("app.resolve")  # reading the secret connects, so that there it is in a program of its own
    assert resolving == set()
    assert awaited.pop("app.resolve") == {"answers.resolve"}
    assert blocking == awaited
    assert len(blocking) >= 8
    assert {verb: asked for verb, asked in blocking.items() if len(asked) != 1} == {}


@pytest.mark.parametrize("file", FACES)
def test_a_face_has_no_policy_of_its_own(file: str) -> None:
    long: list[str] = []
    for name in FACES[file]:
        for method in methods(class_in(file, name)).values():
            statements = [node for node in ast.walk(method) if isinstance(node, ast.stmt)][1:]
            code = [
                node for node in statements if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            ]
            loops = [node for node in code if isinstance(node, ast.For | ast.AsyncFor | ast.While)]
            decides = [node for node in code if isinstance(node, ast.If | ast.Try | ast.Match)]
            if decides or (len(code) > LONGEST_FACE and not loops):
                long.append(f"{name}.{method.name}")
    assert long == []


# -- faces of a body


def test_a_blocking_body_has_the_verbs_of_the_awaited_one_and_adds_nothing() -> None:
    """`Ctx.x` is ``self._block(self._inner.x(…))``, or what that gives in a blocking shape."""
    blocking = methods(class_in("body/blocking.py", "Ctx"))
    awaited = methods(class_in("body/facts.py", "BodyFacts")) | methods(class_in("body/context.py", "AsyncCtx"))
    own = {"run"}
    shown = {name for name in awaited if not name.startswith("_")}
    assert {name for name in blocking if not name.startswith("_")} == shown - own
    for name in shown:
        told = [
            node
            for node in ast.walk(blocking[name])
            if isinstance(node, ast.Attribute)
            and ast.unparse(node.value) == "self._inner"
            and node.attr in (name, "run")
        ]
        decides = [
            node for node in ast.walk(blocking[name]) if isinstance(node, ast.If | ast.Try | ast.For | ast.While)
        ]
        assert (name, len(told), decides) == (name, 1, [])


# -- what a verb costs


@pytest.mark.parametrize(
    "verb", ["send", "command", "create", "delete", "redrive", "skip", "append", "graph", "frames"]
)
def test_a_verb_of_a_session_costs_its_program_two_faces_a_call_and_no_registration(verb: str) -> None:
    """docs/contributing.md says so; its script and its command are found by their names."""
    program = f"inbox.{verb}" if verb in ("redrive", "skip") else f"sessions.{verb}"
    places = [
        f"{name_of(path)}:{within}"
        for path in [*CORE.rglob("*.py"), *WORKERS.rglob("*.py")]
        for name, within in named_in(path, "wakeline.verbs")
        if name == program
    ]
    # A body's face, where there is one, and the verb for many.
    low_level = ["body/asks.py:ask", "body/execution/insession.py:SessionGraph", "verbs/redrives.py:_again"]
    assert sorted({place for place in places if place not in low_level}) == [
        "client/sessions.py:AsyncSession",
        "client/sessions.py:Session",
    ]
    module, _, name = program.partition(".")
    defined = [
        node
        for node in tree(CORE / f"verbs/{module}.py").body
        if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    assert len(defined) == 1
    spelled = [path for path in CORE.rglob("*.py") if f'"session.{verb}"' in path.read_text(encoding="utf-8")]
    assert [name_of(path) for path in spelled] == ["client/sessions.py"]
