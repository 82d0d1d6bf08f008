"""`Starter` and `AsyncStarter`: starts with options, blocking and awaited.

Invariant: options say how a process is started, arguments what it is started with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from wakeline.client.drivers import AwaitedDriver, BlockingDriver
from wakeline.client.handles import AsyncHandle, Handle
from wakeline.engines.engine import Engine
from wakeline.tools.tool import Tool
from wakeline.verbs import starts
from wakeline.verbs.options import Options
from wakeline.verbs.registrations import bound, bound_rows

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts with options."""

    client: BlockingDriver = field(repr=False)
    options: Options

    def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start a process; one round trip. Raises `ProcessConflict`, `InvalidArguments`, `PayloadTooLarge`."""
        program = starts.start(self.client.caller, body, bound(body, *args, **kwargs), self.options)
        return Handle(self.client, self.client.run("app.start", program), body.signature.load_result)

    def start_many(
        self,
        body: Engine[..., R] | Tool[..., R],
        rows: Iterable[Mapping[str, Any]],
        *,
        ids: Sequence[str] | None = None,
    ) -> list[Handle[R]]:
        """Start a process for each row of named arguments, hundreds in one write.

        ``ids`` gives one id for each row, so that a repetition starts nothing twice. All rows are checked before the
        first start. Raises `InvalidArguments`, `ProcessConflict`, `PayloadTooLarge`."""
        program = starts.start_many(self.client.caller, body, bound_rows(body, rows), self.options, ids)
        return [
            Handle(self.client, pid, body.signature.load_result) for pid in self.client.run("app.start_many", program)
        ]


@dataclass(frozen=True, slots=True)
class AsyncStarter:
    """`Starter`, awaited."""

    client: AwaitedDriver = field(repr=False)
    options: Options

    async def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncHandle[R]:
        """Start a process; one round trip."""
        pid = await self.client.run(
            "app.start", starts.start(self.client.caller, body, bound(body, *args, **kwargs), self.options)
        )
        return AsyncHandle(self.client, pid, body.signature.load_result)

    async def start_many(
        self,
        body: Engine[..., R] | Tool[..., R],
        rows: Iterable[Mapping[str, Any]],
        *,
        ids: Sequence[str] | None = None,
    ) -> list[AsyncHandle[R]]:
        """Start a process for each row of named arguments, hundreds in one write; ``ids``: one for each."""
        program = starts.start_many(self.client.caller, body, bound_rows(body, rows), self.options, ids)
        return [
            AsyncHandle(self.client, pid, body.signature.load_result)
            for pid in await self.client.run("app.start_many", program)
        ]
