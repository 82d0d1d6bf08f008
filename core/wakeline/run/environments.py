"""The environments a worker runs processes in, and the store of them as running work sees it.

Invariant: a process runs in the environment it was started with, and never in the one of this worker's app. A missing
environment is an error.
"""

from __future__ import annotations

from wakeline.bounded import WEIGHT_OF_JSON, Bounded
from wakeline.environments.spec import EMPTY_ENVIRONMENT, EnvironmentSpec
from wakeline.processes.registration import Registration
from wakeline.store import environments
from wakeline.store.awaited import AsyncStore

KEPT = 8 * 1024 * 1024
"""About how many bytes of environments are kept in memory."""


class Environments:
    """Environments by name. A name follows from the content, so one that was read stays valid."""

    def __init__(self, store: AsyncStore, own: EnvironmentSpec) -> None:
        self._store = store
        self._own = own
        self._known: Bounded[str, EnvironmentSpec] = Bounded(KEPT)

    async def of(self, registration: Registration) -> EnvironmentSpec:
        """The environment of a process. A turn has none, and its starts capture the environment of the app. Raises
        `MissingExecutionEnvironment`."""
        return self._own if registration.env_ref is None else await self.get(registration.env_ref)

    def known(self, registration: Registration) -> EnvironmentSpec | None:
        """The environment of a process, if it is in memory and need not be read."""
        ref = registration.env_ref
        return self._own if ref is None or ref == self._own.ref else self._known.get(ref)

    async def get(self, ref: str) -> EnvironmentSpec:
        """The environment of a name; raises `MissingExecutionEnvironment`, `InvalidEnvironment`."""
        known = self._own if ref == self._own.ref else self._known.get(ref)
        if known is None:
            known = await self._store.execute(environments.read(ref))
            self._known.put(ref, known, WEIGHT_OF_JSON * len(known.text))
        return known

    async def put(self, spec: EnvironmentSpec) -> str:
        """Store an environment; its name. Nothing is written for the empty one."""
        return spec.ref if spec.ref == EMPTY_ENVIRONMENT else await self._store.execute(environments.put(spec))
