"""The command line: one file per noun. ``main`` is the entry point of ``wakeline`` and ``wl``."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING

from wakeline_workers.cli import attachments, fleet, following, processes, queues, secret, sessions, triggers, waits
from wakeline_workers.cli.root import cli
from wakeline_workers.streams import hold_places

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN_S = 0.02


def main() -> None:
    """Runs one command and exits with its code."""
    hold_places()
    sys.unraisablehook = _again
    cli()


def _again(what: UnraisableHookArgs) -> None:
    """A Ctrl-C that hit a finaliser was raised where nobody could hear it, and whoever pressed it would wait for ever: it is raised once more."""
    if isinstance(what.exc_value, KeyboardInterrupt):
        # Once the finaliser is over, and as a signal: the main thread may be in a system call by then.
        threading.Timer(AGAIN_S, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(what)


__all__ = ["attachments", "cli", "fleet", "following", "main", "processes", "queues", "secret", "sessions", "triggers", "waits"]
