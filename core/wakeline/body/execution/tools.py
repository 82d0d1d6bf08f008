"""The tools of a run: which there are, how a name becomes a tool, calls by name, and what calls leave behind.

Invariant: scheduling and projection come from the catalog alone. A call by name is recorded exactly as `ctx.call`.
"""

from __future__ import annotations

from typing import Any

from wakeline.body.carriers import call_from_body
from wakeline.body.execution.handles import Handles
from wakeline.run.dispatch import ToolDispatch
from wakeline.tools.catalog import ToolCatalog, callable_manifest, callable_manifest_by_id, projection_of, scheduling_of
from wakeline.tools.definition import ArgumentProjection, Scheduling, ToolManifest
from wakeline.tools.leftovers import Leftovers
from wakeline.verbs.options import NOTHING


class Tools(Handles):
    """Looking tools up and calling them by name."""

    @property
    def dispatch(self) -> ToolDispatch:
        """What this work calls tools with."""
        return self.services.dispatch

    @property
    def tool_catalog(self) -> ToolCatalog:
        """The tools of this run, as of its beginning."""
        return self.dispatch.catalog

    @property
    def notes(self) -> Leftovers[Any]:
        """Notes that tools left for this body. They exist only in the memory of this run. A replayed call leaves none,
        so nothing may depend on them."""
        return self.dispatch.notes

    def tool_scheduling(self, name: str) -> Scheduling:
        """How calls of a tool are scheduled in a batch; parallel for a name that the catalog does not know."""
        return scheduling_of(self.tool_catalog, name)

    def tool_argument_projection_policy(self, name: str) -> ArgumentProjection:
        """What happens to projected references in a tool's arguments; materialised for a name that the catalog does not
        know."""
        return projection_of(self.tool_catalog, name)

    def callable_tool_manifest(self, name: str) -> ToolManifest | None:
        """The tool that a call by name runs. The catalog decides if it has an entry; otherwise providers are asked for
        exactly this name."""
        return callable_manifest(self.tool_catalog, self.dispatch.providers, name)

    def callable_tool_manifest_by_id(self, tool_id: str) -> ToolManifest | None:
        """The tool of an id. The catalog decides if it has an entry; otherwise the first provider that shows it."""
        return callable_manifest_by_id(self.tool_catalog, self.dispatch.providers, tool_id)

    async def call_tool(self, name: str, args: dict[str, Any] | None = None, *, key: str | None = None) -> Any:
        """Call a tool by name with JSON arguments; its JSON result. Raises `ToolUnavailable`, `InvalidArguments`,
        `ToolFailed`."""
        run = self.in_process("call_tool")
        async with run.journal.asking():
            tool = self.dispatch.tool(name)
            given = tool.signature.bind_json(args or {})
        return await call_from_body(run, tool, given, NOTHING.over(key=key))
