"""One tree of errors: stable codes, messages that say what to do, nothing lost on the way to another process."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from wakeline import errors
from wakeline.errors import WakelineError

CODES = {
    "access_undecided",
    "web_error",
    "request_unreadable",
    "request_too_large",
    "media_type_refused",
    "host_refused",
    "origin_refused",
    "unauthenticated",
    "role_too_low",
    "route_not_found",
    "method_refused",
    "agent_conflict",
    "already_running",
    "ambiguous_id",
    "app_not_found",
    "approval_answered",
    "approval_not_open",
    "event_not_found",
    "token_used",
    "instrument_not_found",
    "attachment_backend_missing",
    "attachment_corrupt",
    "attachment_error",
    "attachment_not_found",
    "attachment_store_failed",
    "await_event_unknown_or_revoked",
    "body_invalid",
    "completions_unavailable",
    "configuration_error",
    "count_moved",
    "duplicate_name",
    "effect_repeated",
    "entry_not_found",
    "eviction_policy_refused",
    "external_ref_conflict",
    "extra_missing",
    "foreign_cursor",
    "file_unusable",
    "foreign_doorbell",
    "frame_limit_exceeded",
    "head_conflict",
    "input_error",
    "invalid_arguments",
    "invalid_attachment",
    "invalid_await_event_wait_identity",
    "invalid_duration",
    "invalid_environment",
    "invalid_handle",
    "invalid_id",
    "invalid_moment",
    "invalid_payload",
    "invalid_schedule",
    "invalid_selector",
    "invalid_token",
    "journal_corrupt",
    "isolation_unavailable",
    "key_format_too_new",
    "lease_lost",
    "mailbox_full",
    "missing_execution_environment",
    "missing_execution_scope_id",
    "non_retryable",
    "not_external",
    "output_mismatch",
    "occurrence_conflict",
    "operation_cancelled",
    "park_swallowed",
    "payload_schema_mismatch",
    "payload_too_large",
    "process_abandoned",
    "process_already_terminal",
    "process_cancelled",
    "process_conflict",
    "process_ended",
    "process_error",
    "process_event_context_mismatch",
    "process_execution_unavailable",
    "process_failed",
    "process_no_longer_retained",
    "process_not_ended",
    "process_not_found",
    "process_not_retryable",
    "process_not_visible",
    "process_signal_wait_cancelled",
    "process_signal_wait_timeout",
    "redis_not_configured",
    "redis_refused",
    "redis_unavailable",
    "redis_url_invalid",
    "redrive_refused",
    "nothing_blocks",
    "registration_unreadable",
    "registration_invalid",
    "replay_conflict",
    "replay_key_required",
    "replay_mismatch",
    "reserved_event",
    "retry_after",
    "rotation_overlaps",
    "run_error",
    "runtime_effect_sleep_cancelled",
    "script_failed",
    "secret_refused",
    "selector_miss",
    "server_start_failed",
    "server_too_old",
    "session_deleted",
    "session_error",
    "session_not_found",
    "session_not_visible",
    "session_turn_unsupported",
    "settings_invalid",
    "stale_branch",
    "step_failed",
    "store_error",
    "store_out_of_memory",
    "subscription_changed",
    "subscription_limit",
    "subscription_not_found",
    "sweep_refused",
    "terminal_outcome_mismatch",
    "tls_failed",
    "tool_error",
    "tool_failed",
    "tool_unavailable",
    "trigger_error",
    "transition_refused",
    "undeclared_event",
    "unknown_agent",
    "unknown_error",
    "unknown_name",
    "wait_cancelled",
    "wait_error",
    "wait_failed",
    "wait_timeout",
    "wait_type_differs",
    "wakeline_error",
    "writes_refused",
    "wrong_verb",
}
"""Persisted in journals and compared by callers: a line may be added, none changed. One goes with its class, and never
comes back."""
SOURCES = "".join(
    re.sub(r'""".*?"""', "", path.read_text(), flags=re.S)
    for root in ("core", "workers")
    for path in (Path(__file__).parents[2] / root).rglob("*.py")
)
"""The product without its docstrings."""


def tree(kind: type[WakelineError] = WakelineError) -> list[type[WakelineError]]:
    # The shipped tree: a test run may have made subclasses of its own.
    below = [deeper for sub in kind.__subclasses__() for deeper in tree(sub)]
    return [found for found in [kind, *below] if found.__module__ == "wakeline.errors"]


def sample(kind: type[WakelineError]) -> WakelineError:
    """An error of the class with a distinct text in every field."""
    names = re.findall(r"\{(\w+)[!}]", kind.template.replace("{{", "").replace("}}", ""))
    declared = kind._declared
    assert set(names) <= set(declared)
    error = kind.__new__(kind)
    WakelineError.__init__(error, **{name: f"<{name}>" for name in declared})
    return error


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in tree()]
    assert sorted(codes) == sorted(set(codes))


def test_codes_are_pinned() -> None:
    assert {kind.code for kind in tree()} == CODES


@pytest.mark.parametrize("kind", [kind for kind in tree() if not kind.__subclasses__()], ids=lambda kind: kind.__name__)
def test_every_error_is_used_and_says_in_its_own_words_what_is_wrong(kind: type[WakelineError]) -> None:
    assert re.search(rf"(?<!class )\b{kind.__name__}\b", SOURCES), "nothing raises it: remove it"
    assert "template" in kind.__dict__
    assert kind.__doc__ is not None and kind.__doc__.endswith(".")


def test_a_value_that_was_refused_is_shown_and_not_kept() -> None:
    assert str(errors.InvalidDuration(value=10**5000)).startswith("'a number of 16610 bits' is not a duration.")
    assert errors.InvalidId(kind="process id", value="x" * 9_000_000, grammar="g").fields["value"] == "x" * 200 + "…"
    assert errors.InvalidId(kind="process id", value="\ud800", grammar="g").to_json()["fields"] == {
        "kind": "process id",
        "value": "\\ud800",
        "grammar": "g",
    }


def test_only_these_may_be_repeated() -> None:
    leaves = {kind.__name__ for kind in tree() if kind.retryable}
    assert leaves == {
        "AttachmentStoreFailed",
        "RedisUnavailable",
        "StoreOutOfMemory",
        "RetryAfter",
        "HeadConflict",
        "WritesRefused",
    }


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling_and_json(kind: type[WakelineError]) -> None:
    error = sample(kind)
    for copy in (pickle.loads(pickle.dumps(error)), errors.from_json(error.to_json())):
        assert type(copy) is kind
        assert (copy.fields, str(copy)) == (error.fields, str(error))


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_every_class_stands_in_the_drawn_tree(kind: type[WakelineError]) -> None:
    assert errors.__doc__ is not None
    assert re.search(rf"\b{kind.__name__}\b", errors.__doc__)


def test_fields_are_attributes_and_part_of_the_message() -> None:
    error = errors.MailboxFull(process_id="p_1", limit=1024)
    assert (error.process_id, error.limit) == ("p_1", 1024)
    assert str(error) == "Process 'p_1' has 1024 signals it has not taken. Send again when it has taken some."
    assert error.to_json() == {
        "code": "mailbox_full",
        "message": str(error),
        "retryable": False,
        "fields": {"process_id": "p_1", "limit": 1024},
    }


def test_braces_in_a_field_are_no_template() -> None:
    assert str(errors.NonRetryable("no {braces} here")) == "no {braces} here"


@pytest.mark.parametrize("fields", [{}, {"process_id": "p_1", "other": 1}])
def test_missing_or_unknown_fields_are_a_programming_error(fields: dict[str, object]) -> None:
    kind: type[WakelineError] = errors.ProcessNotFound
    with pytest.raises(TypeError, match="ProcessNotFound takes process_id"):
        kind(**fields)


def test_fields_with_a_default_may_be_left_out() -> None:
    error = errors.ToolFailed(tool="charge", failure_class="execution", failure_code="x", failure_message="y")
    assert (error.final, error.retry_after_ms) == (False, None)


def test_an_unknown_recorded_error_keeps_its_code_and_message() -> None:
    error = errors.from_json({"code": "from_the_future", "message": "what it said", "fields": {"a": 1}})
    assert isinstance(error, errors.UnknownError)
    assert (error.original_code, str(error)) == ("from_the_future", "from_the_future: what it said")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (
            {
                "code": "process_not_found",
                "message": "as it said then",
                "fields": {"process_id": "p", "later": {"a": [1]}},
            },
            "as it said then",
        ),
        (
            {"code": "process_not_found", "fields": {"process_id": "p", "later": 1}},
            "There is no process 'p'. Check the id and the namespace.",
        ),
        (
            {"code": "process_not_found", "message": 7, "fields": {"process_id": "p"}},
            "There is no process 'p'. Check the id and the namespace.",
        ),
    ],
)
def test_a_recorded_error_with_a_field_of_a_later_release_stays_of_its_class(data: dict[str, Any], shown: str) -> None:
    error = errors.from_json(data)
    assert (type(error), error.fields, str(error)) == (errors.ProcessNotFound, {"process_id": "p"}, shown)


@pytest.mark.parametrize(
    "data", [{}, {"code": 7}, {"code": "process_not_found", "fields": 7}, {"code": "process_not_found", "fields": "xy"}]
)
def test_what_is_no_recorded_error_is_an_unknown_one(data: dict[str, Any]) -> None:
    assert type(errors.from_json(data)) is errors.UnknownError


def test_a_recorded_error_with_other_fields_is_not_guessed() -> None:
    error = errors.from_json({"code": "process_not_found", "message": "gone", "fields": {"renamed": 1}})
    assert isinstance(error, errors.UnknownError)
    assert error.original_message == "gone"


@pytest.mark.parametrize("kind", [errors.Parked, errors.Stopped])
def test_control_flow_passes_except_exception(kind: type[BaseException]) -> None:
    assert not issubclass(kind, Exception)
    assert not issubclass(kind, WakelineError)
