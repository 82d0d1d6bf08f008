"""What a client asks of a session: send, ask, look.

Invariant: an answer is the outcome of the turn that took the entry, never of another one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from wakeline import arguments
from wakeline.errors import WaitTimeout
from wakeline.names import check_agent, check_key, split_session_id
from wakeline.processes.outputs import raise_for
from wakeline.runtime.looking import Looking
from wakeline.store import sessions
from wakeline.store.calls import Change, Program
from wakeline.store.keys import queue_name
from wakeline.store.processes import SessionAddress
from wakeline.store.sessions import SessionView
from wakeline.tools.tool import Duration
from wakeline.values import MAX_PAYLOAD, canonical_json, check_size, from_json, parse_duration, to_json

FIRST_LOOK_MS, LAST_LOOK_MS = 25, 500


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a session's history; its role is 'wake', 'input' or 'agent'."""

    n: int
    role: str
    content: Any
    at_ms: int


def address_of(session: str, namespace: str, queue: str | None = None) -> SessionAddress:
    """A session id ``<agent>/<key>`` as the store addresses it; sending to it creates it."""
    agent, _ = split_session_id(session)
    check_agent(agent)
    return SessionAddress(session, agent, queue_name(namespace, queue), secrets.token_hex(8))


class SessionVerbs:
    """The verbs of sessions."""

    def __init__(self, namespace: str, now_ms: Callable[[], int], looking: Looking) -> None:
        self._namespace = namespace
        self._now_ms = now_ms
        self._looking = looking

    def send(self, session: str, queue: str | None, text: Any, key: str | None) -> Program[int]:
        """Put input into a session's inbox; its number there."""
        if key is not None:
            check_key(key, "key of an input")
        data = arguments.dump(text, what="the input")
        body = to_json({"kind": "input", "input": data, "at_ms": self._now_ms()})
        check_size("the input", body, MAX_PAYLOAD)
        sent = yield sessions.send(address_of(session, self._namespace, queue), body, key=key, canonical=canonical_json(data))
        return int(sent.entry)

    def ask(self, session: str, queue: str | None, text: Any, key: str | None, timeout: Duration) -> Program[Any]:
        """Send, and wait for what the turn that takes it returns."""
        limit = parse_duration(timeout)
        entry = yield from self.send(session, queue, text, key)
        deadline, pause = self._now_ms() + limit, FIRST_LOOK_MS
        while True:
            view = yield sessions.read(session, count=0, entries=256)
            state = next((e.state for e in view.entries if e.n == entry), "")
            verb, _, rest = state.partition(" ")
            if verb in ("settled", "failed"):
                turn = rest.split(" ")[0]
                output = yield from self._looking.await_output(turn, 1000)
                return raise_for(turn, output)
            left = deadline - self._now_ms()
            if left <= 0:
                raise WaitTimeout(what=f"an answer of session {session}")
            yield Change(view.head.get("turn", "none"), 0, min(left, pause))
            pause = min(pause * 2, LAST_LOOK_MS)

    def view(self, session: str, *, after: int = 0, count: int = 100, entries: int = 50) -> Program[SessionView]:
        """Head, state, history and inbox of one moment; raises `SessionNotFound`."""
        view: SessionView = yield sessions.read(session, after=after, count=count, entries=entries)
        return view

    def history(self, session: str, *, after: int, count: int) -> Program[list[Message]]:
        """Messages after a number, oldest first."""
        view = yield from self.view(session, after=after, count=count, entries=0)
        bodies = [(n, cast("dict[str, Any]", from_json(text)), at) for n, text, at in view.history]
        return [Message(n, body["role"], body.get("content"), at) for n, body, at in bodies]

    def state(self, session: str) -> Program[dict[str, Any]]:
        """The agent's state as of the latest committed turn."""
        view = yield from self.view(session, count=0, entries=0)
        return cast("dict[str, Any]", from_json(view.state)) if view.state else {}

    def turn(self, session: str) -> Program[str | None]:
        """The id of the turn that runs or waits now, if any."""
        view = yield from self.view(session, count=0, entries=0)
        return view.head.get("turn")
