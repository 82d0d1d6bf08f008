"""The limit of a mailbox."""

from __future__ import annotations

MAILBOX_LIMIT = 1024
"""How many signals of all names a process may have received and not taken."""
