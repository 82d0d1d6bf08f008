"""Attachments for code: what one owner can do.

Invariant: only owners read bytes. Code that holds the app may read all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from wakeline.attachments.attachment import DEFAULT_TYPE, HOST, Attachment, check_id, references_in
from wakeline.attachments.backend import Blobs
from wakeline.errors import InvalidArguments
from wakeline.pages import Page, first_of
from wakeline.store import attachments
from wakeline.store.attachments import Found
from wakeline.store.calls import Program
from wakeline.values import check_number

T = TypeVar("T")
MOST_LISTED = 1_000


class AttachmentVerbs:
    """What one owner can do with attachments, as programs. ``readers`` are the owners whose attachments it may read;
    None for code that holds the app."""

    def __init__(self, blobs: Callable[[], Blobs], owner: str = HOST, readers: Sequence[str] | None = None) -> None:
        self.blobs, self.owner, self.readers = blobs, owner, readers

    def put(self, data: bytes, media_type: str) -> Program[Attachment]:
        """Keep bytes."""
        if not isinstance(data, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArguments(
                name="put", reason=f"it takes bytes, not {type(data).__name__}; encode a text, read a file in mode 'rb'"
            )
        stored = yield from attachments.put(self.blobs(), bytes(data), media_type, self.owner)
        return stored

    def get(self, attachment: Attachment | str) -> Program[bytes]:
        """Its bytes."""
        data = yield from attachments.get(self.blobs(), check_id(attachment), self.readers)
        return data

    def head(self, attachment: Attachment | str) -> Program[Attachment | None]:
        """Its media type and size; None if this owner does not have it."""
        found: Found | None = yield attachments.read(check_id(attachment), self.readers)
        return found.attachment if found is not None else None

    def delete(self, attachment: Attachment | str) -> Program[bool]:
        """Give it up; returns whether this owner had it."""
        dropped: bool = yield attachments.drop(check_id(attachment), self.owner)
        return dropped

    def list(self, limit: int, after: Attachment | str | None) -> Program[Page[Attachment]]:
        """The attachments of this owner, by id."""
        check_number("limit", limit, most=MOST_LISTED)
        found: list[Attachment] = yield attachments.owned(
            self.owner, limit=limit + 1, after=check_id(after) if after is not None else None
        )
        return first_of(found, limit)


class Awaited(Protocol):
    """Runs the program of a verb on the loop."""

    def __call__(self, verb: str, program: Program[T], /) -> Awaitable[T]: ...


class AsyncAttachments:
    """The attachments of one owner. The hash of the bytes is their identity, so the same bytes are the same attachment,
    at no cost. Nothing here is recorded, and a replay may do it again."""

    def __init__(self, drive: Awaited, verbs: AttachmentVerbs) -> None:
        self._drive, self._verbs = drive, verbs

    async def put(self, data: bytes, media_type: str = DEFAULT_TYPE) -> Attachment:
        """Keep bytes, at most 64 MB (8 MB if they lie in Redis). Raises `InvalidAttachment`,
        `AttachmentStoreFailed`."""
        return await self._drive("attachments.put", self._verbs.put(data, media_type))

    async def get(self, attachment: Attachment | str) -> bytes:
        """The bytes of an attachment of this owner. Raises `AttachmentNotFound`, `AttachmentCorrupt`,
        `AttachmentStoreFailed`."""
        return await self._drive("attachments.get", self._verbs.get(attachment))

    async def head(self, attachment: Attachment | str) -> Attachment | None:
        """Its media type and size; None if this owner does not have it."""
        return await self._drive("attachments.head", self._verbs.head(attachment))

    async def delete(self, attachment: Attachment | str) -> bool:
        """Give it up; other owners keep it. Returns whether this owner had it. Bytes without an owner are removed
        within the hour."""
        return await self._drive("attachments.delete", self._verbs.delete(attachment))

    async def list(self, limit: int = 100, *, after: Attachment | str | None = None) -> Page[Attachment]:
        """What this owner has, by id. ``after`` is the last one of the page before. A page says ``.more`` if
        others follow."""
        return await self._drive("attachments.list", self._verbs.list(limit, after))


class BlockingDrive(Protocol):
    """Runs the program of a verb in the calling thread."""

    def __call__(self, verb: str, program: Program[T], /) -> T: ...


class Attachments:
    """`AsyncAttachments`, blocking."""

    def __init__(self, drive: BlockingDrive, verbs: AttachmentVerbs) -> None:
        self._drive, self._verbs = drive, verbs

    def put(self, data: bytes, media_type: str = DEFAULT_TYPE) -> Attachment:
        """Keep bytes, at most 64 MB (8 MB if they lie in Redis). Raises `InvalidAttachment`,
        `AttachmentStoreFailed`."""
        return self._drive("attachments.put", self._verbs.put(data, media_type))

    def get(self, attachment: Attachment | str) -> bytes:
        """The bytes of an attachment of this owner. Raises `AttachmentNotFound`, `AttachmentCorrupt`,
        `AttachmentStoreFailed`."""
        return self._drive("attachments.get", self._verbs.get(attachment))

    def head(self, attachment: Attachment | str) -> Attachment | None:
        """Its media type and size; None if this owner does not have it."""
        return self._drive("attachments.head", self._verbs.head(attachment))

    def delete(self, attachment: Attachment | str) -> bool:
        """Give it up; other owners keep it. Returns whether this owner had it. Bytes without an owner are removed
        within the hour."""
        return self._drive("attachments.delete", self._verbs.delete(attachment))

    def list(self, limit: int = 100, *, after: Attachment | str | None = None) -> Page[Attachment]:
        """What this owner has, by id. ``after`` is the last one of the page before. A page says ``.more`` if
        others follow."""
        return self._drive("attachments.list", self._verbs.list(limit, after))


class Giver(Protocol):
    """Passes attachments on for a body."""

    @property
    def givers(self) -> Sequence[str]:
        """The owners whose attachments the body may pass on."""
        ...


def handed(text: str, to: str, by: Giver | None = None, *, partly: bool = False) -> Program[None]:
    """Before a payload goes to a receiver, who becomes an owner of the attachments it names. A body hands on what it
    may read, a client all that has an owner. Raises `AttachmentNotFound`, unless ``partly``."""
    ids = references_in(text)
    if ids:
        yield attachments.share(ids, None if by is None else by.givers, to, partly=partly)
