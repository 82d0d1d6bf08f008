"""The house is in order: sizes, imports, names, error codes, and what the README promises first."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from wakeline import errors

ROOT = Path(__file__).parents[2]
CORE, WORKERS = ROOT / "core/wakeline", ROOT / "workers/wakeline_workers"
MOST_LINES = 400
LONGER = {
    "core/wakeline/errors.py": "one tree of errors, drawn in one docstring, each with its message",
    "core/wakeline/store/hashes.py": "data: the table of every field",
    "core/wakeline/store/keys.py": "data: the table of every key",
}


def modules(*roots: Path) -> list[Path]:
    return sorted(path for root in roots for path in root.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


# -- modules


def test_no_module_is_long_unless_its_reason_stands_here() -> None:
    long = {
        name_of(path)
        for path in modules(CORE, WORKERS)
        if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES
    }
    assert long - LONGER.keys() == set()
    assert all(LONGER.values())
    assert LONGER.keys() <= {name_of(path) for path in modules(CORE, WORKERS)}


def test_no_line_of_lua_is_wider_than_one_of_python() -> None:
    widest = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["line-length"]
    assert widest == 120
    scripts = sorted(CORE.rglob("*.lua"))
    assert len(scripts) > 100
    assert [
        f"{name_of(path)}:{number}"
        for path in scripts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > widest
    ] == []


@pytest.mark.parametrize("path", modules(CORE, WORKERS), ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert (ast.get_docstring(tree(path)) or "").strip()


def test_nothing_is_imported_from_the_folders_the_packages_lie_in() -> None:
    """`core.wakeline` would be a second copy of every class, and its names would end up in Redis."""
    found: list[tuple[str, str]] = []
    for path in modules(CORE, WORKERS, ROOT / "tests"):
        for node in ast.walk(tree(path)):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            found += [(name_of(path), name) for name in names if name.split(".")[0] in ("core", "workers")]
    assert found == []


def test_files_of_tests_have_names_of_their_own() -> None:
    """Their folders are no packages: of two files of one name, pytest collects the first alone, and the other's tests
    do not run."""
    names = Counter(path.name for path in modules(ROOT / "tests") if path.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []


def test_the_import_contracts_hold() -> None:
    code = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint(['--no-cache']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"Contracts: [4-9] kept, 0 broken\.", done.stdout)


def _imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the package that a file imports, in functions and for types alone too."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found.update(
                inner if (inner := f"{node.module}.{alias.name}") in known else node.module for alias in node.names
            )
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found & known.keys()


def test_files_of_core_import_each_other_in_no_circle_not_even_for_types() -> None:
    known = {
        path.relative_to(CORE.parent).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
        for path in modules(CORE)
    }
    # The package's own front is imported by name alone, when a name is asked for.
    left = {name: _imports(path, known) - {name, "wakeline"} for name, path in known.items()}
    while free := [name for name, imported in left.items() if not imported & left.keys()]:
        for name in free:
            del left[name]
    assert {name: sorted(imported & left.keys()) for name, imported in left.items()} == {}


def test_letters_of_stored_hashes_are_known_to_the_store_alone() -> None:
    """What reads a hash by its letters breaks in silence when the store renames one: `wakeline.store.fields` has names
    for them."""
    hashes = {"fields", "head", "slot", "slots"}
    found: list[str] = []
    for path in modules(CORE, WORKERS):
        if CORE / "store" in path.parents:
            continue
        for node in ast.walk(tree(path)):
            match node:
                case ast.Subscript(
                    value=ast.Name(id=name) | ast.Attribute(attr=name), slice=ast.Constant(value=str() as letter)
                ):
                    pass
                case ast.Call(
                    func=ast.Attribute(attr="get", value=ast.Name(id=name) | ast.Attribute(attr=name)),
                    args=[ast.Constant(value=str() as letter), *_],
                ):
                    pass
                case ast.Compare(
                    left=ast.Constant(value=str() as letter), comparators=[ast.Name(id=name) | ast.Attribute(attr=name)]
                ):
                    pass
                case _:
                    continue
            if name in hashes and len(letter) <= 4 and letter != "what":  # fields of errors have whole words
                found.append(f"{name_of(path)}:{node.lineno}: {name} {letter!r}")
    assert found == []


NOUNS_OF_A_RUN = {"life", "journal", "waits", "passing", "dispatch", "store", "activities", "patches", "defers"}


def _is_a_run(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "run") or (
        isinstance(node, ast.Attribute) and node.attr in ("run", "_run")
    )


def test_code_outside_of_a_run_asks_its_nouns_and_not_what_they_are_made_of() -> None:
    """``run.journal.effect(…)`` is asked of the journal; ``run.journal.replay.rows`` would reach through it. A table of
    rows is a value."""
    found: list[str] = []
    for path in modules(CORE, WORKERS):
        if CORE / "run" in path.parents:
            continue
        for node in ast.walk(tree(path)):
            match node:
                case ast.Attribute(value=ast.Attribute(attr=inner, value=ast.Attribute(attr=noun, value=run))) if (
                    noun in NOUNS_OF_A_RUN and _is_a_run(run)
                ):
                    if inner != "rows":
                        found.append(f"{name_of(path)}:{node.lineno}: run.{noun}.{inner}.{node.attr}")
                case _:
                    pass
    assert found == []


def test_nothing_is_left_to_do_without_an_issue() -> None:
    marks = re.compile(r"(?:#|--).*\b(?:TODO|FIXME|XXX)\b(?!\(#\d+\))")
    files = [*modules(CORE, WORKERS), *CORE.rglob("*.lua")]
    assert [name_of(path) for path in files if marks.search(path.read_text(encoding="utf-8"))] == []


# -- words

GLOSSARY = ROOT / "CONTEXT.md"
ALLOWED = {
    "message": "the text of an error, and of a log event",
    "failure_message": "the text of an error",
    "original_message": "the text of an error",
    "LONGEST_MESSAGE": "the text of an error",
    "Message": "an item of a session's history; the glossary has it",
    "messages": "items of a session's history",
    "handler": "pydantic's",
    "future": "asyncio's",
    "futures": "asyncio's",
    "task": "asyncio's",
    "tasks": "asyncio's",
    "threads": "the operating system's",
    "_threads": "the operating system's",
    "_lock": "threading's",
    "info": "the command of Redis",
    "read_response": "the method of redis-py's connections that a cluster overrides",
}


def avoided() -> set[str]:
    """Every word of an Avoid list, in one spelling; phrases as they would be written in a name."""
    lists = re.findall(r"\*Avoid: ([^*]+)\.\*", GLOSSARY.read_text(encoding="utf-8"))
    return {word.strip().replace(" ", "") for words in lists for word in words.split(",")}


def declared(path: Path) -> Iterator[str]:
    """The names a module gives to things: itself, classes, functions, parameters, variables, attributes."""
    yield path.stem
    for node in ast.walk(tree(path)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def words_of(name: str) -> set[str]:
    """The words of a name, singular, and each two neighbours as one."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    pairs = [first + second for first, second in zip(words, words[1:], strict=False)]
    return {word.removesuffix("s") for word in words} | set(words) | set(pairs)


def test_no_name_in_core_is_a_word_the_glossary_avoids() -> None:
    words = avoided()
    assert len(words) >= 50
    found = {(name_of(path), name) for path in modules(CORE) for name in declared(path) if words_of(name) & words}
    assert sorted((path, name) for path, name in found if name not in ALLOWED) == []
    assert ALLOWED.keys() <= {name for _, name in found}


def test_a_name_of_a_class_means_one_thing() -> None:
    """Two classes of one name are two meanings of one word: a reader takes the one for the other."""
    homes: dict[str, set[str]] = {}
    for path in modules(CORE, WORKERS):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, set()).add(name_of(path))
    assert len(homes) > 500
    assert {name: sorted(found) for name, found in homes.items() if len(found) > 1} == {}


def test_every_entry_of_the_glossary_is_bold_and_said_once() -> None:
    lines = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("- ")]
    heads = [re.match(r"- \*\*([^*]+)\*\*: \S", line) for line in lines]
    assert [line for line, head in zip(lines, heads, strict=True) if head is None] == []
    terms = Counter(term.strip().lower() for head in heads if head for term in head[1].split("/"))
    assert [term for term, times in terms.items() if times > 1] == []
    assert len(terms) >= 60


def test_no_term_of_the_glossary_is_avoided_by_another() -> None:
    text = GLOSSARY.read_text(encoding="utf-8")
    terms = {
        term.strip().lower().replace(" ", "")
        for head in re.findall(r"^- \*\*([^*]+)\*\*", text, re.MULTILINE)
        for term in head.split("/")
    }
    assert terms & avoided() == {"message"}, "a message is an item of a session's history, and no signal"


# -- errors


def tree_of(kind: type[errors.WakelineError]) -> Iterator[type[errors.WakelineError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree_of(below)


def shipped() -> list[type[errors.WakelineError]]:
    return [kind for kind in tree_of(errors.WakelineError) if kind.__module__.startswith("wakeline")]


def test_every_error_has_a_code_of_its_own() -> None:
    codes = Counter(kind.code for kind in shipped())
    assert len(codes) >= 60
    assert [code for code, times in codes.items() if times > 1] == []
    assert [code for code in codes if not re.fullmatch(r"[a-z][a-z0-9_]*", code)] == []


def test_every_error_is_in_the_tree_its_module_draws() -> None:
    drawn = set(re.findall(r"\b[A-Z]\w+\b", (errors.__doc__ or "").split("ControlFlow")[0]))
    public = {kind.__name__ for kind in shipped() if kind.__module__ == "wakeline.errors"}
    assert public - drawn == set()
    assert drawn - public <= {"Every", "Wakeline"}


# -- the README


def test_the_readme_names_both_commands_of_a_fresh_clone() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "python3 dev.py demo" in readme
    assert "python3 dev.py test" in readme
    assert "python3 dev.py" in (ROOT / ".ci/run").read_text(encoding="utf-8")
