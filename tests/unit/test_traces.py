"""What a log shows of an error in user code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
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
    assert shown.endswith("xxx… (100001 characters)")
    assert len(shown) < 2_000


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


def dives(depth: int) -> None:
    if depth == 0:
        raise ValueError("deep")
    climbs(depth - 1) if depth % 2 else dives(depth - 1)


def climbs(depth: int) -> None:
    dives(depth)


def test_of_many_frames_the_deepest_stay_and_the_others_are_counted() -> None:
    with pytest.raises(ValueError, match="deep") as raised:
        dives(300)
    shown = trace_of(raised.value)
    assert len(shown.encode()) <= 8_192
    frames = [line for line in shown.splitlines() if line.startswith("  File")]
    assert frames[-1].endswith(", in dives")
    assert frames[-2].endswith(", in climbs")
    left_out = int(shown.split("… (")[1].split(" ")[0])
    assert (left_out + len(frames), shown.splitlines()[-1]) == (452, "ValueError: deep")


def test_the_deepest_frames_stay_where_even_some_are_too_long() -> None:
    own: dict[str, Any] = {}
    text = "def down(n):\n if n % 2: up(n - 1)\n else: up(n - 1)\ndef up(n):\n if n < 1: bottom()\n down(n)\n"
    text += "def bottom():\n raise ValueError('deep')"
    exec(compile(text, "x" * 600, "exec"), own)
    with pytest.raises(ValueError, match="deep") as raised:
        own["down"](50)
    shown = trace_of(raised.value)
    assert 2_000 < len(shown.encode()) <= 8_192
    frames = [line.split(", in ")[1] for line in shown.splitlines() if line.startswith("  File")]
    assert frames[-3:] == ["down", "up", "bottom"]


def endless() -> None:
    endless()


def test_an_endless_recursion_is_shown_in_few_lines() -> None:
    with pytest.raises(RecursionError) as raised:
        endless()
    shown = trace_of(raised.value)
    assert "in endless\n" in shown
    assert "RecursionError: maximum recursion depth exceeded" in shown
    assert len(shown) < 1_500


def test_the_ends_of_a_long_chain_are_shown() -> None:
    error: Exception | None = None
    for n in range(1_000):
        try:
            raise ValueError(f"number {n}.") from error
        except ValueError as raised:
            error = raised
    assert error is not None
    shown = trace_of(error)
    assert ["ValueError: number 0." in shown, "ValueError: number 3." in shown, "number 4." in shown] == [
        True,
        True,
        False,
    ]
    assert "… (992 exceptions between are left out)" in shown
    assert shown.endswith("ValueError: number 999.")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_an_error_without_a_text_keeps_its_frames() -> None:
    def fails_so() -> None:
        raise Unprintable

    with pytest.raises(Unprintable) as raised:
        fails_so()
    assert "in fails_so" in trace_of(raised.value)
    assert trace_of(raised.value).endswith("Unprintable: (it cannot be shown as text)")


def test_values_of_variables_tokens_and_passwords_are_not_shown() -> None:
    def logs_in(password: str) -> None:
        del password
        raise ValueError("redis://shop:hunter2/@db:6379/0, wt1.abcdefgh.ijkl")

    with pytest.raises(ValueError, match="redis") as raised:
        logs_in("".join(["ti", "ger"]))
    shown = trace_of(raised.value)
    assert shown.endswith("ValueError: redis://shop:…@db:6379/0, wt1.…")
    assert ("hunter2" in shown, "tiger" in shown, "abcdefgh" in shown) == (False, False, False)


ERRORS = st.recursive(
    st.one_of(
        st.text(max_size=50).map(ValueError),
        st.integers(1, 20_000).map(lambda n: ValueError("é" * n)),
        st.sampled_from(["\ud800\udfff", "\x1b[2J\n\r\x00", "\U0001f600" * 3_000]).map(KeyError),
        st.builds(Unprintable),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=12).map(lambda parts: ExceptionGroup("several " + "x" * 2_000, parts)),
        st.tuples(inner, inner, st.booleans()).map(lambda given: chained(*given)),
        inner.map(lambda error: noted(error)),
    ),
    max_leaves=20,
)


def chained(error: Exception, before: Exception, is_cause: bool) -> Exception:
    made = RuntimeError("wraps", error)
    if is_cause:
        made.__cause__ = before
    else:
        made.__context__ = before
    return made


def noted(error: Exception) -> Exception:
    error.add_note("note " * 5_000)
    return error


def raised_at(error: Exception, depth: int) -> None:
    if depth == 0:
        raise error
    raised_at(error, depth - 1)


@given(ERRORS, st.integers(0, 80))
def test_the_trace_of_any_error_is_text_of_at_most_8_kb_with_its_deepest_frame(error: Exception, depth: int) -> None:
    with pytest.raises(type(error)) as raised:
        raised_at(error, depth)
    shown = trace_of(raised.value)
    assert len(shown.encode()) <= 8_192
    assert "in raised_at" in shown or shown.startswith("\n…")


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
