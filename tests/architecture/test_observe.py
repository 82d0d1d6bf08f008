"""What is stored is turned into words in `wakeline.observe` alone; the command line renders values."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from wakeline import observe
from wakeline.observe import reasons
from wakeline.observe.view import View

ROOT = Path(__file__).parents[2]
CLI = ROOT / "workers/wakeline_workers/cli"
VIEWS = {
    "ChildView",
    "Diagnosis",
    "EntryView",
    "EventView",
    "FleetView",
    "LimitView",
    "Message",
    "ProcessView",
    "ProcessWait",
    "QueueView",
    "Reason",
    "ScheduleView",
    "SessionView",
    "Status",
    "SubscriptionView",
    "TreeNode",
    "TreeView",
    "WaitView",
    "WorkerView",
}
FROM_THE_STORE = {
    "wakeline.store.address": "the format that `version` prints",
    "wakeline.store.attachments": "the sweep, which no verb has",
    "wakeline.store.blocking": "a client of its own for the secret",
    "wakeline.store.connection": "a person at a terminal is answered sooner",
    "wakeline.store.keyring": "the secret, which no verb has",
    "wakeline.store.keys": "how RQ names a queue",
    "wakeline.store.processes": "ids, for one that is typed in part",
    "wakeline.store.triggers": "the end of a schedule that no code declares, which no verb has",
}
"""What commands ask the store itself, and why."""
STORED = {"fields", "head", "slots", "registration", "journal", "stood", "standing", "misfits", "queued", "owners"}
"""Attributes by which a look at the store has what it found."""


def trees() -> dict[str, ast.Module]:
    return {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(CLI.glob("*.py"))}


def test_commands_read_no_field_of_what_is_stored() -> None:
    found = [
        f"{name}:{node.lineno} .{node.attr}"
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in STORED
    ]
    assert found == []


def test_commands_ask_the_store_for_no_more_than_this_and_name_no_type_of_it() -> None:
    imported: set[str] = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wakeline.store"):
                modules = (
                    {f"{node.module}.{one.name}" for one in node.names} if node.module == "wakeline.store" else set()
                )
                imported |= modules or {str(node.module)}
                assert [one.name for one in node.names if one.name.startswith("Stored")] == []
    assert imported == FROM_THE_STORE.keys()


def test_commands_make_json_of_no_view_by_themselves() -> None:
    """``asdict`` of a view would be a second form of it."""
    found = {
        name
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "asdict"
    }
    assert found == {"secret.py", "sessions.py"}, "what a rotation and a deletion did"


def test_these_are_the_views_and_users_find_them_in_one_place() -> None:
    public = {
        name for name in observe.__all__ if isinstance(kind := getattr(observe, name), type) and issubclass(kind, View)
    }
    assert public >= VIEWS


@pytest.mark.parametrize("name", sorted(VIEWS | {"Finding"}))
def test_a_view_is_a_frozen_value_that_says_what_it_is(name: str) -> None:
    kind = getattr(observe, name)
    assert is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert (inspect.getdoc(kind) or "").strip()
    assert [one.name for one in fields(kind) if len(one.name) == 1] in ([], ["n"])


def test_the_page_about_views_names_every_field_and_every_reason() -> None:
    page = (ROOT / "docs/observe.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(\w+)`", page))
    named = {
        f"{name}.{one.name}"
        for name in VIEWS - {"EventView"} | {"Finding"}
        for one in fields(getattr(observe, name))
        if one.name not in told
    }
    assert named == set(), "EventView is in docs/log.md"
    codes = set(re.findall(r'Reason\(\s*"(\w+)"', inspect.getsource(reasons)))
    assert len(codes) == 12
    assert codes == {code for code in re.findall(r"`(\w+)`", _reasons(page))}
    assert {name for name in VIEWS | {"Finding", "Page"} if name not in page} == set()


def _reasons(page: str) -> str:
    return page.partition("| code | a queued process waits for |")[2].partition("##")[0]
