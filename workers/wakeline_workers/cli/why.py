"""The command that explains: why."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click
from wakeline import errors

from wakeline_workers.cli.lookup import complete_process, process_id
from wakeline_workers.cli.root import Console, command

if TYPE_CHECKING:
    from wakeline.app import App


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
    except (errors.ProcessNotFound, errors.EventNotFound):
        address = _whole(app, address)
        told = app.why(address)
    console.answer({"address": address, "why": told}, *told.splitlines())


def _whole(app: App, address: str) -> str:
    """The address with the whole id of its process. Raises as `process_id`."""
    process, at, sequence = address.rpartition("#")
    if at and sequence.isdecimal():
        with suppress(errors.ProcessNotFound):  # the number may belong to an id
            return f"{process_id(app, process)}#{sequence}"
    return process_id(app, address)
