"""What a run calls tools with: its catalog, the providers behind it, hooks, and what its calls leave.

Invariant: each run has one. Its catalog is the snapshot at its beginning.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from wakeline.engines.registry import Registry, ReplayMode
from wakeline.errors import ToolUnavailable
from wakeline.fixed import fixed
from wakeline.tools.catalog import ToolCatalog, ToolProvider, callable_manifest
from wakeline.tools.hooks import Hooks
from wakeline.tools.leftovers import Leftovers
from wakeline.tools.tool import Tool


@fixed
class ToolDispatch:
    """The tools of one run, and what their calls leave behind."""

    registry: Registry
    catalog: ToolCatalog
    notes: Leftovers[Any] = field(default_factory=lambda: Leftovers())
    trigger_outcomes: Leftovers[Any] = field(default_factory=lambda: Leftovers())
    """Receipts of what tools emitted to triggers."""

    @classmethod
    def of(cls, registry: Registry) -> ToolDispatch:
        """The dispatch of a run that begins now."""
        return cls(registry, registry.catalog)

    @property
    def replay_mode(self) -> ReplayMode:
        """What a run does if its body takes another way than before."""
        return self.registry.replay

    @property
    def providers(self) -> list[ToolProvider]:
        """The sources of tools that the catalog does not have."""
        return self.registry.providers

    @property
    def hooks(self) -> Hooks:
        """The hooks every call goes through."""
        return self.registry.hooks

    def leave_note(self, note: Any) -> None:
        """Keeps a note of a tool for the body."""
        self.notes.add(note)

    def leave_receipt(self, receipt: Any) -> None:
        """Keeps the receipt of an occurrence that a tool emitted, now or when its call was recorded."""
        self.trigger_outcomes.add(receipt)

    def tool(self, name: str) -> Tool[..., Any]:
        """The tool that a call by name means; raises `ToolUnavailable`."""
        if callable_manifest(self.catalog, self.providers, name) is None:
            raise ToolUnavailable(tool=name, known=self.catalog.callable_names)
        return self.registry.tool(name)
