"""The command about numbers for a scraper: metrics."""

from __future__ import annotations

import click

from wakeline_workers.cli.root import Console, command


@command("metrics")
@click.pass_obj
def metrics(console: Console) -> None:
    """Print the metrics of the namespace as OpenMetrics text.

    Totals that workers counted, and gauges of this moment. With --json an object of samples by name.
    """
    found = console.app.metrics()
    if console.as_json:
        return console.answer(dict(found.samples))
    return console.answer(None, *found.text().splitlines())
