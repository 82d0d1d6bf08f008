"""The protocols that code of an app may implement to extend it."""

from wakeline.attachments.backend import BlobBackend, StoredBlob
from wakeline.clock import Clock
from wakeline.engines.protocol import EngineProtocol
from wakeline.store.connection import Backend
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import (
    BeatSeen,
    BlockedSeen,
    EffectSeen,
    EndedSeen,
    IsolatedSeen,
    LinkSeen,
    LostSeen,
    RanSeen,
    RunSeen,
    ScriptSeen,
    SendingSeen,
    StretchSeen,
    TakenSeen,
    TickedSeen,
    TriedSeen,
    WaitedSeen,
)
from wakeline.tools.catalog import ToolProvider
from wakeline.tools.completions import Completion, CompletionClient, CompletionRequest
from wakeline.tools.definition import ArgumentProjection, ToolContract, ToolManifest

__all__ = [
    "ArgumentProjection",
    "Backend",
    "BeatSeen",
    "BlobBackend",
    "BlockedSeen",
    "Clock",
    "Completion",
    "CompletionClient",
    "CompletionRequest",
    "EffectSeen",
    "EndedSeen",
    "EngineProtocol",
    "Instrument",
    "Instruments",
    "IsolatedSeen",
    "LinkSeen",
    "LostSeen",
    "Phase",
    "RanSeen",
    "RunSeen",
    "ScriptSeen",
    "SendingSeen",
    "StoredBlob",
    "StretchSeen",
    "TakenSeen",
    "TickedSeen",
    "TriedSeen",
    "ToolContract",
    "ToolManifest",
    "ToolProvider",
    "WaitedSeen",
]
