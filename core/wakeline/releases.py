"""What the code of a release declares to the whole fleet: schedules, limits, and what the turns of its agents take.

Invariant: for each app the declarations of one release are in force. The newest release that serves decides; the time
of its first appearance says which is newest. See `declarations.lua`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from wakeline.triggers.schedule import Schedule
from wakeline.values import to_json


@dataclass(frozen=True, slots=True)
class Declared:
    """The declarations of one release of an app: ``limits`` by `limit_id` (`Limit.wire`, empty for none), ``agents`` by
    name (`AdmissionPolicy.wire`, empty for the defaults), and its schedules. ``release`` is its name, if it has one.
    """

    app: str
    release: str | None = None
    limits: Mapping[str, str] = field(default_factory=dict[str, str])
    agents: Mapping[str, str] = field(default_factory=dict[str, str])
    schedules: tuple[Schedule, ...] = ()

    @property
    def content(self) -> str:
        """A hash that is equal for releases with equal declarations."""
        said = {
            "limits": dict(self.limits),
            "agents": dict(self.agents),
            "schedules": {one.name: one.content_hash for one in self.schedules},
        }
        return hashlib.sha256(to_json(said).encode()).hexdigest()[:12]

    @property
    def id(self) -> str:
        """The identity of a release in its app: its name and its declarations. Two releases with one name are two."""
        return f"{self.content} {self.release or ''}"


def content_of(declared_id: str) -> str:
    """The hash in `Declared.id`."""
    return declared_id.partition(" ")[0]


def release_named(declared_id: str) -> str:
    """The release of `Declared.id` for people: its name, or, without a name, a text with its hash."""
    content, _, release = declared_id.partition(" ")
    return release or f"without a name ({content})"
