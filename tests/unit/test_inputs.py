"""Inputs: the closed union, who needs an environment, and what a process is called by default."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from wakeline.processes.inputs import (
    EngineInput,
    ExternalInput,
    Identity,
    PreparedCall,
    ProcessInput,
    SessionTurn,
    ToolCall,
    default_identity,
    needs_environment,
)

CALL = PreparedCall(call_id="c1", tool_id="tool:charge", tool_name="charge", args={"order": 7})
STORED: list[tuple[ProcessInput, str]] = [
    (
        ToolCall(call=CALL),
        '{"type":"tool_call","call":{"call_id":"c1","tool_id":"tool:charge","tool_name":"charge","args":{"order":7}}}',
    ),
    (EngineInput(kind="crawl", payload=["a"]), '{"type":"engine","kind":"crawl","payload":["a"]}'),
    (SessionTurn(session_id="helper/u42"), '{"type":"session_turn","session_id":"helper/u42"}'),
    (ExternalInput(metadata={"name": "ci"}), '{"type":"external","metadata":{"name":"ci"}}'),
    (ExternalInput(), '{"type":"external"}'),
]


@pytest.mark.parametrize(("value", "text"), STORED)
def test_inputs_are_pinned_and_read_back(value: ProcessInput, text: str) -> None:
    adapter: TypeAdapter[ProcessInput] = TypeAdapter(ProcessInput)
    assert value.model_dump_json(exclude_defaults=True) == text
    assert adapter.validate_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"shell","command":"ls"}',
        "{}",
        '{"type":"engine"}',
        '{"type":"engine","kind":"crawl","extra":1}',
        '{"type":"tool_call","call":{}}',
    ],
)
def test_the_union_is_closed(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[Any](ProcessInput).validate_json(text)


@pytest.mark.parametrize(
    ("value", "identity", "environment"),
    [
        (ToolCall(call=CALL), Identity(kind="tool", label="charge"), True),
        (EngineInput(kind="crawl"), Identity(kind="crawl"), True),
        (SessionTurn(session_id="helper/u42"), Identity(kind="session_turn", label="helper"), False),
        (
            ExternalInput(metadata={"title": "t", "name": "n", "label": "l"}),
            Identity(kind="external", label="l"),
            False,
        ),
        (ExternalInput(metadata={"title": "t", "name": "n"}), Identity(kind="external", label="n"), False),
        (ExternalInput(metadata={"title": "t"}), Identity(kind="external", label="t"), False),
        (ExternalInput(metadata={"label": 7, "name": "n"}), Identity(kind="external"), False),
        (ExternalInput(metadata=["label"]), Identity(kind="external"), False),
        (ExternalInput(), Identity(kind="external"), False),
    ],
)
def test_identity_and_environment_follow_from_the_input(
    value: ProcessInput, identity: Identity, environment: bool
) -> None:
    assert default_identity(value) == identity
    assert needs_environment(value) is environment
