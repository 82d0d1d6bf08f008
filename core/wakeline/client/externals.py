"""`External` and `AsyncExternal`: work that runs elsewhere, and how it is reported, blocking and awaited.

Invariant: no worker runs it; its end is what its reporter says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wakeline.client.handles import AsyncHandle, Handle
from wakeline.processes.events import EventType
from wakeline.verbs import events, processes


@dataclass(frozen=True, slots=True)
class External(Handle[Any]):
    """Work that runs elsewhere, and how it is reported."""

    declared: tuple[EventType, ...] = field(default=(), repr=False)
    """The types of events that its reporter declares, if an earlier release registered it."""

    def emit(self, event_type: str, payload: Any = None, *, key: str | None = None) -> int:
        """Append an event; the same ``key`` is the same event. Returns its sequence."""
        return self.client.run(
            "external.emit",
            events.emit(self.client.caller, self.id, event_type, payload, key, external=True, also=self.declared),
        )

    def finish(self, value: Any = None) -> int:
        """Report success. Returns the sequence of its end."""
        return self.client.run("external.finish", processes.succeed_external(self.id, value))

    def fail(self, code: str, message: str) -> int:
        """Report failure. Returns the sequence of its end."""
        return self.client.run("external.fail", processes.fail_external(self.id, code, message))


@dataclass(frozen=True, slots=True)
class AsyncExternal(AsyncHandle[Any]):
    """`External`, awaited."""

    declared: tuple[EventType, ...] = field(default=(), repr=False)

    async def emit(self, event_type: str, payload: Any = None, *, key: str | None = None) -> int:
        """Append an event; returns its sequence."""
        return await self.client.run(
            "external.emit",
            events.emit(self.client.caller, self.id, event_type, payload, key, external=True, also=self.declared),
        )

    async def finish(self, value: Any = None) -> int:
        """Report success."""
        return await self.client.run("external.finish", processes.succeed_external(self.id, value))

    async def fail(self, code: str, message: str) -> int:
        """Report failure."""
        return await self.client.run("external.fail", processes.fail_external(self.id, code, message))
