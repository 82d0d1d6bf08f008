"""A cache in bytes: what was used last stays, and never more than the bound."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from pydantic import BaseModel
from wakeline import arguments, typed
from wakeline.bounded import Bounded
from wakeline.processes.events import EventType
from wakeline.processes.producing import Producible
from wakeline.processes.schema import _validators, check_payload


def test_what_was_used_longest_ago_goes_when_the_bytes_are_used_up() -> None:
    cache = Bounded[str, int](100)
    cache.put("a", 1, 40)
    cache.put("b", 2, 40)
    assert cache.get("a") == 1
    cache.put("c", 3, 40)
    assert (cache.items(), cache.bytes) == ([("a", 1), ("c", 3)], 80)


def test_what_is_put_again_weighs_what_it_weighs_now() -> None:
    cache = Bounded[str, int](100)
    cache.put("a", 1, 90)
    cache.put("a", 2, 10)
    assert (cache.get("a"), cache.bytes) == (2, 10)
    cache.drop("a")
    cache.drop("a")
    assert (cache.get("a"), cache.bytes, len(cache)) == (None, 0, 0)


def test_what_is_heavier_than_the_bound_is_not_kept_and_drives_nothing_out() -> None:
    cache = Bounded[str, int](100)
    cache.put("a", 1, 50)
    cache.put("b", 2, 101)
    assert cache.items() == [("a", 1)]


def test_a_number_bounds_it_too_where_one_is_given() -> None:
    cache = Bounded[int, int](1_000, most=2)
    for n in range(5):
        cache.put(n, n, 1)
    assert cache.items() == [(3, 3), (4, 4)]


def test_what_is_known_of_a_process_weighs_its_schemas() -> None:
    known = Producible(
        "p", "i", (EventType(name="a", payload_schema={"type": "string", "title": "x" * 1_000}),), strict_signals=False
    )
    assert 8_000 < known.weight < 10_000


def test_validators_of_large_schemas_stay_within_their_bytes() -> None:
    for n in range(40):
        check_payload({"type": "string", "title": f"{n}" + "x" * 50_000}, "fits", "a test")
    assert len(_validators) < 30
    assert _validators.bytes <= 8 * 1024 * 1024


class Held:
    """What a closure holds."""


def alive(made: Any) -> bool:
    """Whether something is still there after a collection of all garbage."""
    gc.collect()
    return made() is not None


def test_a_steps_function_is_not_kept_by_what_was_learned_of_it() -> None:
    def step() -> weakref.ref[Held]:
        held = Held()

        def annotated() -> int:
            return len(repr(held))

        assert arguments.result_kind("a step", lambda: held) is Any
        assert arguments.result_kind("a step", annotated) is int
        return weakref.ref(held)

    assert not alive(step())


def test_a_type_that_a_body_makes_goes_with_it() -> None:
    def step() -> weakref.ref[Held]:
        held = Held()

        class Own(BaseModel):
            n: int

            def look(self) -> Held:
                return held

        assert typed.load({"n": 1}, Own).look() is held
        assert typed.load([{"n": 1}], list[Own])[0].look() is held
        assert typed.dump(Own(n=1), Own | None) == {"n": 1}
        return weakref.ref(held)

    assert not alive(step())


def test_the_adapter_of_a_type_with_a_name_is_made_once() -> None:
    assert typed.adapter(dict[str, EventType]) is typed.adapter(dict[str, EventType])


def test_the_adapters_of_a_bodys_own_types_are_made_once() -> None:
    class Own(BaseModel):
        n: int

    def body(order: Own) -> list[Own]:
        return [order]

    body.__annotations__ = {"order": Own, "return": list[Own]}
    signature = arguments.Signature("body", body)
    assert typed.adapter(Own) is typed.adapter(Own)
    assert signature.result == list[Own]
    assert typed.adapter(list[Own]) is typed.adapter(list[Own])
