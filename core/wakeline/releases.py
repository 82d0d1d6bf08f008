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
        """Two hashes: the first is equal for releases with equal declarations, the second for those whose declarations
        mean the same. A body without a limit, or an agent with the defaults, means what no such body or agent means."""
        schedules = {one.name: one.content_hash for one in self.schedules}
        said = {"limits": dict(self.limits), "agents": dict(self.agents), "schedules": schedules}
        meant = {name: {one: text for one, text in rows.items() if text} for name, rows in said.items()}
        return f"{_hash(said)}-{_hash(meant)}"

    @property
    def id(self) -> str:
        """The identity of a release in its app: its name and its declarations. Two releases with one name are two. One
        that says of a body that it has no limit takes a limit away, so it is another than one without that body."""
        return f"{self.content} {self.release or ''}"


def _hash(said: Mapping[str, Mapping[str, str]]) -> str:
    return hashlib.sha256(to_json(said).encode()).hexdigest()[:12]


def declare_alike(one: str, other: str) -> bool:
    """Whether what two releases declare means the same, by their `Declared.id`. Of two that earlier releases of
    Wakeline wrote, or one of them, only equal declarations are known to."""
    (said, meant), (other_said, other_meant) = _hashes(one), _hashes(other)
    return said == other_said or (meant != "" and meant == other_meant)


def _hashes(declared_id: str) -> tuple[str, str]:
    said, _, meant = declared_id.partition(" ")[0].partition("-")
    return said, meant


def release_named(declared_id: str) -> str:
    """The release of `Declared.id` for people: its name, or, without a name, a text with its hash."""
    release = declared_id.partition(" ")[2]
    return release or f"without a name ({_hashes(declared_id)[0]})"
