"""The command line: one file per noun. ``main`` is the entry point of ``wakeline`` and ``wl``."""

from __future__ import annotations

import sys
from _thread import interrupt_main
from typing import TYPE_CHECKING

from wakeline_workers.cli import attachments, fleet, following, processes, queues, sessions, triggers, waits
from wakeline_workers.cli.root import cli

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


def main() -> None:
    """Runs one command and exits with its code."""
    sys.unraisablehook = _again
    cli()


def _again(what: UnraisableHookArgs) -> None:
    """A Ctrl-C that hit a finaliser was raised where nobody could hear it, and whoever pressed it would wait for ever: it is raised once more."""
    if isinstance(what.exc_value, KeyboardInterrupt):
        interrupt_main()
    else:
        sys.__unraisablehook__(what)


__all__ = ["attachments", "cli", "fleet", "following", "main", "processes", "queues", "sessions", "triggers", "waits"]
