"""Attachments in Redis itself, which needs no setup and suits small ones.

Invariant: bytes go through a separate client, which decodes nothing, and never through a script.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import redis
from redis import exceptions as rex

from wakeline.attachments.backend import StoredBlob, is_location
from wakeline.errors import AttachmentStoreFailed, InvalidAttachment
from wakeline.store.connection import Backend

T = TypeVar("T")
MOST_BYTES = 8 * 1024 * 1024
"""The most bytes of an attachment. While the server copies a longer string, all other clients would wait."""


def _length(key: bytes, client: Any) -> int:
    return int(client.strlen(key))


class RedisBlobs:
    """Keeps bytes as strings of the namespace, at most 8 MB each."""

    name = "redis"
    durable = True

    def __init__(self, backend: Backend, prefix: str) -> None:
        self._backend, self._prefix = backend, f"{prefix}bytes:"
        self._made: redis.Redis | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def put(self, location: str, data: bytes) -> None:
        """Sets the string."""
        if len(data) > MOST_BYTES:
            reason = (
                f"it has {len(data)} bytes and Redis takes {MOST_BYTES}; give the app a directory or S3"
                " (App(attachments=…), WAKELINE_ATTACHMENTS)"
            )
            raise InvalidAttachment(reason=reason)
        self._asked(lambda client: client.set(self._prefix + location, data))

    def get(self, location: str) -> bytes | None:
        """Reads the string."""
        found: bytes | None = self._asked(lambda client: client.get(self._prefix + location))
        return found

    def delete(self, location: str) -> None:
        """Removes the string."""
        self._asked(lambda client: client.unlink(self._prefix + location))

    def list(self) -> Iterator[StoredBlob]:
        """All strings of this namespace. Redis keeps no time of writing, so they count as old, and intents protect
        those that are being written."""
        for key in self._asked(
            lambda client: list(client.scan_iter(match=self._prefix.replace("[", "\\[") + "*", count=1000))
        ):
            location = key.decode().removeprefix(self._prefix)
            if is_location(location):
                yield StoredBlob(location, self._asked(partial(_length, key)), 0)

    def _asked(self, ask: Callable[[Any], T]) -> T:
        try:
            return ask(self._client())
        except (rex.RedisError, OSError) as error:
            raise AttachmentStoreFailed(backend=self.name, reason=str(error).rstrip(".")) from error

    def _client(self) -> redis.Redis:
        with self._lock:
            if self._made is None or self._pid != os.getpid():  # a forked child gets its own
                self._made, self._pid = self._backend.for_rq(), os.getpid()
            return self._made

    def close(self) -> None:
        """Closes the client; the next use makes a new one."""
        with self._lock:
            if self._made is not None:
                self._made.close()
            self._made = None
