"""Templates of starts: what is filled in is what the whole way makes, to the byte."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from wakeline import App, AsyncCtx
from wakeline.processes.registration import Registration
from wakeline.values import to_json
from wakeline.verbs.options import NOTHING
from wakeline.verbs.registrations import Registrations, registration_of

app = App("shop")
ENV = "process-env:sha256:" + "0" * 64
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@app.engine(signals={"BLANK": int})
async def takes(ctx: AsyncCtx, value: Any = None, payload: Any = None) -> None:
    """Anything."""


@app.engine(label="for {value}")
async def labelled(ctx: AsyncCtx, value: str) -> None:
    """A label of its own for every start."""


def filled(arguments: dict[str, Any]) -> Registration:
    """The registration of a second start: the first one makes the template."""
    starts = Registrations("shop")
    starts.of(takes, {"value": 1}, NOTHING, env_ref=ENV, wake_target=None, wake_end=False)
    return starts.of(takes, arguments, NOTHING, env_ref=ENV, wake_target=None, wake_end=False)


def whole(like: Registration, arguments: dict[str, Any]) -> Registration:
    """The registration that is put together and checked anew."""
    made = registration_of(takes, arguments, NOTHING, namespace="shop", env_ref=ENV, process_id=like.id)
    data = made.model_dump(exclude_defaults=True) | {"incarnation": like.incarnation}
    return Registration.from_json(to_json(data))


@given(st.dictionaries(st.sampled_from(["value", "payload"]), JSON))
def test_a_filled_in_registration_is_the_whole_one(arguments: dict[str, Any]) -> None:
    made = filled(arguments)
    expected = whole(made, arguments)
    assert made.text == expected.text
    assert made.content_hash == expected.content_hash
    assert made == expected


def test_text_that_looks_like_a_blank_is_text() -> None:
    arguments = {"value": '"payload":"BLANK"', "payload": {"incarnation": "BLANK", "id": "BLANK"}}
    made = filled(arguments)
    assert Registration.from_json(made.text).input.model_dump()["payload"] == arguments
    assert made.text == whole(made, arguments).text


def test_two_starts_share_neither_id_nor_incarnation() -> None:
    one, other = filled({}), filled({})
    assert one.id != other.id
    assert one.incarnation != other.incarnation


def test_what_differs_by_its_arguments_has_no_template() -> None:
    starts = Registrations("shop")
    for value in ("a", "b"):
        made = starts.of(labelled, {"value": value}, NOTHING, env_ref=ENV, wake_target=None, wake_end=False)
        assert made.identity.label == f"for {value}"
