"""What producers may append to a process: all that a sender has to know of its registration.

Invariant: it holds nothing of the arguments of the process, so that knowing many of them costs little.
"""

from __future__ import annotations

from wakeline import names
from wakeline.bounded import WEIGHT_OF_JSON
from wakeline.fixed import fixed
from wakeline.processes.events import CORE_TYPES, EventType
from wakeline.values import to_json

OWN_BYTES = 1024
"""About how many bytes one takes besides its schemas."""


def type_for(name: str, event_types: tuple[EventType, ...], *, strict_signals: bool) -> EventType | None:
    """The type under which a producer may append; None if it is not declared, or only the runtime writes it.

    Core types `log`, `progress` and `wake` are always there; so is every signal where signals are not strict.
    """
    declared = next((event_type for event_type in event_types if event_type.name == name), None)
    if declared is not None or name in names.LIFECYCLE_TYPES:
        return declared
    if name.startswith(names.SIGNAL_PREFIX) and not strict_signals:
        names.check_signal_name(name.removeprefix(names.SIGNAL_PREFIX))
        return EventType(name=name)
    return CORE_TYPES.get(name)


@fixed
class Producible:
    """What producers know of one process: its id, its incarnation, its registered types, and its engine by name and
    version."""

    id: str
    incarnation: str
    event_types: tuple[EventType, ...]
    strict_signals: bool
    engine: tuple[str, str | None] | None = None

    def event_type(self, name: str) -> EventType | None:
        """The type under which a producer may append; see `type_for`."""
        return type_for(name, self.event_types, strict_signals=self.strict_signals)

    @property
    def weight(self) -> int:
        """About how many bytes it takes. Starts of one body share their types, and each of them counts them."""
        return OWN_BYTES + sum(
            WEIGHT_OF_JSON * len(to_json(one.payload_schema)) for one in self.event_types if one.payload_schema
        )
