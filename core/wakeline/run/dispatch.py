"""What a run calls tools with: its catalog, the providers behind it, hooks, and what its calls leave.

Invariant: one per run; the catalog is the snapshot of its beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wakeline.engines.registry import Registry, ReplayMode
from wakeline.errors import ToolUnavailable
from wakeline.tools.catalog import ToolCatalog, ToolProvider, callable_manifest
from wakeline.tools.hooks import Hooks
from wakeline.tools.leftovers import Leftovers
from wakeline.tools.tool import Tool


@dataclass(frozen=True, slots=True)
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
        """What a run does about a body that goes another way than it went before."""
        return self.registry.replay

    @property
    def providers(self) -> list[ToolProvider]:
        """Where tools come from that the catalog does not know."""
        return self.registry.providers

    @property
    def hooks(self) -> Hooks:
        """The hooks every call goes through."""
        return self.registry.hooks

    def leave_note(self, note: Any) -> None:
        """A tool leaves something for the code that runs the body."""
        self.notes.add(note)

    def leave_receipt(self, receipt: Any) -> None:
        """A call of a tool emitted an occurrence, or did so when it was recorded."""
        self.trigger_outcomes.add(receipt)

    def tool(self, name: str) -> Tool[..., Any]:
        """The tool that a call by name means; raises `ToolUnavailable`."""
        if callable_manifest(self.catalog, self.providers, name) is None:
            raise ToolUnavailable(tool=name, known=self.catalog.callable_names)
        return self.registry.tool(name)
