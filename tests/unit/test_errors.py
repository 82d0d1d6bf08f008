"""One tree of errors: stable codes, messages that say what to do, nothing lost on the way to another process."""

from __future__ import annotations

import pickle
import re

import pytest
from wakeline import errors
from wakeline.errors import WakelineError


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


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ProcessNotFound, "process_not_found"),
        (errors.ProcessNoLongerRetained, "process_no_longer_retained"),
        (errors.AwaitEventUnknownOrRevoked, "await_event_unknown_or_revoked"),
        (errors.InvalidWaitIdentity, "invalid_await_event_wait_identity"),
        (errors.MissingExecutionScopeId, "missing_execution_scope_id"),
        (errors.ParkSwallowed, "park_swallowed"),
        (errors.TlsFailed, "tls_failed"),
        (errors.StoreOutOfMemory, "store_out_of_memory"),
        (errors.ReplayMismatch, "replay_mismatch"),
    ],
)
def test_codes_are_pinned(kind: type[WakelineError], code: str) -> None:
    assert kind.code == code


def test_only_these_may_be_repeated() -> None:
    leaves = {kind.__name__ for kind in tree() if kind.retryable}
    assert leaves == {"RedisUnavailable", "StoreOutOfMemory", "RetryAfter", "HeadConflict"}


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


def test_a_recorded_error_with_other_fields_is_not_guessed() -> None:
    error = errors.from_json({"code": "process_not_found", "message": "gone", "fields": {"renamed": 1}})
    assert isinstance(error, errors.UnknownError)
    assert error.original_message == "gone"


@pytest.mark.parametrize("kind", [errors.Parked, errors.Stopped])
def test_control_flow_passes_except_exception(kind: type[BaseException]) -> None:
    assert not issubclass(kind, Exception)
    assert not issubclass(kind, WakelineError)
