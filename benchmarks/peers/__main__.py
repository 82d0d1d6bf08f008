"""Prints the figures of the other systems: ``python -m benchmarks.peers [--quick] [module…]``. What they are and how they are run: their modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.harness import Figure, measured_server
from benchmarks.peers.measure import PEERS, LeftOut, Measured, Peer, measure, percentiles


def measured(url: str, peers: list[Peer], scale: float) -> Iterator[Measured]:
    """One after the other; a line on standard error for each that is left out."""
    for peer in peers:
        try:
            yield measure(peer, url, scale)
        except LeftOut as why:
            print(f"left out: {peer.name}: {why}", file=sys.stderr, flush=True)


def main() -> int:
    """Every figure with its spread, then a line a system."""
    names = [word for word in sys.argv[1:] if not word.startswith("-")]
    peers = [peer for peer in PEERS if not names or peer.module in names]
    found: list[Measured] = []
    with measured_server() as server:
        for one in measured(server.url, peers, 0.2 if "--quick" in sys.argv else 1.0):
            found.append(one)
            p50, p99 = (Figure(f"{one.start.name}, {name}", "ms", [value]) for name, value in zip(("p50", "p99"), percentiles(one.start.values), strict=True))
            for figure in (one.no_op, p50, p99, *([one.steps] if one.steps else [])):
                print(figure.row(), flush=True)
    print(f"\n{Measured.HEAD}")
    for one in found:
        print(one.row())
    return 0


if __name__ == "__main__":
    sys.exit(main())
