"""Handles: which session may await, cancel and signal a process that it did not start, and the value that stands for a
handle.

Invariant: a grant belongs to a session scope, never to an execution scope, which ends with its run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from wakeline.errors import InvalidHandle, InvalidId, InvalidPayload
from wakeline.names import ProcessId, check_process_id
from wakeline.values import Stored, from_json

HANDLE_KEY = "__handle__"
HANDLE_KIND = "process"


class HandleDescriptor(Stored):
    """How a handle is shown to its holder."""

    kind: str | None = None
    label: str | None = None

    @classmethod
    def read(cls, text: str) -> HandleDescriptor:
        """A stored descriptor, as far as this release knows it: it is only shown."""
        try:
            data = from_json(text)
        except InvalidPayload:
            data = None
        found: Mapping[str, Any] = cast("Mapping[str, Any]", data) if isinstance(data, Mapping) else {}
        return cls(**{name: found[name] for name in cls.model_fields if isinstance(found.get(name), str)})


def make_handle(process_id: str) -> dict[str, str]:
    """The handle value of a process: `{"__handle__": "process", "id": …}`."""
    return {HANDLE_KEY: HANDLE_KIND, "id": check_process_id(process_id, system=True)}


def parse_handle(value: Any) -> ProcessId:
    """The process that a handle value names. Other keys are ignored. Raises `InvalidHandle`, which says what is
    wrong."""
    if not isinstance(value, Mapping):
        raise InvalidHandle(reason=f"it is a {type(value).__name__}, not an object")
    handle = cast("Mapping[str, Any]", value)
    if HANDLE_KEY not in handle:
        raise InvalidHandle(reason=f"{HANDLE_KEY} is missing")
    if handle[HANDLE_KEY] != HANDLE_KIND:
        raise InvalidHandle(reason=f"{HANDLE_KEY} is {handle[HANDLE_KEY]!r}, not {HANDLE_KIND!r}")
    if not handle.get("id"):
        raise InvalidHandle(reason="id is missing or empty")
    try:
        return check_process_id(handle["id"], system=True)
    except InvalidId as error:
        raise InvalidHandle(reason=f"its id is {handle['id']!r}, which is no process id") from error
