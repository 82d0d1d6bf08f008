"""`Session`: one agent's conversation from outside, blocking.

Invariant: a session is a name; the first send, or a start with ``wake=`` it, creates what it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wakeline.client.drivers import Blocking
from wakeline.client.handles import Handle, as_json
from wakeline.runtime.sessions import Message
from wakeline.store.sessions import SessionView
from wakeline.tools.tool import Duration


@dataclass(frozen=True, slots=True)
class Session:
    """One agent's conversation: an inbox, a state, a history, one turn at a time."""

    client: Blocking = field(repr=False)
    id: str
    queue: str | None = None

    def send(self, text: Any, *, key: str | None = None) -> int:
        """Put input into the inbox; the same ``key`` again is the same input. Its number. Raises `ReplayConflict`."""
        return self.client.run("session.send", self.client.service.sessions.send(self.id, self.queue, text, key))

    def ask(self, text: Any, *, key: str | None = None, timeout: Duration = 60) -> Any:
        """Send, and wait for what the turn that takes it returns. Raises `WaitTimeout`, `ProcessFailed`."""
        return self.client.run("session.ask", self.client.service.sessions.ask(self.id, self.queue, text, key, timeout))

    def view(self, *, after: int = 0, count: int = 100, entries: int = 50) -> SessionView:
        """Head, state, history and inbox of one moment. Raises `SessionNotFound`, as every look does."""
        return self.client.run("session.view", self.client.service.sessions.view(self.id, after=after, count=count, entries=entries))

    def history(self, *, after: int = 0, count: int = 100) -> list[Message]:
        """Messages after a number, oldest first."""
        return self.client.run("session.history", self.client.service.sessions.history(self.id, after=after, count=count))

    def state(self) -> dict[str, Any]:
        """The agent's state as of the latest committed turn."""
        return self.client.run("session.state", self.client.service.sessions.state(self.id))

    def turn(self) -> Handle[Any] | None:
        """The turn that runs or waits now, if any."""
        pid = self.client.run("session.turn", self.client.service.sessions.turn(self.id))
        return Handle(self.client, pid, as_json) if pid else None
