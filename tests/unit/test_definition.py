"""Retries: full jitter below a doubling ceiling; what the failure asks for wins."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from wakeline.tools.definition import RetryPolicy, ToolManifest


@pytest.mark.parametrize(
    ("attempt", "ceiling"),
    [(1, 200), (2, 400), (3, 800), (9, 51_200), (10, 60_000), (64, 60_000), (10_000, 60_000)],
)
def test_the_ceiling_doubles_up_to_its_limit(attempt: int, ceiling: int) -> None:
    assert RetryPolicy().delay_ms(attempt, None, lambda: 0.999999) in (ceiling - 1, ceiling)
    assert RetryPolicy().delay_ms(attempt, None, lambda: 0.5) == ceiling // 2
    assert RetryPolicy().delay_ms(attempt, None, lambda: 0.0) == 0


@pytest.mark.parametrize(("asked", "delay"), [(0, 0), (120_000, 120_000), (-5, 0)])
def test_what_the_failure_asks_for_is_taken_as_it_is(asked: int, delay: int) -> None:
    assert RetryPolicy().delay_ms(3, asked, lambda: 0.5) == delay


def test_a_manifest_stores_what_is_not_default() -> None:
    manifest = ToolManifest(id="tool:charge", name="charge", scheduling="serial")
    assert (
        manifest.model_dump_json(exclude_defaults=True) == '{"id":"tool:charge","name":"charge","scheduling":"serial"}'
    )
    with pytest.raises(ValidationError):
        ToolManifest.model_validate({"id": "t", "name": "t", "scheduling": "sometimes"})
