"""Who asks for a verb: a client, or a run for its body.

Invariant: what is remembered here saves round trips and decides nothing. A script refuses what has changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wakeline.bounded import Bounded
from wakeline.engines.registry import Registry
from wakeline.environments.spec import EMPTY, EnvironmentSpec
from wakeline.processes.events import EventType
from wakeline.processes.producing import Producible
from wakeline.processes.reading import check_known
from wakeline.processes.registration import Registration
from wakeline.settings import DURATIONS
from wakeline.store import processes
from wakeline.store.calls import Program
from wakeline.verbs.payload_types import TakenTypes, engine_of
from wakeline.verbs.registrations import Registrations

CACHED_TYPES = 8 * 1024 * 1024
"""About how many bytes of types of processes are kept in memory."""
CACHED_SCHEMAS = 1024 * 1024
MOST_ASKED = 16


class Caller:
    """Where it asks, with which code, and what it has learned. Every program of a verb is given one.

    ``environment``: what its starts capture. ``grace_ms``: after how long a process that is asked to end is ended.
    ``tombstone_ms``: for how long the id of one that it prunes stays used up.
    """

    def __init__(
        self,
        namespace: str,
        *,
        grace_ms: int,
        now_ms: Callable[[], int],
        tombstone_ms: int = DURATIONS["tombstone_ms"],
        environment: EnvironmentSpec = EMPTY,
        registry: Registry | None = None,
    ) -> None:
        self.namespace = namespace
        self.grace_ms = grace_ms
        self.tombstone_ms = tombstone_ms
        self.now_ms = now_ms
        self.environment = environment
        self.registry = registry or Registry()
        self.instruments = self.registry.instruments
        self.agents = registry.agents if registry is not None else None
        """Those that it has the code of, where it knows."""
        self.registrations = Registrations(namespace)
        self._types: Bounded[str, Producible] = Bounded(CACHED_TYPES)
        """What producers may send to the processes that it started or asked for, so that a signal needs one round
        trip."""
        self.asked: Bounded[str, dict[str, Any]] = Bounded(CACHED_SCHEMAS, most=MOST_ASKED)
        """Schemas of answers that waits asked for, by their hash. An answer that fits one of them needs no second round
        trip."""

    def forget(self) -> None:
        """Forgets what it knows of processes and waits, because the store went back, or is another one."""
        self._types.clear()
        self.asked.clear()

    def learn(self, registration: Registration) -> Producible:
        """Remembers what may be sent to a process."""
        known = registration.producible
        self.keep(known, known.weight)
        return known

    def keep(self, known: Producible, weight: int) -> None:
        """Remembers what may be sent to a process, which takes so many bytes."""
        self._types.put(known.id, known, weight)

    def unlearn(self, process_id: str) -> None:
        """The id was pruned and used again, so it may have other types now."""
        self._types.drop(process_id)

    def types_of(self, process_id: str) -> Program[Producible]:
        """What may be sent to a process; looked up where it is not remembered."""
        known = self._types.get(process_id)
        if known is None:
            view: processes.StoredProcess = yield processes.read(process_id)
            # Known types are enough to send, even beside an unknown field.
            known = self.learn(view.registration if view.registration.known else check_known(view.registration))
        return known

    def taken(self, known: Producible, also: tuple[EventType, ...] = ()) -> TakenTypes:
        """The types that a process takes, as it was started and as its engine declares them now."""
        return TakenTypes(known, engine_of(known, self.registry), also)
