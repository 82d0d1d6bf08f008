"""Attachments as files of one directory. Every process of a deployment has to see it.

Invariant: a file appears under its name with all its bytes or not at all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wakeline.attachments.backend import StoredBlob, is_location
from wakeline.errors import AttachmentStoreFailed

STALE_MS = 3_600_000
"""The age at which the writer of a half-written file is taken for dead."""
FOLDER_MODE, FILE_MODE = 0o700, 0o600
"""Other users of the machine can read nothing. An existing folder keeps its mode, because its owner decided it."""
_WRITING = ".writing-"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


class DirectoryBlobs:
    """Keeps bytes as ``<root>/<namespace>/<first two digits>/<hash>-<random>``; directories are made on first use."""

    name = "dir"
    durable = True

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def put(self, location: str, data: bytes) -> None:
        """Written beside its place, flushed, and moved there."""
        path = self._path(location)
        beside = path.with_name(_WRITING + path.name)
        try:
            self._make_folders(path.parent)
            with open(beside, "wb", opener=_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            raise AttachmentStoreFailed(backend=self.name, reason=str(error)) from error

    def _make_folders(self, folder: Path) -> None:
        # One by one, because `parents=True` gives the mode only to the last folder.
        for one in (*reversed(self.root.parents), self.root, folder.parent, folder):
            if not one.exists():
                one.mkdir(mode=FOLDER_MODE, exist_ok=True)

    def get(self, location: str) -> bytes | None:
        """The file's bytes."""
        try:
            return self._path(location).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AttachmentStoreFailed(backend=self.name, reason=str(error)) from error

    def delete(self, location: str) -> None:
        """Removes the file."""
        try:
            self._path(location).unlink(missing_ok=True)
        except OSError as error:
            raise AttachmentStoreFailed(backend=self.name, reason=str(error)) from error

    def list(self) -> Iterator[StoredBlob]:
        """All files of Wakeline. It removes half-written files that were left behind."""
        now_ms: int | None = None
        for path in self.root.glob("*/??/*"):
            location = f"{path.parent.parent.name}/{path.name}"
            try:
                facts = path.stat()
                if path.name.startswith(_WRITING):
                    now_ms = self._now_ms() if now_ms is None else now_ms
                    if now_ms - facts.st_mtime * 1000 > STALE_MS:
                        path.unlink(missing_ok=True)
                elif is_location(location):
                    yield StoredBlob(location, facts.st_size, int(facts.st_mtime * 1000))
            except FileNotFoundError:
                continue  # removed meanwhile
            except OSError as error:
                raise AttachmentStoreFailed(backend=self.name, reason=str(error)) from error

    def close(self) -> None:
        """There is nothing to let go of."""

    def _now_ms(self) -> int:
        # The time of a file that is written now. The directory, and the program that writes there, may be on another
        # machine. By the time of day of this machine such a file may look old.
        with tempfile.NamedTemporaryFile(prefix=".now-", dir=self.root) as file:
            return int(os.stat(file.fileno()).st_mtime * 1000)

    def _path(self, location: str) -> Path:
        if not is_location(location):
            raise AttachmentStoreFailed(backend=self.name, reason=f"{location[:100]!r} is no location")
        namespace, name = location.split("/")
        return self.root / namespace / name[:2] / name
