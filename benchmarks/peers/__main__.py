"""Prints the figures of the other systems: ``python -m benchmarks.peers [--quick] [module…]``. What they are and how
they are run: their modules."""

from __future__ import annotations

import sys

from benchmarks.harness import Figure, measured_server
from benchmarks.peers.measure import PEERS, Measured, each, percentiles


def main() -> int:
    """Every figure with its spread, then a line a system."""
    names = [word for word in sys.argv[1:] if not word.startswith("-")]
    peers = [peer for peer in PEERS if not names or peer.module in names]
    found: list[Measured] = []
    with measured_server() as server:
        from benchmarks.app import app

        app.close()  # the peers empty the store: it is not to look at it meanwhile
        for one in each(server.url, peers, 0.2 if "--quick" in sys.argv else 1.0):
            found.append(one)
            p99 = Figure(f"{one.start.name}, p99", "ms", [percentiles(one.start.values)[1]])
            for figure in (one.no_op, one.start, p99, *filter(None, (one.steps, one.signals))):
                print(figure.row(), flush=True)
    print(f"\n{Measured.HEAD}")
    for one in found:
        print(one.row())
    return 0


if __name__ == "__main__":
    sys.exit(main())
