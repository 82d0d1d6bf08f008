"""A caller that is cancelled while its client meets the server for the first time is cancelled, at whatever moment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from wakeline.store import processes
from wakeline.store.awaited import AsyncStore

if TYPE_CHECKING:
    from tests.contract.conftest import World

TURNS = 60


def test_a_cancel_at_any_turn_of_the_first_contact_ends_the_caller(world: World) -> None:
    """In Python 3.11 redis-py swallowed some of them, and a race waited for a loser that went on."""

    async def cancelled_after(turns: int) -> bool:
        """Whether the call was cancelled; False if it was over before."""
        store = AsyncStore(world.backend, world.store.address)
        call = asyncio.create_task(store.execute(processes.list_ids("queued", offset=0, limit=1)))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_over = call.done()
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled() or was_over, f"swallowed at turn {turns}"
        await store.close()
        return not was_over

    assert [asyncio.run(cancelled_after(turns)) for turns in range(TURNS)].count(True) > 5
