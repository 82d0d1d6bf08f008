"""Commands about queues: what waits and runs, pause, resume, and the limits bodies are under.

Invariant: the name of a queue is without the app's namespace. The app's own queue has the name of the app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from wakeline.errors import UnknownName
from wakeline.names import check_queue
from wakeline.store.keys import queue_name, split_queue

from wakeline_workers.cli.root import Console, command, group

if TYPE_CHECKING:
    from wakeline.app import App


@group("queues")
@click.pass_context
def queues(context: click.Context) -> None:
    """List queues and limits, or pause, resume."""
    if context.invoked_subcommand is not None:
        return
    console: Console = context.obj
    fleet = console.app.fleet()
    cells = [
        (
            split_queue(one.name)[1] or console.app.namespace,
            str(one.waiting),
            str(one.running),
            "paused" if one.paused else "",
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


def _check_known(app: App, queue: str | None, name: str) -> None:
    """Raises `UnknownName` for a typing error: a queue that no body names, in which nothing waits, that no worker
    serves and that is not paused."""
    from wakeline.verbs.queues import look

    wanted = queue_name(app.namespace, queue)
    declared = {*app.queues, *app.queue_limits}
    if wanted in declared:
        return
    found = app.store.run(look(wanted))
    if not (found.waiting or found.running or found.paused or found.workers):
        known = sorted(split_queue(one)[1] or app.namespace for one in declared)
        raise UnknownName(kind="queue", name=name, known=known)


def _switch(console: Console, name: str, *, paused: bool) -> None:
    app = console.app
    queue = None if name == app.namespace else check_queue(name)
    _check_known(app, queue, name)
    changed = app.pause(queue) if paused else app.resume(queue)
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
