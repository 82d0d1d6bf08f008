"""What can be asked of the web face: one file per noun, and one table of routes."""

from __future__ import annotations

from wakeline.web.api import health, processes

ROUTES = (*health.ROUTES, *processes.ROUTES)
"""Every route of the web face."""
