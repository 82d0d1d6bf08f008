"""The execution context: what running work can see and do, with one method for each fact or verb.

Invariant: a verb that leaves a trace is a recorded effect of its run. A fact follows from the registration and the
claim, so a replay on any worker sees the same.
"""

from wakeline.body.execution.blocking import BlockingExecutionContext
from wakeline.body.execution.context import ExecutionContext, execution_of, outside
from wakeline.body.execution.facts import (
    ExecutionIdentity,
    Lineage,
    ProcessEventContext,
    ProcessOpScope,
    Reply,
    Services,
)

__all__ = [
    "BlockingExecutionContext",
    "ExecutionContext",
    "ExecutionIdentity",
    "Lineage",
    "ProcessEventContext",
    "ProcessOpScope",
    "Reply",
    "Services",
    "execution_of",
    "outside",
]
