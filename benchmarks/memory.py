"""What a client and a worker have in memory."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.harness import Figure
from benchmarks.machine import descendants, memory_mb
from benchmarks.rows import Bench

CLIENT = """
from benchmarks.app import app, nothing
from benchmarks.machine import memory_mb
import os
app.start(nothing).result(timeout=30)
print(memory_mb(os.getpid()))
"""


def idle(bench: Bench) -> list[Figure]:
    """A client that has started and awaited one process, and worker processes that have run some."""
    from benchmarks.app import nothing

    assert bench.supervisor is not None
    for handle in bench.app.start_many(nothing, [{}] * 100):
        handle.result(timeout=30)
    time.sleep(0.5)
    ran = subprocess.run([sys.executable, "-c", CLIENT], capture_output=True, text=True, check=True, timeout=60)
    serving = [memory_mb(pid) for pid in descendants(bench.supervisor)[1:]]
    return [
        Figure("memory of a client process", "MB", [float(ran.stdout)]),
        Figure("memory of a worker process", "MB", serving),
    ]
