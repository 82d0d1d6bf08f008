"""docs/reference-map.md has a row for every member of the document, and each row's test uses that member through
``ctx.execution``."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from wakeline.body.execution import ExecutionContext

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([a-z_A-Z.]+)` \| (\S.*) \| (\S.*) \| (\S.*) \|$")
NAMED = re.compile(r"^(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)$")
TYPES = ("RuntimeExecutionContext", "RuntimeExecutionProcessEventContext")
FIELDS = [
    "session_id",
    "dispatch",
    "process_env_store",
    "attachment_store",
    "chronological_projection",
    "protocol_extension",
    "turn_context",
    "execution_env_spec",
    "process_originator",
    "runtime_process_id",
    "process_event_context",
    "process_env_ref",
    "process_wake_target",
    "parent_invocation",
    "turn_phase_probe",
    "turn_event_tx",
    "cancellation_token",
    "started_process_ids",
]
EVENT_FIELDS = [
    f"process_event_context.{name}"
    for name in ["process_id", "registry", "store", "session_store_factory", "queued_work_poke"]
]
METHODS = [
    "drain_tool_trigger_outcomes",
    "process_scope",
    "new",
    "session_id",
    "execution_scope_id",
    "session_scope",
    "trigger_store",
    "trigger_registration_originator",
    "trigger_registration_wake_target",
    "attachment_store",
    "process_env_store",
    "chronological_projection",
    "protocol_extension",
    "turn_context",
    "tool_catalog",
    "session_graph_service",
    "emit_turn_activity",
    "with_turn_event_sender",
    "with_parent_invocation",
    "with_execution_env_spec",
    "with_process_registration_context",
    "with_process_event_context",
    "record_started_process",
    "is_run_local_process",
    "process_spawn_provenance",
    "attach_captured_process_execution_env",
    "captured_process_execution_env_ref",
    "with_turn_phase_probe",
    "named_phase",
    "parent_invocation",
    "with_cancellation_token",
    "tool_scheduling",
    "callable_tool_manifest",
    "callable_tool_manifest_by_id",
    "tool_argument_projection_policy",
    "start_child_process",
    "sleep_process",
    "await_process_signal_event",
    "signal_process_by_id",
    "append_process_event",
]
EMBEDDED_TEST = "tool_argument_projection_policy_resolves_from_active_catalog_and_defaults_unknown"
NOT_A_MEMBER = {*TYPES, "new", "process_event_context.queued_work_poke", EMBEDDED_TEST}
"""Rows whose test need not say ``ctx.execution.<name>``: two types, the constructor, what is not needed here, and a
unit test."""


class Row(NamedTuple):
    """One line of the map."""

    section: str
    member: str
    here: str
    shown_by: str


@cache
def rows() -> tuple[Row, ...]:
    found: list[Row] = []
    section = ""
    for line in (ROOT / "docs" / "reference-map.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif match := ROW.match(line):
            found.append(Row(section, match[1], match[2], match[3]))
        else:
            assert not line.startswith("| `"), f"cannot read {line!r}"
    return tuple(found)


def of(section: str) -> list[str]:
    return [row.member for row in rows() if row.section == section]


@cache
def collected() -> frozenset[str]:
    files = sorted({row.shown_by.split("::")[0] for row in rows() if NAMED.match(row.shown_by)})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return frozenset(re.findall(r"^(tests/[^:\s]+\.py::test_\w+)", done.stdout, re.MULTILINE))


@cache
def uses(file: str, test: str) -> frozenset[str]:
    """What a test says after ``.execution.``, the bodies in it and in the fixtures it names included."""
    module = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = {
        node.name: node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    sources = [
        functions[name]
        for name in (test, *(argument.arg for argument in functions[test].args.args))
        if name in functions
    ]
    reads = [node for source in sources for node in ast.walk(source) if isinstance(node, ast.Attribute)]
    return frozenset(
        node.attr for node in reads if isinstance(node.value, ast.Attribute) and node.value.attr == "execution"
    )


def test_every_member_of_the_document_has_its_row_in_order() -> None:
    assert of("Types") == list(TYPES)
    assert of("Fields") == FIELDS
    assert of("Fields of the event context") == EVENT_FIELDS
    assert of("Methods") == [*METHODS, EMBEDDED_TEST]


def test_every_member_exists() -> None:
    names = [
        row.member
        for row in rows()
        if row.member not in NOT_A_MEMBER and "." not in row.member and not row.shown_by.startswith("open: ")
    ]
    there = {*dir(ExecutionContext), *ExecutionContext.__dataclass_fields__}
    assert [name for name in names if name not in there] == []


@pytest.mark.parametrize(
    "row",
    [row for row in rows() if not row.shown_by.startswith("open: ")],
    ids=lambda row: f"{row.section}-{row.member}",
)
def test_the_test_of_a_row_is_collected_and_uses_the_member_in_a_body(row: Row) -> None:
    match = NAMED.match(row.shown_by)
    assert match, f"{row.shown_by!r} names no test"
    assert row.shown_by in collected()
    if row.member not in NOT_A_MEMBER:
        assert match[1].startswith("tests/execution/"), "its test runs a process on a real server"
        assert row.member.split(".")[0] in uses(match[1], match[2])


def test_the_document_is_known_whole() -> None:
    assert (len(FIELDS), len(METHODS)) == (18, 40)
