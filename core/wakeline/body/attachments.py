"""The attachments of running work: those of its process, and for a turn those of its session.

Invariant: code reads and passes on only what its process or its session owns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from wakeline.errors import AttachmentBackendMissing
from wakeline.run.run import Run
from wakeline.store.calls import Program
from wakeline.verbs.attachments import AsyncAttachments, Attachments, AttachmentVerbs


def attachments_of(run: Run) -> AsyncAttachments:
    """The attachments of running work."""

    return AsyncAttachments(lambda _, program: _driven(run, program), _verbs(run))


def blocking_attachments_of(run: Run, block: Callable[[Coroutine[Any, Any, Any]], Any]) -> Attachments:
    """The attachments of running work, for its code in a thread. ``block`` lets the loop run a coroutine and waits for
    it."""
    return Attachments(lambda _, program: block(_driven(run, program)), _verbs(run))


def attachments_for_tool(
    run: Run, loop: asyncio.AbstractEventLoop, *, is_async: bool
) -> Attachments | AsyncAttachments:
    """The attachments of the process that a tool's code runs for, awaited or blocking like the code."""
    if is_async:
        return attachments_of(run)
    return blocking_attachments_of(run, lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result())


async def _driven(run: Run, program: Program[Any]) -> Any:
    run.life.check(is_new=False)
    try:
        return await run.store.run(program)
    except AttachmentBackendMissing as missing:
        # This is not the body's fault: the process waits for a worker that has the backend.
        raise run.life.unfit("missing", missing) from missing


def _verbs(run: Run) -> AttachmentVerbs:
    return AttachmentVerbs(lambda: run.store.blobs, run.passing.owner, run.passing.givers)
