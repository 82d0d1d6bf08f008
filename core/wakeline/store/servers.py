"""Which servers are new enough; known without connecting to one."""

from __future__ import annotations

OLDEST = {"redis": (6, 2), "valkey": (7, 2)}
"""The oldest versions that have all commands that scripts use."""
