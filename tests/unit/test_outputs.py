"""Await outputs: four forms, pinned JSON, and the error that each one is to its awaiter."""

from __future__ import annotations

import pytest
from wakeline import values
from wakeline.errors import InvalidPayload, ProcessAbandoned, ProcessCancelled, ProcessEnded, ProcessFailed
from wakeline.processes import outputs
from wakeline.processes.outputs import AbandonedOutput, AwaitOutput, CancelledOutput, Failure, Success

FORMS: list[tuple[AwaitOutput, str, str]] = [
    (Success(None), '{"type":"success","value":null}', "completed"),
    (Success({"a": 1}), '{"type":"success","value":{"a":1}}', "completed"),
    (
        Failure("external", "red", "tests failed"),
        '{"type":"failure","class":"external","code":"red","message":"tests failed"}',
        "failed",
    ),
    (
        Failure("timeout", "t", "m", 1),
        '{"type":"failure","class":"timeout","code":"t","message":"m","raw":1}',
        "failed",
    ),
    (CancelledOutput("asked"), '{"type":"cancelled","message":"asked"}', "cancelled"),
    (AbandonedOutput({"writer": "sweep"}), '{"type":"abandoned","evidence":{"writer":"sweep"}}', "abandoned"),
]


@pytest.mark.parametrize(("output", "text", "state"), FORMS)
def test_outputs_are_pinned_and_read_back(output: AwaitOutput, text: str, state: str) -> None:
    assert outputs.to_json(output) == text
    assert outputs.from_data(values.from_json(text)) == output
    assert outputs.state_of(output) == state
    assert outputs.output_of(f'{{"await_output":{text}}}') == output


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "{}",
        '{"type":"other"}',
        '{"type":"failure","class":"bad luck","code":"c","message":"m"}',
        '{"type":"failure","class":"internal","code":"c"}',
        '{"type":"cancelled"}',
        '{"type":"abandoned"}',
    ],
)
def test_what_is_no_output(text: str) -> None:
    with pytest.raises(InvalidPayload):
        outputs.from_data(values.from_json(text))
    with pytest.raises(InvalidPayload):
        outputs.output_of(text)


def test_failure_classes_are_pinned() -> None:
    assert outputs.FAILURE_CLASSES == (
        "invalid_request",
        "unavailable",
        "permission_denied",
        "timeout",
        "execution",
        "external",
        "resource_limit",
        "internal",
    )


def test_a_success_is_its_value() -> None:
    assert outputs.raise_for("p_1", Success([1])) == [1]


def test_other_outputs_are_errors() -> None:
    with pytest.raises(ProcessFailed) as failed:
        outputs.raise_for("p_1", Failure("external", "red", "tests failed"))
    assert failed.value.fields == {
        "process_id": "p_1",
        "failure_class": "external",
        "failure_code": "red",
        "failure_message": "tests failed",
    }
    with pytest.raises(ProcessCancelled) as cancelled:
        outputs.raise_for("p_1", CancelledOutput("asked"))
    assert cancelled.value.reason == "asked"
    with pytest.raises(ProcessAbandoned) as abandoned:
        outputs.raise_for("p_1", AbandonedOutput({"writer": "sweep"}))
    assert abandoned.value.evidence == {"writer": "sweep"}
    assert issubclass(ProcessFailed, ProcessEnded)
