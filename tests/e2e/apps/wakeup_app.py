"""The example `agent_wakeup` in a worker that kills itself at a named moment."""

from __future__ import annotations

from examples.agent_wakeup.support import app

__all__ = ["app"]
