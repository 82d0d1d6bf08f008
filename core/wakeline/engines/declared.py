"""Events and signals as users declare them, and the event types that processes are registered with.

Invariant: the declaration alone says what an event means. Bodies and outsiders that append it bring only the payload.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wakeline.arguments import by_name
from wakeline.errors import BodyInvalid
from wakeline.names import (
    LIFECYCLE_TYPES,
    PRODUCER_TYPES,
    SIGNAL_PREFIX,
    check_event_type,
    check_signal_name,
    former_names,
)
from wakeline.processes.events import EventType, Semantics, TerminalSpec, WakeSpec
from wakeline.processes.selectors import PayloadSelector, parse_text
from wakeline.typed import check_kind, schema_of


@dataclass(frozen=True, slots=True)
class Event:
    """Declares an event: the type of its payload, the text of its wake if it wakes (with ``{field}`` holes), and
    whether it ends its process.

    These names are reserved, and a declaration of them raises `BodyInvalid`: ``log``, ``progress`` and ``wake``, which
    every process may write; ``signal.<name>``; and what Wakeline writes (``process.started``, ``process.completed`` and
    so on, listed in docs/log.md)."""

    payload: Any = Any
    wake: str | None = None
    key: str | None = None
    """Wakes with the same text of this template coalesce while they are pending."""
    ends: Literal["completed", "failed", "cancelled"] | None = None
    """The status in which this event ends its process. Its payload is the result, or the reason. A body that emits it
    goes no further."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Declares a signal: the type of its payload, and the names that it had before, oldest first."""

    payload: Any = Any
    was: Sequence[str] | str = ()


def declared_signals(owner: str, signals: Mapping[str, Any] | None) -> dict[str, Signal]:
    """The declarations in ``signals=`` of an engine, by name. A type alone declares a signal without former names.
    Raises `BodyInvalid`, `InvalidId`."""
    declared: dict[str, Signal] = {}
    for name, given in by_name(owner, "signals", signals).items():
        signal = given if isinstance(given, Signal) else Signal(given)
        check_kind(owner, signal.payload)
        was = former_names(check_signal_name(name), signal.was, f"signal {name} of {owner}", check=check_signal_name)
        declared[name] = Signal(signal.payload, was)
    seen = set(declared)
    for name, signal in declared.items():
        for one in signal.was:
            if one in seen:
                raise BodyInvalid(
                    name=owner,
                    reason=(
                        f"its signal {name!r} was {one!r}, which is or was another signal of it; each has names of"
                        " its own"
                    ),
                )
            seen.add(one)
    return declared


def declared_events(owner: str, events: Mapping[str, Any] | None) -> dict[str, Event]:
    """The declarations in ``events=`` of an engine or of external work, by name. A type alone declares an event without
    further meaning. Raises `BodyInvalid`, `InvalidId`."""
    declared = {
        check_event_type(name): event if isinstance(event, Event) else Event(event)
        for name, event in by_name(owner, "events", events).items()
    }
    for name, event in declared.items():
        check_kind(owner, event.payload)
        if name in PRODUCER_TYPES | LIFECYCLE_TYPES:
            taken = f"log, progress, wake, signal.<name>, {', '.join(sorted(LIFECYCLE_TYPES))}"
            reason = f"it declares event {name!r}, which every process has; choose another name (reserved are {taken})"
            raise BodyInvalid(name=owner, reason=reason)
        if name.startswith(SIGNAL_PREFIX):
            raise BodyInvalid(
                name=owner,
                reason=f"it declares {name!r} as an event; declare {name.removeprefix(SIGNAL_PREFIX)!r} in signals=",
            )
        if event.ends not in (None, "completed", "failed", "cancelled"):
            raise BodyInvalid(
                name=owner,
                reason=f"its event {name!r} ends={event.ends!r}; it has to be 'completed', 'failed' or 'cancelled'",
            )
    return declared


def event_types_of(events: Mapping[str, Event]) -> tuple[EventType, ...]:
    """The event types that a registration stores for declared events."""
    return tuple(
        EventType(name=name, payload_schema=schema_of(event.payload), semantics=_semantics(event))
        for name, event in events.items()
    )


def _semantics(event: Event) -> Semantics | None:
    if event.wake is None and event.ends is None:
        return None
    wake = None
    if event.wake is not None:
        wake = WakeSpec(input=parse_text(event.wake), **({"dedupe": parse_text(event.key)} if event.key else {}))
    return Semantics(
        wake=wake, terminal=TerminalSpec(state=event.ends, output=PayloadSelector()) if event.ends else None
    )
