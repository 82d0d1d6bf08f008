"""Calls about the declarations of a release: what it says of limits and agents, and that its schedules are written,
too.

Invariant: only those of the release in force are written.
"""

from __future__ import annotations

from typing import Literal

from wakeline.releases import Declared
from wakeline.store.calls import Call

How = Literal["same", "patient", "named"]


def write(declared: Declared, how: How) -> Call[bool]:
    """Write limits and agents, where this release is in force; whether it is. ``how``: it comes into force by this
    ("named"), may do so (a clock's or a stock
    worker's, "patient"), or not ("same").
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
    """Say that all declarations of this release are written; whether it is in force."""
    args = {"app": declared.app, "declares": declared.id, "how": "same", "whole": True}
    return Call("declarations_write", args, lambda reply: reply[0] == "written")
