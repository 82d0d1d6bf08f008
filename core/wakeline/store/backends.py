"""Which backend a URL means.

Invariant: the scheme alone decides; what cannot work is refused before anything is connected.
"""

from __future__ import annotations

from typing import Any

from wakeline.store.connection import Backend, UrlBackend
from wakeline.store.sentinel import SCHEME, SentinelBackend


def backend_of(url: str, options: dict[str, Any] | None = None) -> Backend:
    """``redis://``, ``rediss://``, ``unix://`` or ``sentinel://``; raises `RedisRefused`, `TlsFailed`."""
    if url.startswith(f"{SCHEME}://"):
        return SentinelBackend(url)
    return UrlBackend(url, options=options)
