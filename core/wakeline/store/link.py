"""A connection that an awaited client keeps, because taking one from the pool for each write costs more than the write.

Invariant: answers are handed out as they come, in the order of their commands. Commands without an answer when the
connection broke are sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import redis.asyncio
from redis import exceptions as rex

from wakeline.store.together import Command, Exchange


class Link:
    """One connection of a client's pool, taken at the first use, for one caller at a time. Raises what redis-py raises,
    after the same number of tries."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._pool: Any = client.connection_pool
        self._connection: Any = None

    async def carry(self, exchange: Exchange) -> None:
        """Sends the commands of an exchange and gives it the answers, until none is left. Answers before an error stay
        given."""

        async def attempt() -> None:
            while commands := exchange.commands():
                await self._send(commands)
                for _ in commands:
                    exchange.answered(await self._answer())

        await self._try(attempt)

    async def ask(self, *commands: Command) -> list[Any]:
        """The answers to commands that leave in one write; raises the error of a refused one."""
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
            # A send would reconnect to the former server by itself; only this asks a Sentinel again.
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
        """Closes the connection, because late answers would be taken for answers to the next commands. The next use
        connects anew."""
        await self._connection.disconnect(nowait=True)
