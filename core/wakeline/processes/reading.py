"""Reads registrations, also those of a later release as far as this one knows them, and unreadable ones.

Invariant: reading never raises. A registration that is not known whole says so. It is shown here, and neither run nor
repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from wakeline.causality import Provenance
from wakeline.errors import InvalidPayload, RegistrationUnreadable
from wakeline.processes.inputs import ExternalInput, Identity
from wakeline.processes.registration import SHAPE, Registration
from wakeline.values import from_json

NAMED = 5
"""How many unknown fields a reason names."""
UNREADABLE = "unreadable"
"""The kind of a process whose kind cannot be read."""


def read_registration(process_id: str, text: str | bytes) -> Registration:
    """A stored registration. `Registration.unknown` says which parts this release does not know. `Registration.known`
    is False if no part can be relied on."""
    try:
        return Registration.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False)
    try:
        data = from_json(text)
    except InvalidPayload as error:
        return _stand_in(process_id, {}, str(error.fields["reason"]))
    if not isinstance(data, dict):
        return _stand_in(process_id, {}, "it is no object")
    fields = cast("dict[str, Any]", data)
    shape = fields.get("schema_version", SHAPE)
    if isinstance(shape, int) and shape > SHAPE:
        return _without(process_id, fields, [*found], f"it has shape {shape}, and this release knows {SHAPE}")
    if all(one["type"] == "extra_forbidden" for one in found):
        names = ", ".join(".".join(map(str, one["loc"])) for one in found[:NAMED])
        return _without(process_id, fields, found, f"it has fields that this release does not know: {names}")
    return _stand_in(process_id, fields, _first(found))


def check_known(registration: Registration) -> Registration:
    """The registration; raises `RegistrationUnreadable` if this release does not know it whole."""
    if registration.unknown is not None:
        raise RegistrationUnreadable(process_id=registration.id, reason=registration.unknown)
    return registration


def _without(process_id: str, data: dict[str, Any], found: Sequence[ErrorDetails], reason: str) -> Registration:
    """The registration without all unknown parts."""
    data.pop("schema_version", None)
    for one in found:
        if one["type"] == "extra_forbidden":
            _drop(data, one["loc"])
    try:
        read = Registration.model_validate(data, strict=False)
    except ValidationError:
        return _stand_in(process_id, data, reason)
    return read.with_unknown(reason)


def _drop(data: dict[str, Any], loc: Sequence[int | str]) -> None:
    """Removes a field."""
    here: Any = data
    for step in loc[:-1]:
        # The tag of a union stands among the names, and is no name.
        with suppress(KeyError, TypeError, IndexError):
            here = here[step]
    with suppress(KeyError, TypeError, IndexError):
        del here[loc[-1]]


def _stand_in(process_id: str, data: Mapping[str, Any], reason: str) -> Registration:
    """What can be shown of an unreadable registration."""
    identity = data.get("identity")
    named = cast("dict[str, Any]", identity) if isinstance(identity, dict) else {}
    kind, label = named.get("kind"), named.get("label")
    made = Registration(
        id=process_id,
        input=ExternalInput(),
        identity=Identity(
            kind=kind if isinstance(kind, str) else UNREADABLE, label=label if isinstance(label, str) else None
        ),
        provenance=Provenance(),
        queue=_text(data, "queue"),
        incarnation=_text(data, "incarnation"),
    )
    return made.with_unknown(reason, known=False)


def _text(data: Mapping[str, Any], name: str) -> str:
    found = data.get(name)
    return found if isinstance(found, str) else ""


def _first(found: Sequence[ErrorDetails]) -> str:
    first = found[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
