"""Dramatiq on its Redis broker: two processes of eight threads, default middleware and prefetch, hiredis; no results.

A message is acknowledged after it ran. Sent one by one: its groups send the same way. An idle consumer looks again
after a delay that grows with every look in vain, up to a second: its idle delay depends on how long it was idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers import work

broker = RedisBroker(url=work.URL)
dramatiq.set_broker(broker)


@dramatiq.actor
def nothing() -> None:
    """The no-op."""
    work.nothing()


@dramatiq.actor
def began(sent: float) -> None:
    """The one whose delay is measured."""
    work.began(sent)


def client() -> dict[str, Callable[[int], object]]:
    """How messages are sent."""

    def many(n: int) -> None:
        for _ in range(n):
            nothing.send()

    return {"many": many, "one": lambda _: began.send(time.time())}


if __name__ == "__main__":
    work.main([["-m", "dramatiq", "-p", str(work.PROCESSES), f"{__package__}.dramatiq"]], client)
