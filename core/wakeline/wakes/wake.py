"""The id of a wake.

Invariant: it follows from session, process, incarnation and sequence alone, so a repeated delivery has the same id.
The scripts (store/lua/lib/inbox.lua) decide which event is a wake, and its place in the inbox.
"""

from __future__ import annotations

from wakeline.values import content_hash


def wake_id(session_id: str, process_id: str, incarnation: str, sequence: int) -> str:
    """The id of the wake that an event causes in a session."""
    return "wake:v1:" + content_hash("wake", session_id, process_id, incarnation, str(sequence))
