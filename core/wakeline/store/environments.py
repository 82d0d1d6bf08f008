"""Calls on execution environments: put and read.

Invariant: the name follows from the content, so a put is idempotent, and an environment that was read once may be kept
without an end.
"""

from __future__ import annotations

from typing import Any

from wakeline.environments.spec import EMPTY, EMPTY_ENVIRONMENT, EnvironmentSpec, digest_of, environment
from wakeline.errors import MissingExecutionEnvironment
from wakeline.store.calls import Call, Reply
from wakeline.values import from_json

UNUSED_MS = 7 * 86_400_000
"""How long an environment stays in the store if no process was started with it."""


def put(spec: EnvironmentSpec) -> Call[str]:
    """Store an environment; returns its name. If no process uses it within seven days, it is removed."""
    ref = spec.ref
    return Call("environment_put", {"env": digest_of(ref), "spec": spec.text, "unused_ms": UNUSED_MS}, lambda _: ref)


def read(ref: str) -> Call[EnvironmentSpec]:
    """The environment of a name; raises `MissingExecutionEnvironment`, `InvalidEnvironment` for what only a later
    release can read."""

    def decode(reply: Reply) -> EnvironmentSpec:
        if ref == EMPTY_ENVIRONMENT:
            return EMPTY
        if reply:
            spec = environment(from_json(reply))
            if spec.ref == ref:
                return spec
        raise MissingExecutionEnvironment(ref=ref)

    return Call("environment_read", {"env": digest_of(ref)}, decode)


def wire(ref: str | None, spec: EnvironmentSpec | None) -> dict[str, Any] | None:
    """What a start needs of the environment of its process: nothing for the empty one, and the text if this start
    captured it."""
    if ref is None or ref == EMPTY_ENVIRONMENT:
        return None
    known = {"spec": spec.text} if spec is not None and spec.ref == ref else {}
    return {"id": digest_of(ref), **known}
