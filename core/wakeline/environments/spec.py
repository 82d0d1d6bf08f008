"""An execution environment and its content-addressed name.

Invariant: the name is a hash of the content, so it means the same in every release and on every worker. An unknown
field is refused and not dropped; otherwise two different environments would have one name.
"""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from typing import Any

from pydantic import Field, ValidationError

from wakeline.errors import InvalidEnvironment
from wakeline.values import Json, Stored, canonical_json, check_size

PREFIX = "process-env:sha256:"
EMPTY_ENVIRONMENT = "process-env:sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
"""The environment in which nothing was captured (SHA-256 of `{}`). A record without the field means this one, so it
costs no memory."""
MAX_ENVIRONMENT = 256 * 1024
_REF = re.compile(r"process-env:sha256:[0-9a-f]{64}")


class SessionPolicy(Stored):
    """Which model a process may use, for code that calls one. Wakeline passes it through and does not read it."""

    provider: str | None = None
    model: str | None = None
    options: dict[str, Json] = Field(default_factory=dict)


class EnvironmentSpec(Stored):
    """What a process is allowed to see: options of plugins by name, and a policy."""

    plugin_options: dict[str, Json] = Field(default_factory=dict)
    policy: SessionPolicy = SessionPolicy()

    @cached_property
    def text(self) -> str:
        """Its canonical JSON without defaults: this text is hashed and stored."""
        return canonical_json(self.model_dump(mode="json", exclude_defaults=True), "The environment")

    @cached_property
    def ref(self) -> str:
        """Its name: `process-env:sha256:<hex>`."""
        return PREFIX + hashlib.sha256(self.text.encode()).hexdigest()


EMPTY = EnvironmentSpec()


def environment(given: EnvironmentSpec | dict[str, Any] | None) -> EnvironmentSpec:
    """An environment as people write one; raises `InvalidEnvironment` for unknown fields and for more than 256 KB."""
    if given is None:
        return EMPTY
    try:
        spec = given if isinstance(given, EnvironmentSpec) else EnvironmentSpec.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidEnvironment(reason=f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}") from error
    check_size("The environment", spec.text, MAX_ENVIRONMENT)
    return spec


def check_ref(ref: str) -> str:
    """The value as the name of an environment; raises `InvalidEnvironment`."""
    if not _REF.fullmatch(ref):
        raise InvalidEnvironment(reason=f"{ref[:100]!r} is no name of one; names are {PREFIX}<64 hex digits>")
    return ref


def digest_of(ref: str) -> str:
    """The hex digits of a name; its key is built from them."""
    return check_ref(ref).removeprefix(PREFIX)
