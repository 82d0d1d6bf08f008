"""Texts that a command takes from a file in place of an argument.

Invariant: a file that is no text is refused before anything is sent.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from wakeline import errors

from wakeline_workers.cli.console import using_file
from wakeline_workers.cli.root import option

from_file = option(
    "--file",
    "file",
    metavar="PATH",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Take it from this UTF-8 file in place of the argument, - for stdin.",
)


def text_of(what: str, argument: str | None, file: Path | None) -> str | None:
    """The argument, or what the file has; None if there is neither. Raises `click.UsageError` for both, `FileUnusable`,
    and `InvalidPayload` for what is no UTF-8."""
    if file is None:
        return argument
    if argument is not None:
        raise click.UsageError(f"{what} is given twice: as an argument, and by --file.")
    is_stdin = str(file) == "-"
    with using_file("standard input" if is_stdin else file):
        data = sys.stdin.buffer.read() if is_stdin else file.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"{file} is no UTF-8 from byte {error.start} on"
        raise errors.InvalidPayload(what=what, reason=f"{where}; save it as UTF-8") from error
