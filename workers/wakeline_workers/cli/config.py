"""The command about settings: config.

Invariant: it shows no password and asks no server.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click
from wakeline import errors
from wakeline.shown import without_secrets

from wakeline_workers.cli.root import PREFIX, Console, command, exit_code, option
from wakeline_workers.cli.variables import option_variables, tell_unread

if TYPE_CHECKING:
    from wakeline_workers.configured import Configured


@command("config")
@option("--explain", is_flag=True, help="Say what each setting means.")
@click.pass_obj
def config(console: Console, explain: bool) -> int:
    """Print every setting, its value, and where that came from.

    Passwords of URLs are left out. Without an app that can be loaded it shows what the environment says.
    """
    from wakeline_workers.configured import configured, unread

    refused: errors.AppNotFound | None = None
    named = console.target or os.environ.get("WAKELINE_APP")
    try:
        app = console.app if named else None
    except errors.AppNotFound as error:
        app, refused = None, error
    found = [*configured(app), *_of_options()]
    data = {
        "settings": [one.to_data() for one in found],
        "unread": [one.to_data() for one in unread(option_variables)],
        "app_error": None if refused is None else refused.to_json(),
    }
    if explain and not console.as_json:
        for one in found:
            console.answer(None, f"{one.name} = {one.value or '-'}  ({one.source})", *_wrapped(one.meaning))
    else:
        cells = [(one.name, one.value or "-", one.source) for one in found]
        console.table(("VARIABLE", "VALUE", "FROM"), cells, data, empty="no settings")
    tell_unread(console)
    if refused is not None:
        console.note(f"wakeline: what the app itself says is not known: {refused}", "ERROR")
        return exit_code(refused)
    if app is None:
        console.note("wakeline: no app is named, so this is what the environment says; -A or WAKELINE_APP names one")
    return 0


def _of_options() -> Iterator[Configured]:
    """Variables that are set for options of single commands: they surprise most."""
    from wakeline_workers.configured import READ, VARIABLE, Configured

    for name in sorted(os.environ):
        if name.startswith(f"{PREFIX}_") and name not in READ and name in set(option_variables(name)):
            yield Configured(name, without_secrets(os.environ[name]), VARIABLE, "An option of a command, unless given.")


def _wrapped(meaning: str) -> list[str]:
    return textwrap.wrap(meaning, max(20, get_terminal_size().columns), initial_indent="    ", subsequent_indent="    ")
