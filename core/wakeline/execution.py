"""The types that the verbs of `ctx.execution`, the low-level context of running work, take and return."""

from wakeline.body.execution.blocking import BlockingExecutionContext
from wakeline.body.execution.context import ExecutionContext
from wakeline.body.execution.facts import ProcessEventContext, ProcessOpScope, Reply
from wakeline.body.execution.insession import Projection, SessionGraph
from wakeline.body.execution.recording import AppendRequest
from wakeline.body.execution.triggers import TriggerStore
from wakeline.body.triggers import Registrar
from wakeline.causality import (
    HostOriginator,
    Invocation,
    ProcessScope,
    QueueDrainScope,
    RuntimeOperationScope,
    SessionDeleteScope,
    SessionOriginator,
    SessionScope,
    SpawnProvenance,
    TurnScope,
)
from wakeline.processes.events import ProcessEvent
from wakeline.processes.grants import HandleDescriptor
from wakeline.processes.inputs import EngineInput, ExternalInput, SessionTurn, ToolCall
from wakeline.processes.registration import Registration
from wakeline.run.environments import Environments
from wakeline.sessions.activity import (
    ActivityFailure,
    Progress,
    RetryStatus,
    ToolCallCompleted,
    ToolCallStarted,
    TurnStarted,
)
from wakeline.tools.catalog import ToolCatalog
from wakeline.tools.completions import Completion, CompletionRequest
from wakeline.tools.definition import ToolManifest
from wakeline.tools.leftovers import Leftovers
from wakeline.triggers.occurrence import Occurrence
from wakeline.triggers.subscription import Subscription

__all__ = [
    "ActivityFailure",
    "AppendRequest",
    "BlockingExecutionContext",
    "Completion",
    "CompletionRequest",
    "EngineInput",
    "Environments",
    "ExecutionContext",
    "ExternalInput",
    "HandleDescriptor",
    "HostOriginator",
    "Invocation",
    "Leftovers",
    "Occurrence",
    "ProcessEvent",
    "ProcessEventContext",
    "ProcessOpScope",
    "ProcessScope",
    "Progress",
    "Projection",
    "QueueDrainScope",
    "Registrar",
    "Registration",
    "Reply",
    "RetryStatus",
    "RuntimeOperationScope",
    "SessionDeleteScope",
    "SessionGraph",
    "SessionOriginator",
    "SessionScope",
    "SessionTurn",
    "SpawnProvenance",
    "Subscription",
    "ToolCall",
    "ToolCallCompleted",
    "ToolCallStarted",
    "ToolCatalog",
    "ToolManifest",
    "TriggerStore",
    "TurnScope",
    "TurnStarted",
]
