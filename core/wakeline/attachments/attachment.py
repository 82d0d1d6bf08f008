"""What an attachment is: its id, the value that stands for it in JSON, and who may own it.

Invariant: the id is the hash of the bytes, so the same bytes are the same attachment.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_serializer

from wakeline.errors import InvalidAttachment
from wakeline.values import from_json

PREFIX = "sha256:"
HOST = "host"
"""The owner of attachments that code with the app puts; they are kept until they are deleted."""
MAX_ATTACHMENT = 64 * 1024 * 1024
MARK = '"__attachment__"'
DEFAULT_TYPE = "application/octet-stream"
_ID = re.compile(r"sha256:[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")


class Attachment(BaseModel):
    """A reference to stored bytes: a type for arguments, signals and results, which travels as ``{"__attachment__":
    "sha256:…", "media_type": "image/png", "size": 70}``. A reference gives no right to read the bytes; only owners may.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(validation_alias=AliasChoices("__attachment__", "id"), pattern=r"^sha256:[0-9a-f]{64}$")
    media_type: str = DEFAULT_TYPE
    size: int = Field(ge=0)

    @model_serializer
    def _as_reference(self) -> dict[str, Any]:
        return {"__attachment__": self.id, "media_type": self.media_type, "size": self.size}


def attachment_of(data: bytes, media_type: str) -> Attachment:
    """The reference to these bytes; raises `InvalidAttachment` for an invalid media type, and for more than 64 MB."""
    if not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidAttachment(
            reason=(
                f"{_shown(media_type)} is no media type; one looks like image/png, in lower case and without parameters"
            )
        )
    if len(data) > MAX_ATTACHMENT:
        raise InvalidAttachment(
            reason=(
                f"it has {len(data)} bytes, at most {MAX_ATTACHMENT} are taken; keep it elsewhere and pass its address"
            )
        )
    return Attachment(id=PREFIX + hashlib.sha256(data).hexdigest(), media_type=media_type, size=len(data))


def check_id(given: Attachment | str) -> str:
    """The id of an attachment, given as a reference or as an id; raises `InvalidAttachment`."""
    found = given.id if isinstance(given, Attachment) else given
    if not isinstance(found, str) or not _ID.fullmatch(found):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidAttachment(reason=f"{_shown(found)} is no id of one; ids are sha256:<64 hex digits>")
    return found


def _shown(value: object) -> str:
    return repr(value[:100] if isinstance(value, str | bytes) else value)


def owner_of_process(process_id: str) -> str:
    """A process as an owner: its attachments are kept while it is retained."""
    return f"process:{process_id}"


def owner_of_session(session_id: str) -> str:
    """A session as an owner: its attachments are kept until it is deleted."""
    return f"session:{session_id}"


def references_in(text: str) -> list[str]:
    """Ids of the attachments that a JSON text refers to, each once, in order. A text without any costs one search."""
    if MARK not in text:
        return []
    found: dict[str, None] = {}
    _collect(from_json(text), found)
    return list(found)


def _collect(value: Any, found: dict[str, None]) -> None:
    if isinstance(value, dict):
        ref: Any = value.get("__attachment__")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if isinstance(ref, str) and _ID.fullmatch(ref):
            found[ref] = None
        for one in value.values():  # pyright: ignore[reportUnknownVariableType]
            _collect(one, found)
    elif isinstance(value, list):
        for one in value:  # pyright: ignore[reportUnknownVariableType]
            _collect(one, found)
