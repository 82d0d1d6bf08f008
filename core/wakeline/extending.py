"""The protocols that code of an app may implement to extend it."""

from wakeline.attachments.backend import BlobBackend, StoredBlob
from wakeline.clock import Clock
from wakeline.engines.protocol import EngineProtocol
from wakeline.phases import PhaseProbe
from wakeline.store.connection import Backend
from wakeline.tools.catalog import ToolProvider
from wakeline.tools.completions import Completion, CompletionClient, CompletionRequest
from wakeline.tools.definition import ArgumentProjection, ToolContract, ToolManifest

__all__ = [
    "ArgumentProjection",
    "Backend",
    "BlobBackend",
    "Clock",
    "Completion",
    "CompletionClient",
    "CompletionRequest",
    "EngineProtocol",
    "PhaseProbe",
    "StoredBlob",
    "ToolContract",
    "ToolManifest",
    "ToolProvider",
]
