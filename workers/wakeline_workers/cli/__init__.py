"""The command line: one file per noun. ``main`` is the entry point of ``wakeline`` and ``wl``.

Invariant: a file is imported when one of its commands is chosen. The names and help lines that help and completion list
stand here.
"""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from typing import TYPE_CHECKING

from wakeline_workers.cli.root import cli
from wakeline_workers.streams import hold_places

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

AGAIN_S = 0.02
COMMANDS = {
    "approvals": {
        "approvals": "List approvals that can be answered.",
        "answer": "Answer an open approval by the id that `approvals` shows.",
    },
    "attachments": {
        "attachments": "List what an owner has, or put, get, sweep.",
    },
    "config": {
        "config": "Print every setting, its value, and where that came from.",
    },
    "effects": {
        "effects": "Show what a process has done.",
    },
    "fleet": {
        "worker": "Run workers under their supervisor, until SIGTERM or SIGINT.",
        "clock": "Only tick, until SIGTERM or SIGINT.",
        "dev": "Run workers, with a server of their own if need be.",
        "demo": "The product in a few seconds.",
        "release": "Put what this release declares in force: schedules, limits, agents' turns.",
        "doctor": "Say what is wrong with Redis and the fleet.",
    },
    "following": {
        "follow": "Print what changes in a session.",
    },
    "health": {
        "health": "Say in one line whether the fleet can work, for a probe.",
    },
    "metrics": {
        "metrics": "Print the metrics of the namespace as OpenMetrics text.",
    },
    "processes": {
        "start": "Start an engine or a tool.",
        "signal": "Send a signal to a process.",
        "cancel": "Ask a process to end.",
        "retry": "Run an ended process again.",
        "ps": "List processes, newest first within each status.",
        "show": "Show one process.",
        "events": "Print a process's events.",
    },
    "prune": {
        "prune": "Remove ended processes now, and not at the end of their retention.",
    },
    "queues": {
        "queues": "List queues and limits, or pause, resume.",
    },
    "secret": {
        "secret": "Say what is known of the secret that makes tokens, or rotate it.",
    },
    "sessions": {
        "sessions": "List sessions by last activity, latest first.",
        "send": "Put a text into a session's inbox.",
        "wakes": "Show why an agent woke, or did not.",
        "session": "Show, create or delete a session.",
        "redrive": "Offer an entry again that failed or was undeliverable.",
        "skip": "Give up on the entry that blocks a session.",
    },
    "top": {
        "top": "Show live what the fleet does: queues, the longest runs, rates.",
    },
    "tree": {
        "tree": "Show a process with its parents and what it started.",
    },
    "triggers": {
        "triggers": "List subscriptions and schedules, or emit, enable, disable, remove.",
    },
    "waits": {
        "waits": "List what waiting processes wait for.",
        "resolve": "Answer an approval by its bearer token.",
    },
    "web": {
        "web": "Serve the app over HTTP, until SIGTERM or SIGINT.",
    },
    "why": {
        "why": "Say why something is as it is, and what to type.",
    },
    "workers": {
        "workers": "List workers, those that live first.",
    },
}
"""The commands of each file, each with its line of help. The line is the first sentence of its docstring; a test
compares them."""

for _file, _commands in COMMANDS.items():
    cli.expect(f"{__name__}.{_file}", _commands)


def main() -> None:
    """Runs one command and exits with its code."""
    hold_places()
    sys.unraisablehook = _again
    cli.interrupted = _hush
    cli()


def _hush() -> None:
    """What a Ctrl-C found half made complains when it is thrown away, and the user has asked for that."""
    sys.unraisablehook = lambda _: None
    warnings.simplefilter("ignore")


def _again(what: UnraisableHookArgs) -> None:
    """Raises a Ctrl-C once more that came in a finaliser. An exception there is lost, and the user would wait without
    an end."""
    if isinstance(what.exc_value, KeyboardInterrupt):
        # After the finaliser, and as a signal, because the main thread may be in a system call by then.
        threading.Timer(AGAIN_S, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(what)


__all__ = ["COMMANDS", "cli", "main"]
