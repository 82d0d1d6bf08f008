"""What an effect is, for the journal: kind, name, arguments; its hash and its replay key.

Invariant: keys come from local facts only (name, arguments, occurrence), so changed arguments are another key and never silently a hit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wakeline.values import canonical_json, content_hash

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Envelope:
    """One effect as a body asks for it; ``args`` is JSON data."""

    kind: str
    name: str
    args: Any = None


def envelope_hash(envelope: Envelope) -> str:
    """32 hex characters over kind, name and canonical arguments."""
    return content_hash(envelope.kind, envelope.name, canonical_json(envelope.args))[:32]


def replay_key(name: str, args_hash: str, occurrence: int) -> str:
    """``<name>:<argument hash>:<occurrence>``, occurrences from 1."""
    return f"{name}:{args_hash[:16]}:{occurrence}"


def diff_paths(old: Any, new: Any) -> tuple[list[str], int]:
    """Where two argument values differ: the first eight paths, and how many there are."""
    found: list[str] = []
    _walk("args", old, new, found)
    return found[:_SHOWN], len(found)


def _walk(path: str, old: Any, new: Any, found: list[str]) -> None:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            _walk(f"{path}.{key}", old.get(key, ...), new.get(key, ...), found)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            _walk(f"{path}[{i}]", a, b, found)
    elif old != new or type(old) is not type(new):
        found.append(path)
