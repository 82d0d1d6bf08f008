"""How many signals a process may have received and not taken."""

from __future__ import annotations

MAILBOX_LIMIT = 1024
"""Signals a process may have received and not taken, over all names."""
