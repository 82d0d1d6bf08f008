"""Every cache in the code is in docs/memory.md, with its bound; a new one is noticed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "core/wakeline", ROOT / "workers/wakeline_workers")
MAKERS = {"Bounded", "WeakValueDictionary", "WeakKeyDictionary", "OrderedDict", "lru_cache"}
EMPTY = {"dict", "list", "set", "defaultdict", "deque"}


def name_of(node: ast.expr) -> str:
    """What is called, without its type arguments."""
    if isinstance(node, ast.Subscript):
        return name_of(node.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def grows(value: ast.expr | None) -> bool:
    """Whether it is made empty, to be filled later."""
    if isinstance(value, ast.Call):
        return name_of(value.func) in MAKERS | EMPTY
    return (isinstance(value, ast.Dict) and not value.keys) or (isinstance(value, ast.List) and not value.elts)


def caches(path: Path) -> set[str]:
    """Functions that remember what they returned, and tables of a module that grow, as `<module>.<name>`; instances'
    caches, as `<class>.<name>`."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any(
            name_of(one.func if isinstance(one, ast.Call) else one) in ("cache", "lru_cache")
            for one in node.decorator_list
        ):
            found.add(f"{path.stem}.{node.name}")
        if isinstance(node, ast.Assign | ast.AnnAssign) and grows(node.value):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            found.add(f"{path.stem}.{name_of(target)}")
    for kind in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for node in ast.walk(kind):
            if (
                isinstance(node, ast.Assign | ast.AnnAssign)
                and isinstance(node.value, ast.Call)
                and name_of(node.value.func) in MAKERS
            ):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                found.add(f"{kind.name}.{name_of(target)}")
    return found


def test_every_cache_of_the_code_is_in_the_document() -> None:
    document = set(re.findall(r"`(\w+\.\w+)`", (ROOT / "docs/memory.md").read_text(encoding="utf-8")))
    found = set().union(*(caches(path) for source in SOURCES for path in source.rglob("*.py")))
    of_a_value = {"Bounded._kept"}  # what the bound is of
    assert found - document - of_a_value == set(), (
        "a new cache: docs/memory.md says what bounds it, and what it can keep alive"
    )
    assert {
        "typed._lasting",
        "arguments._result_kinds",
        "scripts._load",
        "Caller._types",
        "Environments._known",
    } <= found
