"""The pages for contributors tell the truth: every path and every name in a file exists, and the table of folders is
the contract of imports."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRIBUTING, WALKS = ROOT / "docs/contributing.md", ROOT / "docs/how-it-works.md"
PAGES = [CONTRIBUTING, WALKS]
BASES = [
    ROOT,
    ROOT / "core/wakeline",
    ROOT / "workers/wakeline_workers",
    ROOT / "core/wakeline/store/lua",
    ROOT / "docs",
]
"""A page may shorten a path where the reader cannot mistake it: how-it-works.md does in its boxes."""
BUILT = ".venv/"
"""What `python3 dev.py setup` makes, and no clone has."""
PLACE = re.compile(
    r"(?<![\w/.<>-])((?:[\w.-]+/)*[\w.-]+\.(?:py|lua|md|toml|lock|acl)|(?:\.?[\w-]+/)+(?:run\b)?)(?::([A-Za-z_][\w.]*\w))?"
)


def places(page: Path) -> list[tuple[str, str]]:
    """Every file and folder that a page names, with the name in it, if there is one."""
    text = re.sub(r"\]\([^)]*\)", "]", page.read_text(encoding="utf-8"))  # test_docs.py looks at links
    code = [*re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL), *re.findall(r"`([^`\n]+)`", text)]
    return sorted({found for one in code for found in PLACE.findall(one) if not found[0].startswith(BUILT)})


def found(path: str) -> Path | None:
    return next((base / path for base in BASES if (base / path).exists()), None)


def holds(file: Path, dotted: str) -> bool:
    """Whether a file defines a name: a function or a value; in Python also a member of a class."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".lua":
        return re.search(rf"^(?:local )?function {re.escape(dotted)}\(", text, re.MULTILINE) is not None
    body: list[ast.stmt] = ast.parse(text).body
    for name in dotted.split("."):
        node = next((node for node in body if name in defined(node)), None)
        if node is None:
            return False
        body = node.body if isinstance(node, ast.ClassDef) else []
    return True


def defined(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            for name in ast.walk(ast.Tuple(targets)):
                if isinstance(name, ast.Name):
                    yield name.id
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_a_page_names_exists(page: Path) -> None:
    named = places(page)
    assert len(named) > 20
    assert [path for path, _ in named if found(path) is None] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_a_page_finds_in_a_file_is_defined_there(page: Path) -> None:
    named = [(path, name) for path, name in places(page) if name]
    assert len(named) > 10
    assert [(path, name) for path, name in named if (file := found(path)) is None or not holds(file, name)] == []


def test_a_name_that_moved_away_is_missed() -> None:
    errors = ROOT / "core/wakeline/errors.py"
    assert holds(errors, "WakelineError.code")
    assert not holds(errors, "WakelineError.nosuch")
    assert not holds(errors, "NoSuchError")
    assert holds(ROOT / "core/wakeline/store/lua/lib/process.lua", "holds")
    assert not holds(ROOT / "core/wakeline/store/lua/lib/process.lua", "hold")


def test_the_table_of_folders_has_every_layer_in_the_order_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [layers] = [contract["layers"] for contract in contracts if contract["id"] == "core-layers"]
    text = CONTRIBUTING.read_text(encoding="utf-8").split("\n## Where things are\n")[1].split("\n## ")[0]
    rows = [
        re.findall(r"`core/wakeline/(\w+)(?:/|\.py)`", line.split(" | ")[0])
        for line in text.splitlines()
        if line.startswith("| `core/")
    ]
    assert rows == [layer.split(" : ") for layer in layers]


def test_every_command_that_the_page_has_a_contributor_type_exists() -> None:
    text = CONTRIBUTING.read_text(encoding="utf-8")
    dev = re.search(r"^COMMANDS: .*?^\}", (ROOT / "dev.py").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert dev is not None
    named = set(re.findall(r"python3 dev\.py (\w+)", text))
    assert named == {"setup", "lint", "demo", "newest", "test"}
    assert named <= set(re.findall(r'^    "(\w+)":', dev[0], re.MULTILINE))
    modules = set(re.findall(r"python -m ((?:wakeline|tests)[\w.]*)", text))
    documents = {"wakeline.telemetry.table", "wakeline.telemetry.metrics_document", "tests.races.document"}
    assert modules == {"wakeline.store", "wakeline.error_table"} | documents
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


def test_each_walk_is_at_most_ten_boxes_and_each_box_names_its_file() -> None:
    walks = re.findall(r"^```\n(┌.*?)^```$", WALKS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    boxes = [[box for box in re.split(r"^[┌├└].*\n", walk, flags=re.MULTILINE) if box] for walk in walks]
    assert len(boxes) == 3
    assert [len(walk) for walk in boxes if len(walk) > 10] == []
    assert [box for walk in boxes for box in walk if not PLACE.search(box)] == []


def test_a_reader_finds_both_pages_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if f"(docs/{page.name})" not in readme] == []
