"""The command line: one file per noun. ``main`` is the entry point of ``wakeline`` and ``wl``."""

from __future__ import annotations

from wakeline_workers.cli import attachments, fleet, following, processes, queues, sessions, triggers, waits
from wakeline_workers.cli.root import cli


def main() -> None:
    """Runs one command and exits with its code."""
    cli()


__all__ = ["attachments", "cli", "fleet", "following", "main", "processes", "queues", "sessions", "triggers", "waits"]
