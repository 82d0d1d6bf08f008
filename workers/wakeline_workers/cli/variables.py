"""The variables of the command line's options, and what is said about variables that nothing reads.

Invariant: only the commands that a name may belong to are imported, so that a worker's start stays quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from wakeline_workers.cli.root import PREFIX, cli

if TYPE_CHECKING:
    from wakeline_workers.cli.root import Console


def option_variables(name: str) -> Iterator[str]:
    """The variables of the options of the root, and of each command that a variable of this name may be one of."""
    yield from (f"{PREFIX}_{one.name.upper()}" for one in cli.params if one.name)
    for command in sorted(cli.commands):
        if name.startswith(_below(PREFIX, command)):
            yield from _of(cli.chosen(command), _below(PREFIX, command))


def _below(prefix: str, name: str) -> str:
    return f"{prefix}_{name.upper().replace('-', '_')}"


def _of(command: click.Command, prefix: str) -> Iterator[str]:
    for one in command.params:
        if not isinstance(one, click.Option) or not one.name:
            continue
        if one.envvar is not None:
            yield from (one.envvar,) if isinstance(one.envvar, str) else one.envvar
        elif one.allow_from_autoenv:
            yield f"{prefix}_{one.name.upper()}"
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _of(below, _below(prefix, name))


def tell_unread(console: Console) -> None:
    """Says of each variable with Wakeline's prefix that nothing reads it, and which one may have been meant."""
    from wakeline_workers.configured import unread

    for one in unread(option_variables):
        console.note(f"wakeline: {one.message}", "WARNING")
