"""What it takes to run a process, as words: an agent, an engine (of a version), a tool.

Invariant: what a worker says that it has and what a process says that it needs are made by the same functions.
"""

from __future__ import annotations

from wakeline.names import word

ANY_TOOL = "t:*"
"""A worker that has a provider: the tools of a provider have no list."""


def agent_code(name: str) -> str:
    """The code of an agent's turns."""
    return f"a:{word(name)}"


def engine_code(kind: str, version: str | None = None) -> str:
    """The code of an engine; a process keeps it without the version, which has a field of its own."""
    return f"e:{word(kind)}" + (f"@{word(version)}" if version else "")


def tool_code(name: str) -> str:
    """The code of a tool."""
    return f"t:{word(name)}"
