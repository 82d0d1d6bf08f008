"""What a log shows of an error in user code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from wakeline.errors import InvalidPayload, StepFailed
from wakeline.run import traces
from wakeline.run.boundary import contained
from wakeline.run.traces import trace_of
from wakeline.typed import dump


def fails() -> None:
    raise ValueError("no money")


def test_the_lines_of_user_code_are_shown_and_those_between_are_not() -> None:
    with pytest.raises(ValueError, match="no money") as raised:
        contained(fails)()
    shown = trace_of(raised.value).splitlines()
    assert shown[:2] == ["", "Traceback (most recent call last):"]
    here = "test_the_lines_of_user_code_are_shown_and_those_between_are_not"
    assert [line.split(", ")[-1] for line in shown if line.startswith("  File")] == [f"in {here}", "in fails"]
    assert shown[-1] == "ValueError: no money"


def test_what_an_error_came_from_is_shown_with_it() -> None:
    with pytest.raises(StepFailed) as raised:
        try:
            contained(fails)()
        except ValueError as error:
            raise StepFailed(step="pay", failure_code="ValueError", failure_message="no money") from error
    shown = trace_of(raised.value)
    assert "ValueError: no money\n\nThe above exception was the direct cause" in shown
    assert "containing.py" not in shown


def test_what_a_log_could_not_write_is_escaped_and_what_is_long_is_cut() -> None:
    def odd() -> None:
        raise ValueError("\ud800" + "x" * 100_000)

    with pytest.raises(ValueError, match="x") as raised:
        contained(odd)()
    shown = trace_of(raised.value)
    assert "ValueError: \\ud800xxx" in shown
    assert len(shown) < 17_000


class Broken(Exception):
    @property
    def __notes__(self) -> list[str]:
        raise RuntimeError("no notes")


def test_what_cannot_be_shown_is_not_and_harms_nothing() -> None:
    last: Exception | None = None
    for _ in range(5_000):
        made = ValueError("again")
        made.__cause__, last = last, made
    assert last is not None
    assert trace_of(last) == trace_of(Broken()) == ""


def test_the_lines_of_a_groups_members_are_shown() -> None:
    with pytest.raises(ValueError, match="no money") as raised:
        contained(fails)()
    shown = trace_of(ExceptionGroup("several", [raised.value]))
    assert "in fails" in shown
    assert "containing.py" not in shown


def test_a_package_whose_name_begins_like_one_of_ours_is_the_users() -> None:
    place = Path(traces.__file__).parents[2] / "wakeline_shop" / "app.py"
    code = compile("def sells(): raise ValueError('sold out')", str(place), "exec")
    own: dict[str, Any] = {}
    exec(code, own)
    with pytest.raises(ValueError, match="sold out") as raised:
        contained(own["sells"])()
    assert "in sells" in trace_of(raised.value)


def test_an_error_without_a_line_of_the_users_shows_none() -> None:
    assert trace_of(ValueError("raised nowhere")) == ""


class Price(BaseModel):
    cents: int
    currency: str


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        ("text", int, "it is 'text' (str), and int is declared"),
        ([1, "x"], list[int], "it is 'x' (str), and int is declared"),
        (
            Price.model_construct(cents="x", currency=3),  # type: ignore[arg-type]
            Price,
            "its 'cents' is 'x' (str), and int is declared; its 'currency' is 3 (int), and str is declared",
        ),
    ],
)
def test_a_value_of_another_type_than_declared_is_told_so(value: object, kind: object, reason: str) -> None:
    with pytest.raises(InvalidPayload) as raised:
        dump(value, kind, "The result of charge")
    assert raised.value.fields["reason"] == reason
