"""Arguments by name: what is bound at once is what `inspect` binds, and what it refuses is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wakeline.arguments import Signature
from wakeline.errors import InvalidArguments


def nothing() -> None: ...
def both(a: Any, b: Any = 2) -> None: ...
def only_position(a: Any, b: Any = 2, /, c: Any = 3) -> None: ...
def only_name(a: Any, *, b: Any, c: Any = 3) -> None: ...
def extra(a: Any, /, b: Any = 2, **others: Any) -> None: ...


@pytest.mark.parametrize("function", [nothing, both, only_position, only_name, extra])
@given(
    args=st.lists(st.integers(0, 9), max_size=4),
    kwargs=st.dictionaries(st.sampled_from(["a", "b", "c", "d", "others"]), st.integers(0, 9), max_size=4),
)
def test_arguments_are_bound_as_python_would_bind_them(
    function: Callable[..., None], args: list[int], kwargs: dict[str, int]
) -> None:
    signature = Signature("it", function)
    try:
        arguments = inspect.signature(function).bind(*args, **kwargs).arguments
    except TypeError as error:
        with pytest.raises(InvalidArguments) as refused:
            signature.bind(*args, **kwargs)
        assert refused.value.fields["reason"] == str(error)
        return
    others = arguments.pop("others", {}) if function is extra else {}
    assert list(signature.bind(*args, **kwargs).items()) == list((arguments | others).items())
