"""Calls about the declarations of a release: they write its limits and agents, and note that its schedules are written
too.

Invariant: only declarations of the release in force are written.
"""

from __future__ import annotations

from typing import Literal

from wakeline.releases import Declared
from wakeline.store.calls import Call

How = Literal["same", "patient", "named"]


def write(declared: Declared, how: How) -> Call[bool]:
    """Write limits and agents if this release is in force; returns whether it is. ``how`` says whether this call puts
    it in force ("named"), may do so (a clock or a stock worker, "patient"), or does not ("same").
    """
    args = {
        "app": declared.app,
        "declares": declared.id,
        "limits": dict(declared.limits),
        "agents": dict(declared.agents),
        "how": how,
    }
    return Call("declarations_write", args, lambda reply: reply[0] == "written")


def written(declared: Declared) -> Call[bool]:
    """Note that all declarations of this release are written; returns whether it is in force."""
    args = {"app": declared.app, "declares": declared.id, "how": "same", "whole": True}
    return Call("declarations_write", args, lambda reply: reply[0] == "written")
