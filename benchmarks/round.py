"""One round of rows on a private server: ``python -m benchmarks.round ROW… [--scale S] [--long] [--root PID]``, started
by `python -m benchmarks` with the python of the checkout that is measured. Prints a line of JSON for the machine, and
one for each row: its figures with the cores that others used meanwhile, or why there are none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby
from typing import Any, cast

from wakeline.embedded import PrivateServer

from benchmarks.budget import Meter
from benchmarks.harness import machine, private_server, workers
from benchmarks.machine import Others
from benchmarks.rows import Bench, Row, rows


def main() -> int:
    """Measures the named rows, those without workers first."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("rows", nargs="+")
    asked.add_argument("--scale", type=float, default=1.0)
    asked.add_argument("--long", action="store_true")
    asked.add_argument("--root", type=int, default=os.getpid())
    options = asked.parse_args()
    chosen = sorted((row for row in rows() if row.name in options.rows), key=lambda row: row.processes)
    with private_server() as server:
        from benchmarks.app import app

        # A server that rewrites its log would slow whatever is measured meanwhile.
        cast("Any", app.store.client).config_set("auto-aof-rewrite-percentage", 0)
        tell({"machine": machine(app), "version": version("wakeline")})
        for processes, group in groupby(chosen, key=lambda row: row.processes):
            if processes:
                served(server, list(group), processes, options)
            else:
                for row in group:
                    measure(row, Bench(app, Meter(app.store.client), options.scale, options.long), options.root)
                    emptied(app)
    return 0


def served(server: PrivateServer, group: Sequence[Row], processes: int, options: argparse.Namespace) -> None:
    """Rows beside one fleet of workers, which are there before the first; the store is empty afterwards."""
    from benchmarks.app import app, nothing

    with workers(server, "benchmarks.app:app", processes) as supervisor:
        for handle in app.start_many(nothing, [{}] * 200):
            handle.result(timeout=30)
        for row in group:
            bench = Bench(app, Meter(app.store.client, supervisor), options.scale, options.long, supervisor)
            measure(row, bench, options.root)
    emptied(app)


def measure(row: Row, bench: Bench, root: int) -> None:
    """Tells what a row measured. One that fails (another checkout may lack what it measures) does not end the round."""
    others = Others(root)
    try:
        figures = [[one.name, one.unit, list(one.values)] for one in row.measure(bench)]
    except Exception as error:
        traceback.print_exc()
        tell({"row": row.name, "failed": f"{type(error).__name__}: {error}"})
    else:
        tell({"row": row.name, "figures": figures, "others": others.cores()})


def emptied(app: Any) -> None:
    """Empties the store; what the app knew of it is gone with it."""
    app.store.client.execute_command("FLUSHDB", "SYNC")  # later, it would look like memory that the next row gave back
    app.close()


def tell(line: object) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
