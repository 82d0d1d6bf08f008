"""Templates of starts: what is filled in is what the whole way makes, to the byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline import App, AsyncCtx
from wakeline.environments.spec import EMPTY, EnvironmentSpec
from wakeline.processes.registration import Registration
from wakeline.store import starts
from wakeline.values import to_json
from wakeline.verbs.options import NOTHING
from wakeline.verbs.registrations import Registrations, registration_of
from wakeline.verbs.templates import Filled

app = App("shop")
SEEN = EnvironmentSpec(plugin_options={"shop": {"currency": "EUR"}})
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


def started(arguments: dict[str, Any], environment: EnvironmentSpec = SEEN) -> Filled:
    """A second start: the first one makes the template."""
    known = Registrations("shop")
    known.of(takes, {"value": 1}, NOTHING, captured=environment, wake_target=None, wake_end=False)
    made = known.of(takes, arguments, NOTHING, captured=environment, wake_target=None, wake_end=False)
    assert isinstance(made, Filled)
    return made


def filled(arguments: dict[str, Any]) -> Registration:
    """Its registration."""
    return started(arguments).registration


def whole(like: Registration, arguments: dict[str, Any]) -> Registration:
    """The registration that is put together and checked anew."""
    made = registration_of(takes, arguments, NOTHING, namespace="shop", env_ref=SEEN.ref, process_id=like.id)
    data = made.model_dump(exclude_defaults=True) | {"incarnation": like.incarnation}
    return Registration.from_json(to_json(data))


@given(st.dictionaries(st.sampled_from(["value", "payload"]), JSON))
def test_a_filled_in_registration_is_the_whole_one(arguments: dict[str, Any]) -> None:
    made = filled(arguments)
    expected = whole(made, arguments)
    assert made.text == expected.text
    assert made.content_hash == expected.content_hash
    assert made == expected


@pytest.mark.parametrize("environment", [EMPTY, SEEN])
@given(arguments=st.dictionaries(st.sampled_from(["value", "payload"]), JSON))
def test_a_filled_in_start_sends_what_its_registration_would(
    environment: EnvironmentSpec, arguments: dict[str, Any]
) -> None:
    made = started(arguments, environment)
    whole = starts.register(made.registration, environment=environment)
    call = made.call()
    assert call.args == {name: value for name, value in whole.args.items() if value is not None}
    assert (call.script, call.payloads, call.about) == (whole.script, whole.payloads, whole.about)
    for reply in (["created", made.incarnation, "queued"], ["existing", "inc00001", "running"]):
        assert call.decode(reply) == whole.decode(reply)
    assert (made.producible, made.weight) == (made.registration.producible, made.registration.producible.weight)


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
    known = Registrations("shop")
    for value in ("a", "b"):
        made = known.of(labelled, {"value": value}, NOTHING, captured=SEEN, wake_target=None, wake_end=False)
        assert isinstance(made, Registration)
        assert made.identity.label == f"for {value}"
