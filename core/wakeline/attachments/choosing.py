"""Which backend an app's attachments go to, according to one setting.

Invariant: a setting that cannot work is refused when it is read, and not when the first bytes get lost.
"""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import parse_qs, urlsplit

from wakeline.attachments.backend import BlobBackend
from wakeline.attachments.directory import DirectoryBlobs
from wakeline.attachments.s3 import S3Blobs
from wakeline.errors import ExtraMissing, SettingsInvalid

NAME = "WAKELINE_ATTACHMENTS"


def chosen_backend(setting: str | None) -> BlobBackend | None:
    """``redis`` (None: the store's own), ``dir:/a/path`` or ``s3://bucket/prefix?endpoint=https://…``. Raises
    `SettingsInvalid`, `ExtraMissing`."""
    if setting in (None, "", "redis"):
        return None
    assert setting is not None
    if setting.startswith("dir:/"):
        return DirectoryBlobs(setting.removeprefix("dir:"))
    parts = urlsplit(setting)
    if parts.scheme == "s3" and parts.netloc:
        if find_spec("boto3") is None:
            raise ExtraMissing(what=f"{NAME}=s3://…", extra="s3", instead="choose redis or dir:/<absolute path>")
        endpoint = parse_qs(parts.query).get("endpoint", [None])[0]
        prefix = parts.path.strip("/")
        return S3Blobs(parts.netloc, prefix=f"{prefix}/" if prefix else "", endpoint_url=endpoint)
    # With an @ it may hold a password.
    raise SettingsInvalid(
        name=NAME,
        value="…" if "@" in setting else setting,
        reason="it is redis, dir:/<absolute path> or s3://<bucket>/<prefix>",
    )
