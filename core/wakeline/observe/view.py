"""What all views share: each is a value with a form as JSON data.

Invariant: commands print this JSON, so HTTP and metrics can say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, cast

from wakeline.processes import outputs
from wakeline.processes.misfit import Misfit


class View:
    """A state of the store at one moment, for people and programs to read."""

    __slots__ = ()

    def to_data(self) -> dict[str, Any]:
        """As JSON data: its fields by name."""
        return {one.name: data_of(getattr(self, one.name)) for one in fields(cast("Any", self))}


def data_of(value: Any) -> Any:
    """A field of a view, or a view, as JSON data."""
    match value:
        case View():
            return value.to_data()
        case Misfit():
            return asdict(value) | {"message": value.message}
        case outputs.Success() | outputs.Failure() | outputs.CancelledOutput() | outputs.AbandonedOutput():
            return outputs.to_data(value)
        case list() | tuple():
            return [data_of(one) for one in cast("list[Any]", value)]
        case Mapping():
            return {name: data_of(one) for name, one in cast("Mapping[str, Any]", value).items()}
        case _:
            return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
