"""What a body deferred to the end of its process, above all compensation.

Invariant: a deferred call runs when the process ends, never when it parks. If one fails, the others still run.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from wakeline.run.boundary import contained, contained_on_loop
from wakeline.shown import logger
from wakeline.tools.tool import outside_body

log = logger("wakeline.runner")


class Defers:
    """The deferred calls of one run."""

    def __init__(self) -> None:
        self._calls: list[tuple[Callable[..., Any], partial[Any]]] = []

    def add(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Adds one, which runs before all earlier ones."""
        self._calls.append((function, partial(function, *args, **kwargs)))

    async def run(self, process_id: str, threads: Executor | None) -> None:
        """Runs all, the last deferred first: coroutines here, plain functions in ``threads``, or asyncio's own."""
        while self._calls:
            function, code = self._calls.pop()
            try:
                with outside_body():
                    if inspect.iscoroutinefunction(function):
                        await contained_on_loop(code)
                    elif threads is None:
                        await asyncio.to_thread(contained(code))
                    else:
                        await asyncio.get_running_loop().run_in_executor(threads, contained(code))
            except Exception:
                log.exception("%s: a deferred call failed; the others still run", process_id)
