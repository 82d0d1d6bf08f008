"""One worker process under its supervisor: ``python -m wakeline_workers.child module:app owner``.

Invariant: when the supervisor is gone (its pipe closes) nobody beats for this process, so it hands its work back and leaves.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from wakeline_workers.loading import load_app
from wakeline_workers.loop import WorkerLoop


async def serve(target: str, owner: str) -> None:
    """Serves until SIGTERM or until the supervisor's pipe closes."""
    out = sys.stdout
    loop = asyncio.get_running_loop()

    def report(running: list[str]) -> None:
        out.write(" ".join(running) + "\n")
        out.flush()

    worker = WorkerLoop(load_app(target), owner=owner, on_beat=report)
    loop.add_signal_handler(signal.SIGTERM, worker.stop)
    loop.add_signal_handler(signal.SIGINT, worker.stop)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def orphaned() -> None:
        await reader.read()
        worker.stop()

    watch = asyncio.create_task(orphaned())
    await worker.serve()
    watch.cancel()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
    sys.stdout.flush()
    # A thread of a handed-back sync body must not keep this process alive.
    import os

    os._exit(0)
