"""A store that lost what it had answered: every script that writes numbers the writes of its client, so a client that
was answered finds out."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import redis
from wakeline.errors import ProcessConflict, ProcessNotFound, StoreOutOfMemory
from wakeline.store import fleet, keyring, owners, processes, rewinds, scripts
from wakeline.store.awaited import AsyncStore
from wakeline.store.blocking import SyncStore
from wakeline.store.connection import UrlBackend
from wakeline.store.journal import Effect, Row

from tests.lua.world import LEASE_MS, START_MS, World
from tests.servers import BACKENDS

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


@pytest.fixture
def counting(world: World) -> Iterator[World]:
    """A client that counts its writes, and looks by itself only when a test is long over."""
    store = SyncStore(world.backend, replace(world.store.address, beat_ms=MINUTE_MS))
    yield World(world.backend, world.clock, world.ns, store)
    store.close()


def rows(world: World) -> dict[str, str]:
    """Clients and how many of their writes were answered."""
    found = world.redis.scan_iter(match=world.key("acked:*"))
    return {key.rpartition(":")[2]: world.redis.hget(key, "n") for key in found}


def row(world: World) -> str:
    """The key of the only client's row."""
    [client] = rows(world)
    return world.key(f"acked:{client}")


def found(world: World) -> fleet.StoredRewind | None:
    """What doctor is told of."""
    return world.do(fleet.read_fleet([world.ns])).rewind


def lose(world: World, writes: int) -> None:
    """The store is as it was before the last so many writes of this client, as far as they are counted."""
    world.redis.hincrby(row(world), "n", -writes)


def test_what_was_answered_and_is_there_is_no_rewind(counting: World) -> None:
    for n in range(5):
        counting.start(f"p{n}")
        counting.pass_ms(1000)
    assert list(rows(counting).values()) == ["5"]
    assert found(counting) is None


@pytest.mark.parametrize("writes", [1, 2, 4])
def test_a_loss_of_one_write_or_many_is_noticed_by_the_next_one_and_told_with_its_time(
    counting: World, writes: int
) -> None:
    for n in range(5):
        counting.start(f"p{n}")
        counting.pass_ms(1000)
    lose(counting, writes)
    counting.start("next")
    assert found(counting) == fleet.StoredRewind(
        writes, 1, START_MS + (5 - writes) * 1000, START_MS + 4000, emptied=False
    )
    assert counting.do(fleet.read_fleet([])).rewound_ms == START_MS + 5000
    counting.start("after")
    assert found(counting) == fleet.StoredRewind(
        writes, 1, START_MS + (5 - writes) * 1000, START_MS + 4000, emptied=False
    )  # once


def test_a_signal_that_is_there_is_a_write_only_where_it_brings_the_row_of_its_sender(counting: World) -> None:
    counting.start("other", kind="external")
    counting.signal("other", "go", "1")
    fence = counting.running("p")
    [before] = rows(counting).values()
    counting.signal("other", "go", "1")
    assert list(rows(counting).values()) == [before]
    counting.signal("other", "go", "1", effect=Effect(fence, Row("signal:1", '{"seq":', after="}")))
    assert list(rows(counting).values()) == [str(int(before) + 1)]


def test_a_look_notices_without_another_write(counting: World) -> None:
    counting.start("p")
    assert counting.store._look() is True
    assert found(counting) is None
    lose(counting, 1)
    assert counting.store._look() is True
    assert found(counting) == fleet.StoredRewind(1, 1, START_MS, START_MS, emptied=False)


def test_a_rewind_is_noticed_although_the_answer_that_showed_it_was_lost(counting: World) -> None:
    for n in range(3):
        counting.start(f"p{n}")
    lose(counting, 1)
    assert counting.store._writes is not None
    stamp = counting.store._writes.stamp()
    with pytest.MonkeyPatch.context() as deaf:
        deaf.setattr(counting.store._writes, "heard", lambda *_: None)
        counting.start("its answer is lost")
        counting.start("and the next one's")
    assert counting.store._writes.stamp() == stamp
    counting.start("p3")
    assert found(counting) == fleet.StoredRewind(1, 1, START_MS, START_MS, emptied=False)


@pytest.mark.parametrize("lost", [7, 10, 17])
def test_the_next_calls_that_leave_together_show_a_loss_of_more_or_less_than_they_are(
    counting: World, lost: int
) -> None:
    for batch in range(2):
        counting.store.execute_together([counting.registering(f"p{batch}-{n}") for n in range(10)])
    lose(counting, lost)
    counting.store.execute_together([counting.registering(f"next-{n}") for n in range(10)])
    assert found(counting) == fleet.StoredRewind(lost, 1, START_MS, START_MS, emptied=False)


def test_an_awaited_client_notices_too_and_calls_that_leave_together_are_a_write_each(counting: World) -> None:
    async def main() -> list[str]:
        store = AsyncStore(counting.backend, counting.store.address)
        try:
            await store.open()
            await asyncio.gather(*(store.execute(counting.registering(f"p{n}")) for n in range(10)))
            before = list(rows(counting).values())
            lose(counting, 1)
            await store.execute(counting.registering("next"))
            for _ in range(200):
                if found(counting):
                    break
                await asyncio.sleep(0.01)
            return before
        finally:
            await store.close()

    assert asyncio.run(main()) == ["10"]
    assert found(counting) == fleet.StoredRewind(1, 1, START_MS, START_MS, emptied=False)


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
def test_an_emptied_store_is_another_namespace_and_what_was_known_of_the_first_is_forgotten(counting: World) -> None:
    forgotten: list[str] = []
    counting.store.rewound.append(lambda: forgotten.append("types"))
    counting.start("p")
    counting.store._server.functions = False  # learned of another server
    before = counting.store.secret
    counting.redis.flushdb()
    counting.start("q")
    assert found(counting) == fleet.StoredRewind(1, 1, START_MS, START_MS, emptied=True)
    assert counting.store.secret.hex() == counting.redis.get(counting.key("secret")) != before.hex()
    assert (forgotten, counting.store._server.functions) == (["types"], True)


def test_a_client_that_wrote_nothing_finds_at_its_look_that_the_namespace_is_another_one(counting: World) -> None:
    before = counting.store.secret
    counting.redis.flushdb()
    assert counting.store._look() is True
    assert counting.store.secret.hex() == counting.redis.get(counting.key("secret")) != before.hex()
    assert found(counting) == fleet.StoredRewind(0, 1, 0, 0, emptied=True)


def test_a_rotation_of_the_secret_is_no_other_namespace_and_known_after_a_look(counting: World) -> None:
    counting.start("p")
    other = SyncStore(counting.backend, replace(counting.store.address, only_looks=True))
    other.execute(keyring.rotate(counting.ns, 1000, secret="ab" * 32))
    other.execute(keyring.rotate(counting.ns, 0, secret="cd" * 32))
    assert counting.store._look() is True
    assert counting.store.secret == bytes.fromhex("cd" * 32)
    assert found(counting) is None
    assert list(rows(counting).values()) == ["1"]  # who only looks counts nothing


def test_clients_that_notice_within_a_minute_tell_of_one_rewind_and_later_ones_of_another(counting: World) -> None:
    def tell(client: str, writes: int, first_ms: int, last_ms: int, *, emptied: bool = False) -> None:
        counting.do(rewinds.tell(rewinds.Rewind(client, writes, first_ms, last_ms), emptied=emptied))

    tell("a", 2, 5000, 6000)
    counting.pass_ms(MINUTE_MS)
    tell("b", 1, 4000, 4000)
    tell("b", 1, 4000, 4000)  # sent again
    tell("c", 3, 5500, 7000)
    assert found(counting) == fleet.StoredRewind(6, 3, 4000, 7000, emptied=False)
    counting.pass_ms(1)
    tell("d", 0, 0, 0, emptied=True)
    assert found(counting) == fleet.StoredRewind(0, 1, 0, 0, emptied=True)
    assert 0 < counting.redis.pttl(counting.key("rewind")) <= 24 * HOUR_MS
    tell("e", 1, 8000, 8000)
    assert found(counting) == fleet.StoredRewind(1, 2, 8000, 8000, emptied=True, gone_back=True)


def test_the_row_of_a_client_that_is_gone_goes_too_and_that_of_one_that_looks_stays(counting: World) -> None:
    counting.start("p")
    assert 4 * MINUTE_MS < counting.redis.pttl(row(counting)) <= 5 * MINUTE_MS
    counting.store._look()
    assert HOUR_MS - MINUTE_MS < counting.redis.pttl(row(counting)) <= HOUR_MS
    counting.redis.pexpire(row(counting), MINUTE_MS)
    counting.store._look()
    assert counting.redis.pttl(row(counting)) <= MINUTE_MS  # not at every look


@pytest.mark.parametrize(("clock", "per_second"), [("monotonic", 1), ("time_ns", 1_000_000_000)])
def test_a_row_whose_time_was_over_while_the_server_was_away_or_the_machine_slept_was_not_lost(
    counting: World, clock: str, per_second: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting.start("p")
    counting.store._look()
    counting.redis.delete(row(counting))
    now = getattr(time, clock)
    with monkeypatch.context() as later:
        later.setattr(f"wakeline.store.rewinds.time.{clock}", lambda: now() + 3_595 * per_second)
        counting.store._writes.looked(counting.do(counting.store._writes.look()))  # type: ignore[union-attr]
    counting.start("q")
    assert found(counting) is None
    assert list(rows(counting).values()) == ["1"]


def test_a_row_that_was_lost_before_its_time_is_a_rewind(counting: World) -> None:
    counting.start("p")
    counting.redis.delete(row(counting))
    counting.store._look()
    assert found(counting) == fleet.StoredRewind(1, 1, START_MS, START_MS, emptied=False)


def test_a_client_that_was_idle_for_an_hour_looks_no_more_and_counts_anew(
    counting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting.start("p")
    counting.redis.delete(row(counting))  # its time was over
    monkeypatch.setattr("wakeline.store.watching.IDLE_S", -1)
    assert counting.store._look() is False
    counting.start("q")
    assert (list(rows(counting).values()), found(counting)) == (["1"], None)


def test_a_client_whose_thread_cannot_start_works_and_compares_the_answers_to_its_writes(
    counting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr("wakeline.store.watching.Lookout.start", refuses)
    counting.start("p")
    lose(counting, 1)
    counting.start("q")
    assert found(counting) == fleet.StoredRewind(1, 1, START_MS, START_MS, emptied=False)


def test_a_fork_is_a_client_of_its_own(counting: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counting.start("p")
    monkeypatch.setattr("os.getpid", lambda: -1)
    counting.start("q")
    assert list(rows(counting).values()) == ["1", "1"]


def test_a_worker_that_finds_nothing_to_do_counts_no_write(counting: World) -> None:
    counting.worker()
    before = rows(counting)
    counting.take()
    counting.tick()
    assert rows(counting) == before
    counting.do(owners.beat("o1", [], lease_ms=LEASE_MS))
    assert list(rows(counting).values()) == ["2"]


def test_what_is_refused_or_was_done_before_changes_nothing_and_counts_as_no_write(counting: World) -> None:
    fence = counting.running()
    counting.signal()
    before = counting.snapshot()
    counting.signal()  # the same again
    with pytest.raises(ProcessConflict):
        counting.start("p", payload=2)
    with pytest.raises(ProcessNotFound):
        counting.cancel("nobody")
    counting.do(processes.read("p"))
    assert counting.snapshot() == before
    counting.finish("p", fence)
    assert list(rows(counting).values()) == ["5"]  # a start, a worker, its take, a signal, an end


@pytest.mark.real
@pytest.mark.parametrize("server", BACKENDS[1:])
def test_no_command_by_which_a_script_only_looks_writes(server: str, lua_server: Callable[[str], str]) -> None:
    looks = set(re.findall(r"\b([A-Z]+) = true", scripts._source("lib/base.lua")))
    assert len(looks) == 32
    with redis.Redis.from_url(lua_server(server), decode_responses=True) as client:
        flags = {name.upper(): set(about["flags"]) for name, about in client.command().items()}
    assert {name for name in looks if "write" in flags[name]} == set()


def test_scripts_that_write_what_nobody_counts_on_are_these() -> None:
    assert [name for name in scripts.names() if "unasked = " in scripts._source(f"{name}.lua")] == [
        "client_look",
        "metrics_add",
        "namespace_open",
        "namespace_probe",
        "process_index",
        "queue_take",
        "rewind_tell",
        "session_follow",
        "tailer_watch",
        "tick",
        "trigger_pending",
    ]


@pytest.mark.real
def test_a_server_without_memory_still_answers_who_writes_nothing(counting: World) -> None:
    if not isinstance(counting.backend, UrlBackend):
        return
    counting.start("p")
    counting.redis.config_set("maxmemory", "1")
    try:
        assert counting.start("p").created is False  # the same start again
        assert counting.status() == "queued"
        with pytest.raises(StoreOutOfMemory):
            counting.start("q")
    finally:
        counting.redis.config_set("maxmemory", "0")
    assert found(counting) is None
