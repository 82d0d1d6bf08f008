"""The functions that a server keeps for us: those of this release and of no other.

Invariant: nothing depends on it. A server that is away, or keeps no functions, is left as it is.
"""

from __future__ import annotations

import contextlib
from typing import Any

from redis import exceptions as rex

from wakeline.store import scripts


async def renew(client: Any) -> None:
    """Loads this release's library and deletes others, at one moment. An older client beside it loads what it needs
    again."""
    with contextlib.suppress(rex.RedisError, OSError):
        listed: list[Any] = await client.function_list(library=f"{scripts.PREFIX}*")
        found: set[str] = {
            row["library_name"] if isinstance(row, dict) else row[row.index("library_name") + 1] for row in listed
        }
        ours = scripts.as_library()
        pipeline = client.pipeline(transaction=True)
        for name in found - {ours.name}:
            pipeline.function_delete(name)
        if ours.name not in found:
            pipeline.function_load(ours.text, replace=True)
        await pipeline.execute()
