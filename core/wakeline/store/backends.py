"""Which backend a URL means.

Invariant: the scheme alone decides. A URL that cannot work is refused before anything is connected.
"""

from __future__ import annotations

from typing import Any

from wakeline.store import cluster, sentinel
from wakeline.store.connection import Backend, UrlBackend


def backend_of(url: str, namespace: str, *, rq_prefix: str = "rq", options: dict[str, Any] | None = None) -> Backend:
    """``redis://``, ``rediss://``, ``unix://``, ``sentinel://`` or ``cluster://``; raises `RedisRefused`,
    `TlsFailed`."""
    if url.startswith(f"{sentinel.SCHEME}://"):
        return sentinel.SentinelBackend(url)
    if url.startswith(f"{cluster.SCHEME}://"):
        cluster.check_prefix(namespace, rq_prefix)
        return cluster.ClusterBackend(url, namespace=namespace, options=options)
    return UrlBackend(url, options=options)
