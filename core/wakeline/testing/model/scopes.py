"""The scope of a journal key: no two scopes share a key."""

from __future__ import annotations

from dataclasses import fields
from urllib.parse import unquote

from wakeline.causality import (
    ExecutionScope,
    ProcessScope,
    QueueDrainScope,
    RuntimeOperationScope,
    SessionDeleteScope,
    TurnScope,
)
from wakeline.errors import InvalidId

_SCOPES: tuple[type[ExecutionScope], ...] = (
    TurnScope,
    ProcessScope,
    QueueDrainScope,
    SessionDeleteScope,
    RuntimeOperationScope,
)


def parse_execution_scope(journal_key: str) -> ExecutionScope:
    """The scope of a journal key; raises `InvalidId` if the key is invalid."""
    kind, *components = journal_key.split(":")
    for scope in _SCOPES:
        if scope.kind == kind and len(fields(scope)) == len(components):
            return scope(*(unquote(component) for component in components))
    raise InvalidId(kind="journal key", value=journal_key, grammar="<kind>:<component>[:<component>]")
