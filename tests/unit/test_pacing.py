"""Tasks of a body beside thousands of others: a few run in a turn of the loop, in the order of the loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextvars import copy_context
from typing import Any, TypeVar

import pytest
from wakeline.run.boundary import CarriedCode, contain_exits
from wakeline.run.pacing import Pacing
from wakeline.tools.tool import current_body

R = TypeVar("R")


class Body:
    """In the place of a run."""

    is_replaying = False

    def __init__(self, pacing: Pacing) -> None:
        self.pacing = pacing
        self.changes = 0
        self.turn = 0
        pacing.changed = self._changed

    def _changed(self) -> None:
        self.changes += 1

    def named(self, verb: str) -> str:
        return verb

    def facts(self) -> Mapping[str, Any]:
        return {}

    def carried(self, code: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        return CarriedCode(code, self.pacing)


class Unpaced(Pacing):
    """What asyncio does by itself."""

    def place(self) -> None:
        return None


def of_a_body(code: Callable[[Body], Coroutine[Any, Any, R]], pacing: Pacing | None = None) -> R:
    """The result of code of a body; its ``turn`` counts the turns of the loop."""

    async def main() -> R:
        loop, body = asyncio.get_running_loop(), Body(pacing or Pacing())
        contain_exits(loop)
        current_body.set(body)

        def next_turn() -> None:
            body.turn += 1
            loop.call_soon(next_turn)

        next_turn()
        return await code(body)

    return copy_context().run(asyncio.run, main())


def test_of_1000_tasks_at_most_64_run_in_one_turn_of_the_loop() -> None:
    async def many(body: Body) -> tuple[int, int, int]:
        ran: Counter[int] = Counter()

        async def one() -> None:
            ran[body.turn] += 1
            await asyncio.sleep(0)
            ran[body.turn] += 1

        await asyncio.gather(*(one() for _ in range(1_000)))
        return max(ran.values()), ran.total(), body.pacing.tasks

    assert of_a_body(many) == (64, 2_000, 0)


@pytest.mark.parametrize("tasks", [64, 65, 300])
def test_they_run_in_the_order_in_which_they_run_without_pacing(tasks: int) -> None:
    async def many(_: Body) -> list[str]:
        order: list[str] = []
        doors = [asyncio.Event() for _ in range(tasks)]

        async def one(i: int) -> None:
            order.append(f"begins {i}")
            doors[-1 - i].set()
            await doors[i].wait()
            order.append(f"goes on {i}")
            try:
                await other(i)
            except KeyError:
                order.append(f"is told {i}")

        async def other(i: int) -> None:
            await asyncio.create_task(fails(i))

        async def fails(i: int) -> None:
            order.append(f"fails {i}")
            raise KeyError(i)

        await asyncio.gather(*(one(i) for i in range(tasks)))
        return order

    assert of_a_body(many) == of_a_body(many, Unpaced())


def test_a_task_that_is_cancelled_while_it_waits_for_its_turn_never_runs() -> None:
    async def many(body: Body) -> tuple[list[int], bool, int, int]:
        ran: list[int] = []

        async def one(i: int) -> None:
            ran.append(i)

        tasks = [asyncio.create_task(one(i)) for i in range(200)]
        await asyncio.sleep(0)
        tasks[150].cancel()
        await asyncio.wait(tasks)
        return ran, tasks[150].cancelled(), body.pacing.tasks, body.pacing.behind

    ran, cancelled, tasks, behind = of_a_body(many)
    assert ran == [*range(150), *range(151, 200)]
    assert (cancelled, tasks, behind) == (True, 0, 0)


def test_while_tasks_wait_for_their_turn_the_body_is_behind_and_it_says_when_it_is_no_longer() -> None:
    async def many(body: Body) -> tuple[int, int, int, int]:
        async def one() -> None: ...

        tasks = [asyncio.create_task(one()) for _ in range(129)]
        await asyncio.sleep(0)
        behind, before = body.pacing.behind, body.changes
        await asyncio.wait(tasks)
        for _ in range(3):
            await asyncio.sleep(0)
        return behind, before, body.pacing.behind, body.changes

    assert of_a_body(many) == (65, 0, 0, 1)


def test_of_a_long_list_64_items_are_handled_in_one_turn() -> None:
    async def long(body: Body) -> tuple[list[int], int, set[int]]:
        handled: Counter[int] = Counter()
        behind: set[int] = set()

        def handle(i: int) -> int:
            handled[body.turn] += 1
            behind.add(body.pacing.behind)
            return -i

        found = await body.pacing.each(range(1_000), handle)
        return found, max(handled.values()), behind

    found, most, behind = of_a_body(long)
    assert found == [-i for i in range(1_000)]
    assert (most, behind) == (64, {1})
