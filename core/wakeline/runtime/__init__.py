"""Verbs over the stores: what a client asks for, and one run of a process from its claim to its park or end.

Invariant: everything that decides is in the domain packages, everything atomic is in a script; this package only connects them.
"""

from wakeline.runtime.execution import ExecutionContext

__all__ = ["ExecutionContext"]
