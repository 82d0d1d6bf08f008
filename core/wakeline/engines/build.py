"""A hash that tells the code of two deployments with one name apart.

Invariant: the same files make the same build, on every machine, under every Python, in every process.
"""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakeline.values import to_json

if TYPE_CHECKING:
    from wakeline.engines.registry import Registry


def build_of(registry: Registry) -> str:
    """Eight hex digits of a hash over the names of all bodies, engines with their versions, and the text of the files
    that they stand in."""
    functions: list[Any] = [body.function for body in registry.versions.values()]
    functions += [tool.function for tool in registry.tools.values()] + [
        agent.function for agent in registry.agents.values()
    ]
    files = {file for function in functions if (file := _file_of(function)) is not None}
    content = {"codes": registry.codes, "files": sorted(map(_hash_of, files))}
    return hashlib.sha256(to_json(content).encode()).hexdigest()[:8]


def _file_of(function: Any) -> str | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_filename if code is not None else None


def _hash_of(file: str) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""  # the file has no text here: it was typed in, or comes from an archive
