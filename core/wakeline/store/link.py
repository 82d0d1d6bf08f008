"""A connection that an awaited client keeps: to take one from the pool for each write costs more than the write.

Invariant: answers are told as they come, in the order of their commands; what was not told when the connection broke is
sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import redis.asyncio
from redis import exceptions as rex

from wakeline.store.together import Command, Exchange


class Link:
    """One connection of a client's pool, taken at the first use, for one caller at a time. Raises what redis-py raises,
    after as many tries."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._pool: Any = client.connection_pool
        self._connection: Any = None

    async def carry(self, exchange: Exchange) -> None:
        """Sends what an exchange has and tells it the answers, until it has nothing left; what was told before an error
        stays told."""

        async def attempt() -> None:
            while commands := exchange.commands():
                await self._send(commands)
                for _ in commands:
                    exchange.answered(await self._answer())

        await self._try(attempt)

    async def ask(self, *commands: Command) -> list[Any]:
        """The answers to commands that leave in one write; a refused one is raised."""
        answers: list[Any] = []

        async def attempt() -> None:
            await self._send(commands)
            answers[:] = [await self._answer() for _ in commands]

        await self._try(attempt)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _send(self, commands: Sequence[Command]) -> None:
        if not self._connection.is_connected:
            # Sending would connect by itself, to where it was connected before: only this asks a Sentinel again.
            await self._connection.connect()
        await self._connection.send_packed_command(self._connection.pack_commands(commands))

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response()
        except rex.ResponseError as refused:
            return refused

    async def _try(self, attempt: Callable[[], Awaitable[None]]) -> None:
        if self._connection is None:
            self._connection = await self._pool.get_connection()

        try:
            await self._connection.retry.call_with_retry(attempt, self.part)
        except BaseException:
            await self.part()
            raise

    async def part(self, _: Exception | None = None) -> None:
        """Lets go of the server: answers that are still on their way would be taken for those to the next commands. The
        next use connects anew."""
        await self._connection.disconnect(nowait=True)
