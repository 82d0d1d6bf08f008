"""The id of a wake.

Invariant: it follows from session, process, incarnation and sequence alone; delivered again it is the same. Which event
is
a wake, and where in an inbox it comes, is decided by the scripts (store/lua/lib/sessions.lua).
"""

from __future__ import annotations

from wakeline.values import content_hash


def wake_id(session_id: str, process_id: str, incarnation: str, sequence: int) -> str:
    """The id of the wake that an event is to a session."""
    return "wake:v1:" + content_hash("wake", session_id, process_id, incarnation, str(sequence))
