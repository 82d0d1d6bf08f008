"""Attachments in a bucket of S3, or of a service with the same protocol (`pip install wakeline[s3]`).

Invariant: in S3 an object appears whole or not at all. Nothing here depends on the order of its listings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

from wakeline.attachments.backend import StoredBlob, is_location
from wakeline.errors import AttachmentStoreFailed

T = TypeVar("T")


class S3Blobs:
    """Keeps bytes as objects ``<prefix><location>`` of a bucket; boto3 finds credentials and region."""

    name = "s3"
    durable = True

    def __init__(
        self, bucket: str, *, prefix: str = "wakeline/", endpoint_url: str | None = None, client: Any = None
    ) -> None:
        self.bucket, self.prefix = bucket, prefix
        self._endpoint_url = endpoint_url
        self._client = client

    def put(self, location: str, data: bytes) -> None:
        """Writes the object."""
        self._asked(lambda s3: s3.put_object(Bucket=self.bucket, Key=self.prefix + location, Body=data))

    def get(self, location: str) -> bytes | None:
        """Reads the object."""

        def read(s3: Any) -> bytes | None:
            try:
                return bytes(s3.get_object(Bucket=self.bucket, Key=self.prefix + location)["Body"].read())
            except s3.exceptions.NoSuchKey:
                return None

        return self._asked(read)

    def delete(self, location: str) -> None:
        """Removes the object; S3 accepts that there is none."""
        self._asked(lambda s3: s3.delete_object(Bucket=self.bucket, Key=self.prefix + location))

    def list(self) -> Iterator[StoredBlob]:
        """All objects of Wakeline under the prefix, a page at a time."""
        token: dict[str, str] = {}
        while True:
            page = self._asked(partial(self._listed, token))
            for found in page.get("Contents", ()):
                location = str(found["Key"]).removeprefix(self.prefix)
                if is_location(location):
                    yield StoredBlob(location, int(found["Size"]), int(found["LastModified"].timestamp() * 1000))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _listed(self, token: dict[str, str], s3: Any) -> dict[str, Any]:
        found: dict[str, Any] = s3.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, **token)
        return found

    def close(self) -> None:
        """boto3 lets go of idle connections by itself."""

    def _asked(self, ask: Callable[[Any], T]) -> T:
        try:
            # The package is optional and has no types.
            session: Any = import_module("boto3.session")
            failures: Any = import_module("botocore.exceptions")
        except ImportError as error:
            raise AttachmentStoreFailed(
                backend=self.name, reason="boto3 is not installed; pip install 'wakeline[s3]'"
            ) from error
        try:
            if self._client is None:
                self._client = session.Session().client("s3", endpoint_url=self._endpoint_url)
            return ask(self._client)
        except (failures.BotoCoreError, failures.ClientError) as error:
            # botocore's text has the endpoint, with its login.
            raise AttachmentStoreFailed(backend=self.name, reason=re.sub(r"//[^/\s]*@", "//", str(error))) from error
