"""The statuses of a process.

Invariant: the last four are terminal, and nothing leads out of them. The scripts (store/lua/lib/ends.lua) decide
which event leads from one to the next; `wakeline.testing.model.lifecycle` is the table that tests compare them with.
"""

from __future__ import annotations

from typing import Literal

Status = Literal["queued", "running", "waiting", "completed", "failed", "cancelled", "abandoned"]
TERMINAL: frozenset[Status] = frozenset({"completed", "failed", "cancelled", "abandoned"})
