"""The protocols that code of an app may implement to extend it."""

from wakeline.attachments.backend import BlobBackend, StoredBlob
from wakeline.clock import Clock
from wakeline.engines.protocol import EngineProtocol
from wakeline.store.connection import Backend
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import BlockedSeen, EffectSeen, IsolatedSeen, RunSeen, ScriptSeen, StretchSeen
from wakeline.tools.catalog import ToolProvider
from wakeline.tools.completions import Completion, CompletionClient, CompletionRequest
from wakeline.tools.definition import ArgumentProjection, ToolContract, ToolManifest

__all__ = [
    "ArgumentProjection",
    "Backend",
    "BlobBackend",
    "BlockedSeen",
    "Clock",
    "Completion",
    "CompletionClient",
    "CompletionRequest",
    "EffectSeen",
    "EngineProtocol",
    "Instrument",
    "Instruments",
    "IsolatedSeen",
    "Phase",
    "RunSeen",
    "ScriptSeen",
    "StoredBlob",
    "StretchSeen",
    "ToolContract",
    "ToolManifest",
    "ToolProvider",
]
