"""The types that a payload for a process may have: those it was started with, and those that its engine declares now.

Invariant: types that a release adds reach processes that were started before it, and types that it removes stay for
them. A payload that fits either type passes. For a signal, the open wait decides, wherever its type was declared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from wakeline import typed
from wakeline.engines.engine import Engine
from wakeline.engines.registry import Registry
from wakeline.errors import PayloadSchemaMismatch, UndeclaredEvent, WaitTypeDiffers
from wakeline.names import SIGNAL_PREFIX, signal_event_type
from wakeline.processes.events import EventType
from wakeline.processes.producing import Producible
from wakeline.processes.schema import check_payload, schema_hash
from wakeline.store.signals import SchemaWanted
from wakeline.values import canonical_json, from_json

T = TypeVar("T")


class Known(Protocol):
    """The types that were declared when a process was started: a registration, or a sender's part of one."""

    @property
    def id(self) -> str: ...
    @property
    def event_types(self) -> tuple[EventType, ...]: ...
    def event_type(self, name: str) -> EventType | None: ...


class TakenTypes:
    """The types that one process takes. ``engine`` is its engine in this release. ``also`` are types that the sender
    itself declares."""

    def __init__(self, known: Known, engine: Engine[..., Any] | None = None, also: tuple[EventType, ...] = ()) -> None:
        self._known, self._engine, self._also = known, engine, also

    def check(
        self, name: str, payload: Any, data: Any, check: Callable[[EventType, Any], T]
    ) -> tuple[EventType, Any, T]:
        """The type that the data of a payload fits, the data in that form, and the result of the check. Raises
        `UndeclaredEvent`, and what the check raises."""
        own, now = _named(name, self._known.event_types), self._declared_now(name)
        if own is not None:
            try:
                return own, *fitting(payload, data, lambda given: check(own, given))
            except PayloadSchemaMismatch:
                if now in (None, own):
                    raise
        found = self.named(name)
        if found is None:
            raise self.undeclared(name)
        return found, *fitting(payload, data, lambda given: check(found, given))

    def declares(self, name: str) -> bool:
        """Whether any declaration lets a producer append it."""
        return self.named(name) is not None

    def named(self, name: str) -> EventType | None:
        """The type that is declared under a name: today's, or else the former one; None if there is none."""
        return self._declared_now(name) or self._known.event_type(name)

    def undeclared(self, name: str) -> UndeclaredEvent:
        """The error that says that nothing declares it; for a signal it names the declared signals."""
        names = {one.name for one in (*self._known.event_types, *self._also)}
        if self._engine is not None:
            names.update(self._engine.event_names)
        declared = sorted(one for one in names if one.startswith(SIGNAL_PREFIX) or not name.startswith(SIGNAL_PREFIX))
        return UndeclaredEvent(process_id=self._known.id, event_type=name, declared=declared)

    def _declared_now(self, name: str) -> EventType | None:
        return (self._engine.event_type(name) if self._engine is not None else None) or _named(name, self._also)


def _named(name: str, types: tuple[EventType, ...]) -> EventType | None:
    return next((one for one in types if one.name == name), None)


def engine_of(known: Producible, registry: Registry | None) -> Engine[..., Any] | None:
    """The engine that runs a process; None if this code does not have it."""
    if registry is None or known.engine is None:
        return None
    return registry.versions.get((registry.current(known.engine[0]), known.engine[1]))


def signal_of(known: Producible, engine: Engine[..., Any] | None, name: str) -> tuple[str, tuple[str, ...]]:
    """The name by which a process knows a signal, and the other present and former names of the signal. The name in its
    registration decides."""
    names = engine.names_of_signal(name) if engine is not None else (name,)
    own = next((one for one in reversed(names) if _named(signal_event_type(one), known.event_types) is not None), name)
    return own, tuple(one for one in names if one != own)


def fitting(payload: Any, data: Any, check: Callable[[Any], T]) -> tuple[Any, T]:
    """The data of a payload that passes a check against a schema, and the result of the check. A model's fields have
    their own names, or else their aliases."""
    try:
        return data, check(data)
    except PayloadSchemaMismatch:
        other = typed.outside(payload, data)
        if other is None:
            raise
        return other, check(other)


def against(schema: dict[str, Any], what: str) -> Callable[[Any], None]:
    """The check of data against a schema."""
    return lambda data: check_payload(schema, data, what)


def fitting_the_wait(payload: Any, data: Any, wanted: SchemaWanted, event_type: str, declared: EventType | None) -> Any:
    """The data in the form that the open wait takes, whose type is another than the sender checked.

    Raises `PayloadSchemaMismatch`. If the sender has its own type, it is a `WaitTypeDiffers` and names both.
    """
    try:
        fitted, _ = fitting(payload, data, against(from_json(wanted.schema), event_type))
    except PayloadSchemaMismatch as misfit:
        if declared is None or not declared.payload_schema or schema_hash(declared.payload_schema) == wanted.hash:
            raise
        mine = canonical_json(declared.payload_schema)
        what, path, reason = (str(misfit.fields[name]) for name in ("what", "path", "reason"))
        raise WaitTypeDiffers(what=what, path=path, reason=reason, asked=wanted.schema, declared=mine) from misfit
    return fitted
