"""The command prune: what has ended goes now."""

from __future__ import annotations

from functools import partial

import click
from wakeline.observe.processes import ENDED

from wakeline_workers.cli.confirming import Bulk, confirmed_options
from wakeline_workers.cli.root import Console, command, duration, option


@command("prune")
@option("--status", type=click.Choice(ENDED), help="Only those that ended so.")
@option("--older-than", callback=duration, metavar="DURATION", help="Only those that ended longer ago, e.g. 1d.")
@confirmed_options
@click.pass_obj
def prune(
    console: Console,
    status: str | None,
    older_than: str | None,
    everything: bool,
    yes: bool,
    expect: int | None,
    dry_run: bool,
) -> int:
    """Remove ended processes now, and not at the end of their retention.

    Counts them first and asks. Their ids stay used up for WAKELINE_TOMBSTONE, as after the retention. A living process
    never goes, and a child stays until its living parent has read its result.
    """
    act = partial(console.app.many.prune, status, older_than=older_than, everything=everything)
    return Bulk(console, "prune", "pruned", yes=yes, expect=expect, dry_run=dry_run).run(act)
