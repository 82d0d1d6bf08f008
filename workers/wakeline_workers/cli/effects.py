"""The command about what a process has done: effects."""

from __future__ import annotations

import click
from wakeline.observe.effects import EffectView
from wakeline.shown import moment
from wakeline.values import MOST, to_json

from wakeline_workers.cli.lookup import complete_process, process_id
from wakeline_workers.cli.root import Console, command, option


@command("effects")
@click.argument("given", metavar="ID", shell_complete=complete_process)
@option("--after", default="0", metavar="N", help="Only effects after this number, or behind a page: its next.")
@option("--limit", default=50, show_default=True, type=click.IntRange(1, MOST))
@click.pass_obj
def effects(console: Console, given: str, after: str, limit: int) -> None:
    """Show what a process has done.

    Steps, calls, starts and waits that it has recorded, in order, with how long each took and what came of it.
    """
    found = console.app.handle(process_id(console.app, given)).effects(after=after, limit=limit)
    headings = ("N", "STARTED", "TOOK", "ATTEMPTS", "KIND", "NAME", "OUTCOME")
    data = [effect.to_data() for effect in found]
    console.table(headings, [_cells(effect) for effect in found], data, empty="nothing is recorded")
    if found.more:
        console.cut(limit, way=f"--after {found.next} shows the next ones", of="effects")


def _cells(effect: EffectView) -> tuple[str, ...]:
    began = effect.recorded_ms if effect.started_ms is None else effect.started_ms
    took = "" if effect.took_ms is None else f"{effect.took_ms / 1000:.3f} s"
    times = (moment(began, exact=True) if began else "", took, str(effect.attempts))
    return (str(effect.n), *times, effect.kind, effect.name, _outcome(effect))


def _outcome(effect: EffectView) -> str:
    """What came of it, in short."""
    if not effect.is_whole:
        return f"{'error' if effect.status == 'err' else 'outcome'} of {effect.size / 1000:,.0f} kB"
    if effect.error is not None:
        text = f"error {effect.error.get('code')}: {effect.error.get('message')}"
    else:
        text = to_json(effect.outcome)
    if effect.failed and effect.error is None:
        text = f"{text} after {effect.failed[-1].code}: {effect.failed[-1].message}"
    return text
