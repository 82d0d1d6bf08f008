"""Commands about attachments: what is owned, put, get, sweep.

Invariant: an owner is written as it is stored: host, process:<id> or session:<agent>/<key>.
"""

from __future__ import annotations

import mimetypes
import sys
from pathlib import Path

import click
from wakeline.attachments.attachment import DEFAULT_TYPE, HOST, check_id, owner_of_process
from wakeline.pages import first_of
from wakeline.store import attachments as calls

from wakeline_workers.cli.lookup import process_id
from wakeline_workers.cli.root import Console, command, group, option, using_file

OF_PROCESS = owner_of_process("")


@group("attachments")
@option("--owner", default=HOST, help="host, process:<id> or session:<agent>/<key>.")
@option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@option("--after", metavar="ID", help="Only those behind this one; for the next page, give the last of a page.")
@click.pass_context
def attachments(context: click.Context, owner: str, limit: int, after: str | None) -> None:
    """List what an owner has, or put, get, sweep."""
    if context.invoked_subcommand is not None:
        return
    console: Console = context.obj
    if owner.startswith(OF_PROCESS):
        owner = OF_PROCESS + process_id(console.app, owner.removeprefix(OF_PROCESS))
    found = first_of(
        console.app.store.execute(
            calls.owned(owner, limit=limit + 1, after=check_id(after) if after is not None else None)
        ),
        limit,
    )
    cells = [(one.id, one.media_type, str(one.size)) for one in found]
    data = [{"id": one.id, "media_type": one.media_type, "size": one.size} for one in found]
    console.table(("ID", "TYPE", "BYTES"), cells, data, empty=f"{owner} has no attachments")
    if found.more:
        console.cut(limit, f"--after {found[-1].id} shows the next")


@command("put", of=attachments)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, exists=True, allow_dash=True))
@option("--type", "media_type", help="Its media type; by the file's name unless given.")
@click.pass_obj
def put(console: Console, file: Path, media_type: str | None) -> None:
    """Keep the bytes of a file (- for stdin) for the host. Prints the id."""
    with using_file("standard input" if str(file) == "-" else file):
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    made = console.app.attachments.put(data, media_type or mimetypes.guess_type(file.name)[0] or DEFAULT_TYPE)
    console.answer({"id": made.id, "media_type": made.media_type, "size": made.size}, made.id)


@command("get", of=attachments)
@click.argument("attachment_id", metavar="ID")
@option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write them to this file instead of stdout."
)
@click.pass_obj
def get(console: Console, attachment_id: str, output: Path | None) -> None:
    """The bytes of an attachment of any owner."""
    data = console.app.attachments.get(attachment_id)
    if output is None:
        return console.give(data)
    with using_file(output):
        was_there = output.exists()
        try:
            output.write_bytes(data)
        except OSError:
            if not was_there:
                output.unlink(missing_ok=True)  # a part of it would look like the whole
            raise
    return console.note(f"{len(data)} bytes written to {output}")


@command("sweep", of=attachments)
@option("--strays", is_flag=True, help="Also bytes in the backend that are a day old and that no record names.")
@option("--all-strays", is_flag=True, help="Even if this namespace has no record at all.")
@click.pass_obj
def sweep(console: Console, strays: bool, all_strays: bool) -> None:
    """Remove the bytes that have no owner any more. Workers do so by themselves once a minute."""
    store = console.app.store
    report = store.run(calls.sweep(store.blobs))
    blobs, removed = store.blobs, 0
    if strays or all_strays:
        removed = store.run(calls.sweep_strays(blobs.namespace, blobs.chosen, all_of_them=all_strays))
    data = {
        "looked_at": report.looked_at,
        "given_up": report.given_up,
        "removed": report.removed,
        "left": report.left,
        "strays": removed,
    }
    console.answer(data, f"{report.removed} removed, {removed} strays")
    if report.left:
        console.note(
            f"{report.left} lie in a backend that this app does not have; run this where WAKELINE_ATTACHMENTS names it"
        )
