"""Effects of a run: recorded once, replayed by key, fenced (E15 to E22, E60, E71, E75 to E85, E93)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from wakeline.body.calls import call_tool
from wakeline.errors import JournalCorrupt, NonRetryable, ProcessNotFound, ReplayConflict, ReplayMismatch, RetryAfter
from wakeline.run.host import RunState
from wakeline.run.records import rows_of
from wakeline.run.run import Run
from wakeline.store import claims as stored_claims
from wakeline.store import journal, owners, starts, waits
from wakeline.store.awaited import AsyncStore
from wakeline.store.journal import Effect, Row
from wakeline.tools.tool import Tool, current

from tests.contract.working import LEASE_MS, Host

if TYPE_CHECKING:
    from tests.contract.conftest import World


def drive(world: World, owner: str, body: Callable[[Run], Awaitable[Any]]) -> Any:
    """A worker of this name claims `p` and runs the body: its result, its exception, or what became of the run."""

    async def main() -> Any:
        store = AsyncStore(world.backend, world.store.address)
        try:
            await store.execute(owners.register_owner(owner, [world.namespace], lease_ms=LEASE_MS))
            taken = await store.execute(
                stored_claims.take(owner, f"take-{owner}", [world.namespace], 1, lease_ms=LEASE_MS)
            )
            (claim,) = taken.claims
            run = Run(store, claim, Host(), await rows_of(claim), clock=world.clock)
            task = run.life.begin(called(body, run))
            await run.life.over(task)
            if run.life.state is RunState.RUNNING:
                return task.result()
            if run.life.misfit is not None:
                raise run.life.misfit[1]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return run.life.state
        finally:
            await store.close()

    return asyncio.run(main())


async def called(body: Callable[[Run], Awaitable[Any]], run: Run) -> Any:
    return await body(run)


@dataclass
class Charge:
    """An outside effect that counts how often it happened."""

    times: int = 0

    async def __call__(self, _: str) -> Any:
        self.times += 1
        return {"receipt": self.times}

    def of(self, run: Run, **args: Any) -> Awaitable[Any]:
        return run.journal.effect("step", "charge", args, self)


def rows(world: World) -> list[dict[str, Any]]:
    """The journal of `p` in the order of recording."""
    key = "{" + world.namespace + "}:journal:p"
    return sorted((json.loads(text) for text in world.store.client.hgetall(key).values()), key=lambda row: row["n"])


def test_a_recorded_value_is_returned_without_running_again(world: World) -> None:
    world.start("p")
    charge = Charge()
    assert drive(world, "o_1", lambda run: charge.of(run, order=7)) == {"receipt": 1}
    world.lose("o_1")
    assert drive(world, "o_2", lambda run: charge.of(run, order=7)) == {"receipt": 1}
    assert charge.times == 1


def test_a_recorded_error_is_raised_without_running_again(world: World) -> None:
    world.start("p")
    tried: list[str] = []

    async def refused(key: str) -> Any:
        tried.append(key)
        raise NonRetryable("the card is stolen")

    for owner in ("o_1", "o_2"):
        with pytest.raises(NonRetryable) as error:
            drive(world, owner, lambda run: run.journal.effect("step", "charge", None, refused))
        assert (error.value.code, str(error.value)) == ("non_retryable", "the card is stolen")
        world.lose(owner)
    assert len(tried) == 1


def test_an_effect_that_was_cut_off_before_its_record_runs_again_under_the_same_key(world: World) -> None:
    world.start("p")
    given: list[str] = []

    async def dies(key: str) -> Any:
        given.append(key)
        raise ConnectionResetError("the worker is going down")

    async def lives(key: str) -> Any:
        given.append(key)
        return "done"

    with pytest.raises(ConnectionResetError):
        drive(world, "o_1", lambda run: run.journal.effect("step", "charge", {"order": 7}, dies))
    assert rows(world) == []
    world.lose("o_1")
    assert drive(world, "o_2", lambda run: run.journal.effect("step", "charge", {"order": 7}, lives)) == "done"
    assert len(given) == 2
    assert given[0] == given[1]


def test_concurrent_effects_replay_by_key_whatever_the_order(world: World) -> None:
    world.start("p")
    ran: list[str] = []

    async def first(run: Run) -> Any:
        gate = asyncio.Event()

        async def slow(_: str) -> Any:
            await gate.wait()
            ran.append("a")
            return "A"

        async def fast(_: str) -> Any:
            ran.append("b")
            gate.set()
            return "B"

        return await asyncio.gather(run.journal.effect("step", "a", 1, slow), run.journal.effect("step", "b", 2, fast))

    async def second(run: Run) -> Any:
        async def never(_: str) -> Any:
            ran.append("again")

        return await asyncio.gather(
            run.journal.effect("step", "b", 2, never), run.journal.effect("step", "a", 1, never)
        )

    assert drive(world, "o_1", first) == ["A", "B"]
    world.lose("o_1")
    assert drive(world, "o_2", second) == ["B", "A"]
    assert ran == ["b", "a"]
    assert [(row["f"], row["o"]) for row in rows(world)] == [("b", "B"), ("a", "A")]


def test_a_crash_inside_a_fan_out_runs_only_what_was_not_recorded(world: World) -> None:
    world.start("p")
    ran: list[int] = []

    def fan_out(fails: bool) -> Callable[[Run], Awaitable[Any]]:
        async def body(run: Run) -> Any:
            async def one(n: int) -> Any:
                async def work(_: str) -> Any:
                    if fails and n == 2:
                        raise ConnectionResetError
                    ran.append(n)
                    return n * 10

                return await run.journal.effect("step", "square", {"n": n}, work)

            found = await asyncio.gather(*(one(n) for n in (1, 2, 3)), return_exceptions=True)
            return [value if isinstance(value, int) else None for value in found]

        return body

    assert drive(world, "o_1", fan_out(True)) == [10, None, 30]
    world.lose("o_1")
    assert drive(world, "o_2", fan_out(False)) == [10, 20, 30]
    assert ran == [1, 3, 2]


def test_changed_arguments_are_a_mismatch_that_names_where(world: World) -> None:
    world.start("p")
    charge = Charge()
    drive(world, "o_1", lambda run: charge.of(run, order=7, cents=500))
    world.lose("o_1")
    with pytest.raises(ReplayMismatch) as error:
        drive(world, "o_2", lambda run: charge.of(run, order=7, cents=900))
    assert (error.value.name, list(error.value.paths), error.value.total) == ("charge", ["args.cents"], 1)
    assert list(error.value.differences) == ["args.cents: recorded 500, asked for 900"]
    assert charge.times == 1


def test_a_changed_body_under_an_explicit_key_is_a_mismatch_even_where_an_error_is_recorded(world: World) -> None:
    world.start("p")

    async def refused(_: str) -> Any:
        raise NonRetryable("no")

    with pytest.raises(NonRetryable):
        drive(world, "o_1", lambda run: run.journal.effect("step", "charge", {"cents": 1}, refused, key="k"))
    world.lose("o_1")
    with pytest.raises(ReplayMismatch):
        drive(world, "o_2", lambda run: run.journal.effect("step", "charge", {"cents": 2}, refused, key="k"))


def test_one_explicit_key_for_two_different_calls_of_a_run_is_a_conflict_of_the_body_and_no_mismatch(
    world: World,
) -> None:
    world.start("p")
    charge = Charge()

    async def body(run: Run) -> Any:
        await run.journal.effect("step", "charge", {"cents": 1}, charge, key="k")
        assert await run.journal.effect("step", "charge", {"cents": 1}, charge, key="k") == {"receipt": 1}
        return await run.journal.effect("step", "charge", {"cents": 2}, charge, key="k")

    with pytest.raises(ReplayConflict):
        drive(world, "o_1", body)
    assert charge.times == 1


def test_concurrent_outcomes_get_distinct_places_and_a_fenced_one_takes_none(world: World) -> None:
    world.start("p")
    charge = Charge()

    async def body(run: Run) -> Any:
        await asyncio.gather(*(charge.of(run, n=n) for n in range(4)))
        await asyncio.to_thread(world.lose, "o_1")
        return await charge.of(run, n=99)

    assert drive(world, "o_1", body) is RunState.LOST
    assert [row["n"] for row in rows(world)] == [1, 2, 3, 4]
    assert charge.times == 5


def test_a_corrupt_row_is_named_and_never_run_over(world: World) -> None:
    world.start("p")
    charge = Charge()
    drive(world, "o_1", lambda run: charge.of(run, order=7))
    key = "{" + world.namespace + "}:journal:p"
    (replay_key,) = world.store.client.hkeys(key)
    world.store.client.hset(key, replay_key, '{"n":1,"k":"step","f":"charge","h":"x","at":1}')
    world.lose("o_1")
    with pytest.raises(JournalCorrupt) as error:
        drive(world, "o_2", lambda run: charge.of(run, order=7))
    assert (error.value.replay_key, error.value.retryable, charge.times) == (replay_key, False, 1)


def test_what_is_recorded_is_never_written_over(world: World) -> None:
    fence = world.running("p")
    for outcome in ("first", "second"):
        world.do(journal.record(fence, [Row("k", f'{{"o":"{outcome}"}}')]))
    assert world.store.client.hget("{" + world.namespace + "}:journal:p", "k") == '{"o":"first"}'


def test_a_childs_start_and_its_record_are_one_step_and_replay_as_one(world: World) -> None:
    fence = world.running("p", "o_1")
    row = Row("start:child", '{"n":1,"o":"', (), '","k":"start","h":"h","at":1,"f":"start:job"}')
    start = starts.register(world.registration("child", parent="p"), effect=Effect(fence, row))
    assert world.do(start).created is True
    assert world.do(start).created is False
    assert [(r["f"], r["o"]) for r in rows(world)] == [("start:job", "inc00001")]
    world.lose("o_1")
    world.worker("o_2")
    claims = {claim.process_id: claim for claim in world.take("o_2")}
    assert json.loads(claims["p"].journal["start:child"])["o"] == "inc00001"
    assert world.types("child") == []


def test_a_prepared_call_reaches_its_worker_unchanged(world: World) -> None:
    call = {
        "call_id": "t",
        "tool_id": "tool:add",
        "tool_name": "add",
        "args": {"a": 1.5, "b": []},
        "prepared": {"quote": "q-1", "at": 9007199254740993},
    }
    world.start("t", input={"type": "tool_call", "call": call}, identity={"kind": "tool", "label": "add"})
    world.worker()
    (claim,) = world.take()
    assert claim.registration.input.call.model_dump() == call  # type: ignore[union-attr]


def test_pruning_a_process_removes_its_journal_and_no_other(world: World) -> None:
    for pid in ("a", "b"):
        fence = world.running(pid, f"o_{pid}")
        world.do(journal.record(fence, [Row("k", '{"outcome":1}')]))
        if pid == "a":
            world.finish(pid, 1, fence)
    world.clock.advance("8d")
    assert world.tick().pruned == 1
    prefix = "{" + world.namespace + "}:journal:"
    assert (world.store.client.exists(prefix + "a"), world.store.client.exists(prefix + "b")) == (0, 1)


def test_a_retry_waits_durably_and_keeps_the_idempotency_key(world: World) -> None:
    world.start("p")
    keys: list[tuple[int, str]] = []

    def charge(cents: int) -> str:
        keys.append((current().attempt, current().idempotency_key))
        if len(keys) == 1:
            raise RetryAfter("30s")
        return "paid"

    tool: Tool[..., Any] = Tool(charge, retries=3)

    def body(run: Run) -> Awaitable[Any]:
        return call_tool(run, tool, {"cents": 500})

    assert drive(world, "o_1", body) is RunState.PARKED
    assert world.status() == "waiting"
    world.clock.advance("29s")
    world.tick()
    assert world.status() == "waiting"
    world.clock.advance("1s")
    world.tick()
    assert drive(world, "o_2", body) == "paid"
    assert [attempt for attempt, _ in keys] == [1, 2]
    assert keys[0][1] == keys[1][1]
    first = next(key for key in world.view().journal if key.startswith("call:charge:") and "~" not in key)
    assert set(world.view().journal) == {first, f"{first}~1~backoff", f"{first}~2"}


def test_a_tool_that_says_never_is_not_tried_again(world: World) -> None:
    world.start("p")
    tried: list[int] = []

    def charge() -> None:
        tried.append(1)
        raise NonRetryable("no")

    with pytest.raises(Exception, match="no"):
        drive(world, "o_1", lambda run: call_tool(run, Tool(charge, retries=3), {}))
    assert tried == [1]


# -- leases and due times of effects


def test_an_expiry_of_exactly_now_is_expired_and_one_ms_later_is_not(world: World) -> None:
    world.running("p", "o_1")
    world.clock.advance("4999ms")
    world.tick()
    world.clock.advance("2s")
    assert world.tick().reaped == 0  # seen expired for the first time now
    other = world.running("q", "o_2")
    assert other.owner == "o_2"
    world.clock.advance("5s")
    world.tick()
    world.clock.advance("2s")
    assert world.tick().reaped == 1


@pytest.mark.parametrize("again_ms", [60_000, 5_000])
def test_a_takeover_keeps_the_due_time_of_a_sleep(world: World, again_ms: int) -> None:
    fence = world.running("p", "o_1")
    sleep = waits.Wait(slot="s", replay_key="sleep", group="g", kind="t:", for_ms=60_000)
    assert world.open(fence, sleep) == [waits.Opened("open", "1700000060000")]
    world.lose("o_1")
    world.worker("o_2")
    (claim,) = world.take("o_2")
    again = waits.Wait(slot="s", replay_key="sleep", group="g", kind="t:", for_ms=again_ms)
    assert world.open(claim.fence, again) == [waits.Opened("open", "1700000060000")]


def test_a_sleep_that_was_not_opened_before_the_takeover_counts_from_its_opening(world: World) -> None:
    world.running("p", "o_1")
    world.lose("o_1")
    world.worker("o_2")
    (claim,) = world.take("o_2")
    sleep = waits.Wait(slot="s", replay_key="sleep", group="g", kind="t:", for_ms=60_000)
    assert world.open(claim.fence, sleep) == [waits.Opened("open", "1700000069000")]


def test_a_sleep_that_came_due_without_a_worker_is_over_at_once(world: World) -> None:
    fence = world.running("p", "o_1")
    sleep = waits.Wait(slot="s", replay_key="sleep", group="g", kind="t:", for_ms=1_000)
    world.open(fence, sleep)
    world.lose("o_1")
    world.worker("o_2")
    (claim,) = world.take("o_2")
    assert world.open(claim.fence, sleep) == [waits.Opened("done", '{"status":"ok","value":null}')]


def test_telling_an_unknown_process_something_is_a_typed_error(world: World) -> None:
    with pytest.raises(ProcessNotFound):
        world.emit("nobody", "log", "x")
    with pytest.raises(ProcessNotFound):
        world.signal("nobody", "go")


def test_a_signal_goes_to_the_wait_that_is_open_whatever_its_number(world: World) -> None:
    fence = world.running("p")
    world.wait_for(fence, "go", 7)
    assert world.signal("p", "go", "payload").taken_by == "slot"
    assert world.do(waits.read_slots(fence, ["slot-go.7", "slot-go.1"])) == (
        None,
        ['{"status":"ok","value":"payload"}', waits.GONE],
    )
    assert world.signal("p", "go", "next").taken_by == "mail"
    assert world.wait_for(fence, "go", 8) == waits.Opened("done", '{"status":"ok","value":"next"}')
