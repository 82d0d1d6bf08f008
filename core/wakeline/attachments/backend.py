"""Where the bytes lie: a `BlobBackend` keeps them under locations that Wakeline chooses; `Blobs` are the backends of an
app by name.

Invariant: a location is used for one upload only, so a removal never hits newer bytes.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from wakeline.errors import AttachmentBackendMissing

_LOCATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}/[0-9a-f]{64}-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """One location of a backend: its bytes' number, and when they were written (ms since 1970, by the backend's
    clock)."""

    location: str
    size: int
    at_ms: int


class BlobBackend(Protocol):
    """Keeps bytes. It is called off the event loop, from several threads, and raises `AttachmentStoreFailed` if it
    cannot do its work."""

    @property
    def name(self) -> str:
        """The word before its locations, made of letters of a word alone."""
        ...

    @property
    def durable(self) -> bool:
        """Whether its bytes outlive a restart."""
        ...

    def put(self, location: str, data: bytes) -> None:
        """Keep these bytes, whole or not at all."""
        ...

    def get(self, location: str) -> bytes | None:
        """The bytes; None if there are none."""
        ...

    def delete(self, location: str) -> None:
        """Remove them; no error where there are none."""
        ...

    def list(self) -> Iterator[StoredBlob]:
        """Everything it keeps, in any order."""
        ...

    def close(self) -> None:
        """Let go of connections; the next use makes new ones."""
        ...


def new_location(namespace: str, attachment_id: str) -> str:
    """A place for one upload of these bytes, such as ``shop/<hash>-<random>``. The namespace keeps it apart from others
    in the same backend. By the hash people can find it. The random digits make it unique to this upload.
    """
    return f"{namespace}/{attachment_id.removeprefix('sha256:')}-{secrets.token_hex(8)}"


def is_location(text: str) -> bool:
    """Whether Wakeline could have chosen this location; other things that lie there are not touched."""
    return bool(_LOCATION.fullmatch(text))


@dataclass(frozen=True, slots=True)
class Blobs:
    """The backends of an app: the one that new bytes go to, and all that old ones may lie in."""

    namespace: str
    chosen: BlobBackend
    known: Mapping[str, BlobBackend]

    @classmethod
    def of(cls, namespace: str, chosen: BlobBackend, *others: BlobBackend) -> Blobs:
        """Backends by their names."""
        return cls(namespace, chosen, MappingProxyType({backend.name: backend for backend in (*others, chosen)}))

    def close(self) -> None:
        """Lets go of all connections."""
        for backend in self.known.values():
            backend.close()

    def named(self, name: str) -> BlobBackend:
        """The backend of a name; raises `AttachmentBackendMissing`."""
        found = self.known.get(name)
        if found is None:
            raise AttachmentBackendMissing(backend=name, known=sorted(self.known))
        return found
