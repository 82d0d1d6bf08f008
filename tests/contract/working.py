"""Bodies in the contract tests: an app in a world's namespace, and workers that run them with the real runner on the
world's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, TypeVar

from wakeline.app import App
from wakeline.errors import RedisUnavailable
from wakeline.runner import Runner
from wakeline.settings import Settings
from wakeline.store import claims as stored_claims
from wakeline.store import owners
from wakeline.store.address import Address
from wakeline.store.awaited import AsyncStore
from wakeline.store.calls import Call
from wakeline.store.connection import Backend
from wakeline.store.keys import queue_name

if TYPE_CHECKING:
    from tests.contract.conftest import World

T = TypeVar("T")
LEASE_MS = 5_000
MOST_TAKES = 50


@dataclass
class Host:
    """Runs bodies and holds none in memory: a body that only waits is parked at once."""

    hold_ms: int = 0
    full: bool = False
    grace_ms: int = 10_000
    isolation: None = None

    def timer(self, due_ms: int) -> None:
        """Ticks are the test's."""

    def leaving(self, claim_id: str) -> None:
        """Takes are the test's."""


def app_of(world: World) -> App:
    """An app in the world's namespace, on its clock."""
    return App(
        world.namespace,
        backend=world.backend,
        clock=world.clock,
        settings=Settings(rq_prefix=world.store.address.rq_prefix),
    )


def work(
    world: World,
    app: App,
    owner: str = "w_1",
    *,
    fails: str | None = None,
    release: str | None = None,
    queues: Sequence[str | None] | None = None,
) -> list[str]:
    """A worker of this name runs all there is to run; what became of its runs, in order. ``fails``: a script it cannot
    reach Redis for; ``release``: of its code; ``queues``: the ones it takes from (None: the one without a name), all
    unless given.
    """

    async def main() -> list[str]:
        listens = app.queues if queues is None else [queue_name(app.namespace, queue) for queue in queues]
        store = _Store(world.backend, world.store.address, fails)
        ended: list[str] = []
        takes = 0
        threads = ThreadPoolExecutor(4)
        try:
            runner = Runner(store, app.registry, Host(), clock=world.clock, threads=threads)
            agents = {name: agent.policy for name, agent in app.registry.agents.items()}
            await store.execute(
                owners.register_owner(owner, listens, lease_ms=LEASE_MS, limits=app.limits, release=release)
            )
            take = partial(
                stored_claims.take, owner, queues=listens, n=100, lease_ms=LEASE_MS, agents=agents, release=release
            )
            while claims := (await store.execute(take(token_hex(4), proven=runner.proven))).claims:
                takes += 1
                assert takes < MOST_TAKES, f"a hot loop: {ended[-3:]}"
                ended += await asyncio.gather(*(runner.run(claim) for claim in claims))
        finally:
            await asyncio.to_thread(
                threads.shutdown
            )  # beside the loop: a body in its thread may have something to ask of it
            await store.close()
        return ended

    return asyncio.run(main())


class _Store(AsyncStore):
    """A client that one script never gets through."""

    def __init__(self, backend: Backend, address: Address, fails: str | None) -> None:
        super().__init__(backend, address)
        self._fails = fails

    async def execute(self, call: Call[T]) -> T:
        if call.script == self._fails:
            raise RedisUnavailable(reason="the cable was pulled")
        return await super().execute(call)
