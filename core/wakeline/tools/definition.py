"""What a tool is, without its code: manifest, contract and retry rule.

Invariant: the number and the delays of further tries follow from the policy and the failure alone. A delay that the
failure asks for (`RetryAfter`) wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import Field

from wakeline.values import Stored

Policy = Literal["never", "safe", "idempotent"]
Scheduling = Literal["parallel", "serial"]
Availability = Literal["off", "searchable", "callable", "showcased"]
AVAILABILITIES: tuple[Availability, ...] = get_args(Availability)
"""From hidden to shown first; a tool with `callable` or more can be called."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed tool is tried again: `retries` more times after the first, with a pause between base and max (ms).

    `never`: not even after a crash. `safe` and `idempotent`: after failures that allow it, with one key for all tries.
    """

    policy: Policy = "safe"
    retries: int = 0
    base_ms: int = 200
    max_ms: int = 60_000

    def delay_ms(self, attempt: int, retry_after_ms: int | None, rng: Callable[[], float]) -> int:
        """How long to wait after this attempt (counted from 1) failed, in ms.

        A delay that the failure asked for is taken as it is. Otherwise it has full jitter: `rng` (in [0, 1)) times a
        base that doubles.
        """
        if retry_after_ms is not None:
            return max(0, retry_after_ms)
        # The exponent is bounded, because a large int times a float overflows.
        ceiling = min(self.max_ms, self.base_ms * 2 ** min(max(attempt, 1) - 1, 62))
        return int(rng() * ceiling)


class ArgumentProjection(Stored):
    """What happens to references to projected values in a call's arguments: their values are put in, except in the
    fields named here."""

    kind: Literal["materialize_projected_values", "preserve_projected_refs_in_fields"] = "materialize_projected_values"
    fields: tuple[str, ...] = ()


MATERIALIZE = ArgumentProjection()


def preserve_projected_refs_in(*fields: str) -> ArgumentProjection:
    """The policy that leaves references in these fields as they are."""
    return ArgumentProjection(kind="preserve_projected_refs_in_fields", fields=tuple(sorted(fields)))


class ToolManifest(Stored):
    """What is always loaded of a tool. Schemas and examples are its contract, which is made when it is needed."""

    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    description: str = ""
    availability: Availability = "callable"
    override: Availability | None = None
    scheduling: Scheduling = "parallel"
    retry_policy: Policy = "safe"
    argument_projection: ArgumentProjection = MATERIALIZE
    bindings: dict[str, Any] = Field(default_factory=dict)

    @property
    def effective(self) -> Availability:
        """Its availability: the override if there is one."""
        return self.override or self.availability

    @property
    def is_callable(self) -> bool:
        """Whether a call may resolve to it."""
        return AVAILABILITIES.index(self.effective) >= AVAILABILITIES.index("callable")

    @property
    def is_hidden(self) -> bool:
        """Whether it is to be treated as absent."""
        return self.effective == "off"


class ToolContract(Stored):
    """JSON Schemas of a tool's arguments and of its result (`{}` accepts all), and examples of arguments."""

    input_schema: dict[str, Any] = Field(default_factory=dict)
    output_schema: dict[str, Any] = Field(default_factory=dict)
    examples: tuple[dict[str, Any], ...] = ()
