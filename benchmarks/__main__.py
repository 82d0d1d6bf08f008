"""Prints the table of figures: ``python3 dev.py bench``. Asserts that the work really ran; a time is never a verdict.

A second table has other systems of this field, measured in the same run: see `benchmarks.peers`. Their packages are
downloaded once, into environments of their own.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from importlib.metadata import version

from benchmarks.checkouts import other, this
from benchmarks.harness import CHOSEN, Figure, private_server
from benchmarks.rounds import Table, lines, run
from benchmarks.rows import rows

QUICK = 0.2


def main() -> int:
    """Runs what is asked for; 1 when no server is found or a row failed, 2 for a row that is not there."""
    known = {row.name: row for row in rows()}
    asked = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    asked.add_argument("--against", metavar="PATH-or-COMMIT", help="measure another checkout in turn with this one")
    asked.add_argument("--rounds", type=int, help="how many rounds (3; with --against 5)")
    asked.add_argument("--rows", help=f"some of {','.join(known)}, with commas; each of them in every round")
    asked.add_argument("--scale", type=float, default=1.0, help="the part of the usual number of units")
    asked.add_argument("--quick", action="store_const", dest="scale", const=QUICK, help="a fifth of the work")
    asked.add_argument("--long", action="store_true", help="also the sizes that take minutes")
    asked.add_argument("--server", metavar="PROGRAM", help="the server to measure on; else one with jemalloc, if any")
    asked.add_argument("--no-peers", action="store_true", help="without the table of other systems")
    options = asked.parse_args()
    names = options.rows.split(",") if options.rows else list(known)
    if missing := set(names) - known.keys():
        asked.error(f"no such row: {', '.join(sorted(missing))}")
    if options.server:
        os.environ[CHOSEN] = options.server
    chosen = [replace(known[name], once=known[name].once and not options.rows) for name in names]
    sides = [this(), *([other(options.against)] if options.against else [])]
    rounds = options.rounds or (5 if options.against else 3)
    table, failed = run(sides, chosen, rounds, scale=options.scale, long=options.long)
    print(f"\n{os.linesep.join(lines(table, sides))}", flush=True)
    if failed:
        return 1
    if not (options.no_peers or options.rows or options.against):
        peers(table, options.scale)
    return 0


def peers(table: Table, scale: float) -> None:
    """Other systems on the same server program, below what was measured of this one, and how it stands beside them."""
    from benchmarks.peers.measure import PEERS, Measured, beside, each

    def own(name: str) -> Figure:
        return Figure(name, table[name].unit, table[name].values("this"))

    ours = Measured(
        f"Wakeline {version('wakeline')}",
        "durable",
        "resumed from its last step",
        own("no-op processes, started and ended"),
        own("start to the body's first line, idle"),
        own("ten-step engines, started and ended"),
        own("signals to parked processes, all of them ended"),
    )
    print(f"\n{Measured.HEAD}\n{ours.row()}", flush=True)
    found: list[Measured] = []
    with private_server() as server:
        for one in each(server.url, PEERS, scale):
            print(one.row(), flush=True)
            found.append(one)
    print()
    for line in beside(ours, found):
        print(line)


if __name__ == "__main__":
    sys.exit(main())
