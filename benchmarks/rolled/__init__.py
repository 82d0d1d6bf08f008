"""One app in three releases, for `benchmarks.rolling`: ``one`` is good, ``two`` is good and newer, ``three`` does not
fit what the others started.

Each release is a whole module, as a deploy's code is. What acts on the world says so in one file, a line per act: the
flow, the act, its idempotency key.
"""

from __future__ import annotations

import os
from pathlib import Path

from wakeline import current


def act(flow: str, name: str) -> str:
    """An effect on the world that must happen once: called in tools only."""
    with Path(os.environ["ROLLED_ACTS"]).open("a", encoding="utf-8") as file:
        file.write(f"{flow} {name} {current().idempotency_key}\n")
    return name


def negative(data: bytes) -> bytes:
    """What a picture is developed to."""
    return bytes(255 - byte for byte in data)


def grown(flow: str) -> str:
    """A text over 64 KB, which is stored apart from what refers to it."""
    return f"{flow} " * 10_000
