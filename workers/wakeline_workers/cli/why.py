"""The command that explains: why."""

from __future__ import annotations

import click
from wakeline import errors

from wakeline_workers.cli.lookup import complete_process, process_id
from wakeline_workers.cli.root import Console, command


@command("why")
@click.argument("address", metavar="ID|SCHEDULE|AGENT/KEY[#N]|PROCESS#SEQUENCE", shell_complete=complete_process)
@click.pass_obj
def why(console: Console, address: str) -> None:
    """Say why something is as it is, and what to type.

    Asks about a process or a schedule, a session, its entry N, or the event of a process that should have woken a
    session.
    """
    app = console.app
    try:
        told = app.why(address)
    except errors.ProcessNotFound:
        told = app.why(process_id(app, address))  # by the beginning of an id
    console.answer({"address": address, "why": told}, *told.splitlines())
