"""Execution environments: their names, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from wakeline.environments.spec import (
    EMPTY,
    EMPTY_ENVIRONMENT,
    EnvironmentSpec,
    SessionPolicy,
    check_ref,
    digest_of,
    environment,
)
from wakeline.errors import InvalidEnvironment, InvalidPayload, PayloadTooLarge


def test_the_name_of_the_empty_environment_is_pinned() -> None:
    assert EMPTY.ref == EMPTY_ENVIRONMENT == EnvironmentSpec(plugin_options={}, policy=SessionPolicy()).ref


def test_a_name_is_a_function_of_the_content_alone() -> None:
    one = environment({"plugin_options": {"b": 1, "a": {"x": [1, 2]}}, "policy": {"model": "m"}})
    other = EnvironmentSpec(policy=SessionPolicy(model="m"), plugin_options={"a": {"x": [1, 2]}, "b": 1.0})
    assert one.ref == other.ref == "process-env:sha256:1f71ac5d330cdd2e2625af1eae9730d1e6a69b8ef09cea53bbed008406c7c42c"
    assert one.ref != EMPTY.ref


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"plugins": {}}, "plugins: Extra inputs are not permitted"),
        ({"policy": {"temperature": 1}}, "policy.temperature: Extra inputs are not permitted"),
        ({"plugin_options": []}, "plugin_options: Input should be a valid dictionary"),
    ],
)
def test_a_field_that_nobody_knows_is_refused_by_name(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidEnvironment) as caught:
        environment(given)
    assert reason in str(caught.value)


def test_an_environment_has_a_size() -> None:
    with pytest.raises(PayloadTooLarge):
        environment({"plugin_options": {"a": "x" * 300_000}})


def test_what_json_cannot_hold_is_no_environment() -> None:
    with pytest.raises((InvalidEnvironment, InvalidPayload)):
        environment({"plugin_options": {"a": float("nan")}})


@pytest.mark.parametrize(
    "ref", ["", "process-env:sha256:ab", "process-env:sha256:" + "G" * 64, "env:" + "0" * 64, EMPTY_ENVIRONMENT + "0"]
)
def test_what_is_no_name_is_refused(ref: str) -> None:
    with pytest.raises(InvalidEnvironment):
        check_ref(ref)


def test_the_digest_is_what_its_key_is_built_from() -> None:
    assert digest_of(EMPTY_ENVIRONMENT) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
