"""Commands about queues: what waits and runs, pause, resume, and the limits bodies are under.

Invariant: for people the name of a queue is without the app's namespace, and the app's own queue has the name of the
app. Commands take RQ's names too, which JSON has.
"""

from __future__ import annotations

import click
from wakeline.observe.findings.finding import named
from wakeline.observe.fleet import QueueView

from wakeline_workers.cli.root import Console, command, group
from wakeline_workers.cli.watching import watched


@group("queues")
@watched
@click.pass_context
def queues(context: click.Context) -> None:
    """List queues and limits, or pause, resume."""
    if context.invoked_subcommand is not None:
        return
    console: Console = context.obj
    fleet = console.app.fleet()
    cells = [
        (
            named(one.name),
            str(one.waiting),
            str(one.running),
            _state(one),
            one.limit.described if one.limit else "",
        )
        for one in fleet.queues
    ]
    cells += [
        (one.limit_of, str(one.waiting), str(one.running), "", one.limit.described if one.limit else "")
        for one in fleet.limits
    ]
    data = [one.to_data() for one in (*fleet.queues, *fleet.limits)]
    console.table(("QUEUE OR BODY", "WAITING", "RUNNING", "STATE", "LIMIT"), cells, data, empty="no queues")


def _state(queue: QueueView) -> str:
    """What keeps a queue from being served."""
    said = ["paused"] if queue.paused else []
    return ", ".join(said if queue.workers else [*said, "no worker"])


def _switch(console: Console, name: str, *, paused: bool) -> None:
    changed = console.app.pause(name) if paused else console.app.resume(name)
    word = "paused" if paused else "resumed"
    console.answer({"queue": name, word: changed}, word if changed else f"was {word} already")


@command("pause", of=queues)
@click.argument("name")
@click.pass_obj
def pause(console: Console, name: str) -> None:
    """Let workers take nothing more from a queue; what runs goes on. Stock RQ workers ignore it; use `rq suspend` for
    them."""
    _switch(console, name, paused=True)


@command("resume", of=queues)
@click.argument("name")
@click.pass_obj
def resume(console: Console, name: str) -> None:
    """Let workers take from a queue again."""
    _switch(console, name, paused=False)
