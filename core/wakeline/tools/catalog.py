"""Which tools a run knows, and how a name or an id becomes a tool.

Invariant: a catalog is a snapshot, and it decides. A provider is never asked for a tool that has an entry. Scheduling
and projection come from the catalog alone. A tool without an entry is parallel and materialised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from wakeline.errors import DuplicateName
from wakeline.tools.definition import (
    MATERIALIZE,
    ArgumentProjection,
    Availability,
    Scheduling,
    ToolContract,
    ToolManifest,
)
from wakeline.values import canonical_json, content_hash


class ToolProvider(Protocol):
    """A source of tools that are not functions of the app."""

    def tool_manifests(self) -> Sequence[ToolManifest]:
        """The tools that it shows."""
        ...

    def resolve(self, name: str) -> ToolManifest | None:
        """The tool of exactly this name, shown or not."""
        ...

    def resolve_contract(self, name: str) -> ToolContract | None:
        """The schemas of the arguments and the result of that tool."""
        ...

    async def execute(self, name: str, args: dict[str, Any]) -> Any:
        """Run it: its result, or a `ToolOutcome`; `current()` is the call."""
        ...


class ToolCatalog:
    """The tools of one run, by name and by id."""

    def __init__(self, manifests: Iterable[ToolManifest] = ()) -> None:
        self._by_name: dict[str, ToolManifest] = {}
        self._by_id: dict[str, ToolManifest] = {}
        for manifest in manifests:
            if manifest.name in self._by_name or manifest.id in self._by_id:
                raise DuplicateName(kind="tool", name=manifest.name)
            self._by_name[manifest.name] = self._by_id[manifest.id] = manifest

    @classmethod
    def from_tools(
        cls, manifests: Iterable[ToolManifest], overrides: Mapping[str, Availability] | None = None
    ) -> ToolCatalog:
        """A catalog of these manifests, with availabilities overridden by name; raises `DuplicateName`."""
        given = overrides or {}
        return cls(m.model_copy(update={"override": given[m.name]}) if m.name in given else m for m in manifests)

    def entry(self, name: str) -> ToolManifest | None:
        """The entry of a name, callable or not."""
        return self._by_name.get(name)

    def entry_by_id(self, tool_id: str) -> ToolManifest | None:
        """The entry of an id, callable or not."""
        return self._by_id.get(tool_id)

    def __iter__(self) -> Any:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def callable_names(self) -> list[str]:
        """The names a call may resolve to, sorted."""
        return sorted(name for name, manifest in self._by_name.items() if manifest.is_callable)

    @property
    def fingerprint(self) -> str:
        """Equal for catalogs of equal content."""
        return content_hash(
            "tool-catalog",
            *(canonical_json(self._by_name[name].model_dump(mode="json")) for name in sorted(self._by_name)),
        )


def callable_manifest(catalog: ToolCatalog, providers: Sequence[ToolProvider], name: str) -> ToolManifest | None:
    """The tool that a call by name may run; None if there is none."""
    entry = catalog.entry(name)
    if entry is not None:
        return entry if entry.is_callable else None
    for provider in providers:
        found = provider.resolve(name)
        if found is not None and found.name == name:
            return found if found.is_callable else None
    return None


def callable_manifest_by_id(
    catalog: ToolCatalog, providers: Sequence[ToolProvider], tool_id: str
) -> ToolManifest | None:
    """The tool that a call by id may run; None if there is none. The catalog decides; without an entry there, the first
    provider that shows the tool."""
    entry = catalog.entry_by_id(tool_id)
    if entry is not None:
        return entry if entry.is_callable else None
    shown = (manifest for provider in providers for manifest in provider.tool_manifests())
    found = next((manifest for manifest in shown if manifest.id == tool_id), None)
    return found if found is not None and found.is_callable else None


def scheduling_of(catalog: ToolCatalog, name: str) -> Scheduling:
    """How calls of this tool are scheduled in a batch."""
    entry = catalog.entry(name)
    return entry.scheduling if entry is not None else "parallel"


def projection_of(catalog: ToolCatalog, name: str) -> ArgumentProjection:
    """What happens to projected references in this tool's arguments."""
    entry = catalog.entry(name)
    return entry.argument_projection if entry is not None else MATERIALIZE
