"""What doctor concludes, for what no server at hand can be brought to say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from wakeline.engines.registry import Registry
from wakeline.errors import StoreOutOfMemory
from wakeline.observe.findings import Finding, Seen, findings, summed_up
from wakeline.processes.misfit import Misfit
from wakeline.releases import Declared
from wakeline.store.fleet import (
    Due,
    ServerFacts,
    Stood,
    StoredFleet,
    StoredMisfit,
    StoredQueue,
    StoredQueued,
    StoredRewind,
    Ticked,
    server_facts,
)
from wakeline.store.queues import LimitState, QueueState

NOW = 1_700_000_000_000
COUNTS = {"queued": 0, "running": 0, "waiting": 0, "completed": 0, "failed": 0, "cancelled": 0, "abandoned": 0}
FLEET = StoredFleet(
    counts=COUNTS,
    owners=(("o_1", NOW + 5000, 0),),
    timers=0,
    todo=0,
    queues=(StoredQueue("shop", 0, 1, ("o_1",)),),
    queued=(),
    format="1",
    rq_prefix="rq",
    now_ms=NOW,
    ticked=Ticked(NOW - 400, "worker"),
)
SERVER = ServerFacts("valkey", "8.0.1", "noeviction", 1_000, 0, aof=True, fsync="everysec", role="master", replicas=1)
AGAIN = "where one runs, it begins a worker process within 15 s after the last one died, and its log says of what"
SEEN = Seen("redis://db", SERVER, FLEET, NOW, Registry(), "rq", "1", allow_eviction=False)


def seen(**over: Any) -> tuple[Finding, ...]:
    """Findings of a healthy fleet, with the server's facts or the fleet's view changed."""
    server = {name: over.pop(name) for name in list(over) if name in ServerFacts.__dataclass_fields__}
    fleet = {name: over.pop(name) for name in list(over) if name in StoredFleet.__dataclass_fields__}
    return findings(replace(SEEN, server=replace(SERVER, **server), fleet=replace(FLEET, **fleet), **over))


def of(code: str, **over: Any) -> tuple[str, str]:
    [one] = [one for one in seen(**over) if one.code == code]
    return one.level, one.message


def test_what_no_turn_read_asks_for_a_thought() -> None:
    assert of("wakes", undeliverable=1) == (
        "warning",
        (
            "1 entry is undeliverable, failed or blocking a session: `wakeline wakes --undeliverable` says why; redrive"
            " or skip"
        ),
    )
    assert "3 entries are" in of("wakes", undeliverable=3)[1]


def test_deliveries_that_wait_for_their_code_are_told() -> None:
    assert "triggers" not in [one.code for one in seen()]
    level, said = of("triggers", undelivered=2)
    assert (level, said.split(";")[0]) == ("warning", "2 deliveries of triggers are reserved and not started")


def test_a_paused_queue_and_what_a_limit_keeps_back_are_told() -> None:
    paused = QueueState("shop.slow", 3, 0, paused=True, limit=None)
    told = of("paused", states=(paused, QueueState("shop", 0, 0, paused=False, limit=None)))
    assert told == (
        "note",
        "queue shop.slow is paused, and 3 wait in it: `wakeline queues resume slow` lets workers take again",
    )
    held = of("held", limits=(LimitState("send:ann", None, 2, 5), LimitState("send:bob", None, 1, 0)))
    assert held == (
        "note",
        (
            "5 processes wait for a place under the limit of send:ann, which 2 have; that is what it is for, `wakeline"
            " queues` shows it"
        ),
    )


def test_a_healthy_fleet_asks_for_nothing() -> None:
    assert {one.level for one in seen()} == {"ok"}
    assert of("role") == (
        "ok",
        "primary with 1 replica, which follow asynchronously: a failover loses the last moments",
    )


def test_what_is_not_known_is_said_and_is_no_problem() -> None:
    unknown = findings(replace(SEEN, server=ServerFacts()))
    assert [(one.level, one.message) for one in unknown if "not known" in one.message] == [
        ("note", "server redis://db: version not known"),
        ("note", "maxmemory-policy: not known; it has to be noeviction"),
        ("note", "AOF: not known; without it a restart of the server loses what happened since its last snapshot"),
        ("note", "role and replicas: not known"),
    ]
    assert of("aof", fsync=None) == ("ok", "AOF is on, appendfsync not known: how often it is synced is not known")


@pytest.mark.parametrize(
    ("product", "version", "level"),
    [
        ("redis", "6.0.16", "problem"),
        ("redis", "6.2.0", "ok"),
        ("redis", "8.4.0", "ok"),
        ("valkey", "7.2.0", "ok"),
        ("valkey", "7.0.1", "problem"),
    ],
)
def test_servers_below_the_oldest_supported_are_a_problem(product: str, version: str, level: str) -> None:
    assert of("server", product=product, version=version)[0] == level


def test_a_replica_refuses_writes() -> None:
    assert of("role", role="slave") == ("problem", "this server is a slave and refuses writes; connect to its primary")


def test_fsync_always_waits_for_the_disk() -> None:
    assert of("aof", fsync="always") == (
        "ok",
        "AOF is on, appendfsync always: no acknowledged write is lost, and every write waits for the disk",
    )


def test_memory_is_spoken_of_when_it_runs_out() -> None:
    assert "memory" not in [one.code for one in seen(used_bytes=90, limit_bytes=100)]
    message = "memory is 91 % full; writes are refused when it is full: give it more, or shorten WAKELINE_RETENTION"
    assert of("memory", used_bytes=91, limit_bytes=100) == ("warning", message)


@pytest.mark.parametrize(("local", "said"), [(NOW - 1001, "1001 ms behind"), (NOW + 1001, "1001 ms ahead of")])
def test_clocks_that_disagree_are_a_warning(local: int, said: str) -> None:
    level, message = of("clock", local_ms=local)
    assert level == "warning"
    assert (
        message
        == f"this machine's clock is {said} the server's: moments it names are off by that, limits, timers and leases"
        " are not; set it by NTP"
    )
    assert of("clock", local_ms=NOW - 1000)[0] == "ok"


def test_waiting_processes_need_a_worker_that_ticks() -> None:
    level, message = of("workers", owners=(), queues=(), counts=COUNTS | {"waiting": 2})
    assert (level, message) == (
        "problem",
        "2 processes and no worker alive: nothing runs and no timer fires; start `wakeline worker`; " + AGAIN,
    )


TIMER = Due(1, NOW - 27_000)


def test_a_tick_of_a_worker_that_left_is_no_sign_that_one_ticks() -> None:
    left = {"owners": (), "queues": (), "counts": COUNTS | {"waiting": 3}, "timers": 3}
    level, message = of("ticks", **left)
    assert (level, message.split(";")[0]) == ("warning", "nothing ticks, for 0 s now: 3 timers will be late")
    assert of("ticks", **left, ticked=Ticked(NOW - 400, "clock"))[0] == "ok"  # it needs no lease
    expired = (("o_1", NOW - 1, 2),)
    assert of("ticks", **left | {"owners": expired})[0] == "warning"
    assert of("expired", **left | {"owners": expired})[1].endswith(
        "; nothing ticks: start `wakeline worker` or `wakeline clock`"
    )


UNHEARD = "the server takes no writes, so no heartbeat and no tick comes to it"


@pytest.mark.parametrize(
    "over", [{"role": "slave"}, {"writes_refused": StoreOutOfMemory()}], ids=["replica", "refuses"]
)
def test_who_lives_is_not_known_where_the_server_takes_no_heartbeats(over: dict[str, Any]) -> None:
    silent = {
        "queues": (),
        "counts": COUNTS | {"waiting": 2},
        "timers": 2,
        "timers_due": TIMER,
        "ticked": Ticked(NOW - 60_000, "worker"),
    }
    over = over | silent | {"owners": (("o_1", NOW - 9_000, 2),), "standing": {"waits": 1}}
    assert of("workers", **over) == ("note", f"workers alive: not known; {UNHEARD}")
    assert of("ticks", **over) == ("note", f"ticks: not known (1 timer overdue, the first by 27 s); {UNHEARD}")
    assert of("expired", **over) == ("warning", f"owner o_1 has not been heard of for 9 s and holds 2; {UNHEARD}")
    assert of("standing", **over)[0] == "warning"
    rows = (StoredQueued("p1", "shop", 0, False, "external", "", lost=True),)
    assert not [
        one for one in seen(**over, queued=rows) if "nothing ticks" in one.message or "no worker alive" in one.message
    ]
    assert of("workers", **over | {"owners": (("o_1", NOW + 9_000, 2),)}) == ("ok", "1 worker alive, 2 running in them")


def test_timers_that_nobody_fires_are_a_problem() -> None:
    remedy = "; start `wakeline worker`, or `wakeline clock` where only stock workers run"
    assert of("ticks", timers=3, ticked=None, timers_due=TIMER) == (
        "problem",
        "nothing ticks: 1 timer overdue, the first by 27 s" + remedy,
    )
    silent = Ticked(NOW - 10_001, "worker")
    both = of("ticks", timers=3, ticked=silent, timers_due=TIMER, schedules_due=Due(2, NOW - 3_000))
    assert both == (
        "problem",
        "nothing ticks, for 10 s now: 1 timer overdue, the first by 27 s and 2 schedules overdue, the first by 3 s"
        + remedy,
    )
    assert of("ticks", timers=3, ticked=silent) == (
        "warning",
        "nothing ticks, for 10 s now: 3 timers will be late" + remedy,
    )
    assert of("ticks", ticked=silent, todo=1)[1].startswith(
        "nothing ticks, for 10 s now: work that was begun is not ended; "
    )


def test_a_fleet_in_which_only_jobs_of_stock_workers_tick_is_told_so() -> None:
    stock = Ticked(NOW - 2_000, "stock")
    level, message = of("ticks", timers=2, ticked=stock)
    assert (level, message.split(":")[0]) == ("warning", "only jobs of stock workers tick, the last one 2 s ago")
    level, message = of("ticks", timers=2, ticked=stock, timers_due=Due(1, NOW - 1_001))
    assert (level, message.split(";")[0]) == (
        "problem",
        "only jobs of stock workers tick, the last one 2 s ago: 1 timer overdue, the first by 1 s",
    )


def test_ticks_that_do_not_keep_up_are_told() -> None:
    assert of("ticks", timers_due=Due(5, NOW - 10_000)) == (
        "ok",
        "a worker ticks: timers, schedules and lost work are looked after",
    )
    level, message = of("ticks", timers_due=Due(5, NOW - 10_001), ticked=Ticked(NOW - 500, "clock"))
    assert (level, message.split(";")[0]) == (
        "warning",
        "a clock ticks, and does not keep up: 5 timers overdue, the first by 10 s",
    )


def test_a_queued_process_without_a_doorbell_is_a_problem_where_nothing_ticks() -> None:
    rows = (StoredQueued("p1", "shop", 0, False, "external", "", lost=True),)
    assert of("no_doorbell", queued=rows, ticked=Ticked(NOW - 20_000, "worker")) == (
        "problem",
        (
            "no doorbell is there for p1, and nothing ticks, so none is rung again; start `wakeline worker` or"
            " `wakeline clock`"
        ),
    )
    assert "no_doorbell" in [one.code for one in seen(queued=rows, ticked=Ticked(NOW - 100, "stock"))]
    assert "no_doorbell" not in [one.code for one in seen(queued=rows)]


def test_releases_side_by_side_that_declare_different_things_are_told() -> None:
    old, new = "aaaa v1", "bbbb "
    owners = (("o_1", NOW + 5000, 0), ("o_2", NOW + 5000, 0), ("o_3", NOW - 1, 0))
    serves = {"o_1": f"shop {old}", "o_2": f"shop {new}", "o_3": "shop cccc v0"}
    assert of("declarations", owners=owners, serves=serves, in_force={"shop": new}) == (
        "warning",
        (
            "releases side by side declare different schedules, limits or agents: v1 (1 worker), without a name (bbbb)"
            " (1 worker); those of release without a name (bbbb) are in force, the others' once it has left, or by"
            " `wakeline release`"
        ),
    )
    same = {"o_1": "shop aaaa v1", "o_2": "shop aaaa v2", "o_3": "bank cccc v9"}
    assert "declarations" not in [
        one.code for one in seen(owners=owners, serves=same, in_force={"shop": "aaaa v2", "bank": "cccc v9"})
    ]


def test_releases_that_only_have_other_bodies_declare_no_different_things() -> None:
    limited = {"b:job": '{"c":2}'}
    old = Declared("shop", "v1", limited | {"b:charge": ""}, {"clerk": ""})
    new = Declared("shop", "v2", limited | {"b:charge": "", "b:ship": ""}, {})
    owners = (("o_1", NOW + 5000, 0), ("o_2", NOW + 5000, 0))

    def codes(one: Declared, other: Declared) -> list[str]:
        serves = {"o_1": f"shop {one.id}", "o_2": f"shop {other.id}"}
        fleet = replace(FLEET, owners=owners, serves=serves, in_force={"shop": other.id})
        return [found.code for found in findings(replace(SEEN, fleet=fleet, declared=one))]

    assert old.id != new.id
    assert "declarations" not in codes(old, new)
    assert "declarations" in codes(old, replace(new, limits=limited | {"b:ship": '{"c":1}'}))
    assert "declarations" in codes(old, replace(new, limits=limited | {"b:job": ""}))


def test_declarations_that_an_earlier_release_wrote_are_alike_if_they_are_equal() -> None:
    mine = Declared("shop", "v2", {"b:job": '{"c":2}'})
    written = f"{mine.content.partition('-')[0]} v1"
    for in_force, told in ((written, False), ("0123456789ab v1", True)):
        found = findings(replace(SEEN, fleet=replace(FLEET, in_force={"shop": in_force}), declared=mine))
        assert ("declarations" in [one.code for one in found]) is told


def test_code_that_declares_other_things_than_are_in_force_is_told_so() -> None:
    mine = Declared("shop", "v2", {"b:job": '{"c":2}'})
    told = findings(replace(SEEN, fleet=replace(FLEET, in_force={"shop": "aaaa v1"}), declared=mine))
    [(level, message)] = [(one.level, one.message) for one in told if one.code == "declarations"]
    assert (level, message) == (
        "note",
        (
            "this code declares other schedules, limits or agents than are in force; those of release v1 are in force,"
            " this code's once its workers start, or by `wakeline release`"
        ),
    )
    told = findings(replace(SEEN, fleet=replace(FLEET, in_force={"shop": mine.id}), declared=mine))
    assert "declarations" not in [one.code for one in told]


def test_ended_and_external_processes_need_no_worker() -> None:
    assert of("workers", owners=(), queues=(), counts=COUNTS | {"running": 1, "completed": 9})[0] == "note"


def test_a_stock_rq_worker_counts_as_a_worker() -> None:
    level, message = of(
        "workers", owners=(), queues=(StoredQueue("shop", 1, 0, ("host.123",)),), counts=COUNTS | {"queued": 1}
    )
    assert (level, message) == ("ok", "1 worker alive, 0 running in them")


def test_what_workers_cannot_read_is_named_with_its_reason_and_not_as_missing_code() -> None:
    rows = (
        StoredQueued("p1", "shop", 0, False, "poem", "", unread="it has shape 2, and this release knows 1"),
        StoredQueued("p2", "shop", 0, False, "engine", "gone", unread="it has shape 2, and this release knows 1"),
    )
    level, message = of("unread", queued=rows)
    assert (level, message.partition(": ")[0]) == (
        "problem",
        "workers cannot read what is stored of p1, p2, and hand it back",
    )
    assert message.endswith(
        ": it has shape 2, and this release knows 1; deploy the release that wrote it, or a later one"
    )
    assert "code" not in [one.code for one in seen(queued=rows)]


def test_only_these_stop_a_release() -> None:
    broken = seen(
        eviction="allkeys-lru",
        format="2",
        role="slave",
        product="redis",
        version="5.0.0",
        rq_prefix="other",
        owners=(),
        queues=(),
        counts=COUNTS | {"queued": 1},
        queued=(StoredQueued("p1", "shop", 5, True, "engine", "gone"),),
    )
    assert {one.code for one in broken if one.stops_release} == {"eviction", "format"}
    assert {"server", "role", "rq_prefix", "doorbells", "code"} <= {
        one.code for one in broken if one.level == "problem"
    }
    unserved = seen(owners=(), queues=(), counts=COUNTS | {"queued": 1})
    assert [(one.code, one.stops_release) for one in unserved if one.level == "problem"] == [("workers", False)]


def test_many_processes_are_named_by_their_first_five() -> None:
    rows = tuple(StoredQueued(f"p{n}", "shop", 0, False, "engine", "gone") for n in range(7))
    assert of("code", queued=rows)[1].startswith(
        "no code here for engine 'gone', needed by p0, p1, p2, p3, p4 and 2 more; "
    )


def test_a_version_that_is_not_here_is_named_with_its_engine() -> None:
    rows = (StoredQueued("p1", "shop", 0, False, "engine", "gone", "2"),)
    assert of("code", queued=rows)[1].startswith("no code here for engine 'gone' version '2', needed by p1; ")


def test_external_work_and_unreadable_input_need_no_code() -> None:
    rows = (StoredQueued("p1", "shop", 0, False, "external", ""), StoredQueued("p2", "shop", 0, False, "", ""))
    assert "code" not in [one.code for one in seen(queued=rows)]


def test_facts_are_read_from_info() -> None:
    memory = {"maxmemory_policy": "noeviction", "used_memory": 5, "maxmemory": 9}
    redis_7 = {"redis_version": "7.0.15", "aof_enabled": 0, "role": "master", "connected_slaves": 2, **memory}
    assert server_facts(redis_7) == ServerFacts(
        "redis", "7.0.15", "noeviction", 5, 9, aof=False, fsync=None, role="master", replicas=2
    )
    assert server_facts({"redis_version": "7.2.4", "valkey_version": "9.1.2"}).version == "9.1.2"
    assert server_facts({}) == ServerFacts()


def test_a_store_that_went_back_is_told_for_a_day() -> None:
    level, message = of("rewound", rewound_ms=NOW - 5 * 60_000)
    assert (level, message.startswith("5 minutes ago the store was found to have lost its last seconds")) == (
        "warning",
        True,
    )
    assert [one for one in seen(rewound_ms=NOW - 25 * 3_600_000) if one.code == "rewound"] == []


def test_what_a_store_lost_is_told_with_how_much_and_when() -> None:
    at, second = NOW - 60_000, 1_000
    lost = StoredRewind(3, 2, at - 2 * second, at - 500, emptied=False)
    advice = "what was started, signalled or emitted then may be gone: send it again, with the same ids and keys"
    assert of("rewound", rewound_ms=at, rewind=lost) == (
        "warning",
        (
            "1 minute ago the store was found to have gone back by a crash, a failover or a restore: 3 acknowledged"
            " writes, answered from 2023-11-14 22:12:18.000 UTC to 2023-11-14 22:12:19.500 UTC, are gone, as 2 clients"
            f" or workers that were running found; {advice}"
        ),
    )
    assert (
        of("rewound", rewound_ms=at, rewind=replace(lost, writes=1, clients=1, emptied=True))[1]
        == "1 minute ago the store was found emptied, or another one in its place: 1 acknowledged write, answered from"
        " 2023-11-14 22:12:18.000 UTC to 2023-11-14 22:12:19.500 UTC, is gone, as 1 client or worker that was"
        f" running found; {advice}"
    )
    emptied = StoredRewind(0, 1, 0, 0, emptied=True)
    assert (
        of("rewound", rewound_ms=at, rewind=emptied)[1]
        == f"1 minute ago the store was found emptied, or another one in its place; {advice}"
    )
    assert (
        of("rewound", rewound_ms=NOW - 59_999, rewind=emptied)[1]
        == f"59 seconds ago the store was found emptied, or another one in its place; {advice}"
    )
    both = replace(emptied, gone_back=True)
    assert of("rewound", rewound_ms=NOW - 1_000, rewind=both)[1] == (
        "1 second ago the store was found emptied, or another one in its place, and to have gone back by a crash, a"
        " failover or a restore; " + advice
    )


def test_what_stands_still_is_counted_and_said_who_puts_it_right() -> None:
    standing = {"waits": 2, "places": 1}
    told = "standing still: 2 processes parked on nothing, 1 place of a limit held by no process; "
    assert of("standing", standing=standing) == (
        "warning",
        told + "an earlier release left that so, or a restore; ticks find it and put it right",
    )
    level, message = of("standing", standing=standing, owners=(), ticked=None)
    assert (level, message) == (
        "problem",
        told + "ticks put that right, and nothing ticks: start `wakeline worker` or `wakeline clock`",
    )


def test_what_stood_still_is_a_warning_for_a_day_and_a_note_after_that() -> None:
    stood = {"waits": Stood(2, NOW - 60_000), "runs": Stood(1, NOW - 25 * 3_600_000)}
    assert [(one.level, one.message) for one in seen(stood=stood) if one.code == "stood"] == [
        (
            "warning",
            (
                "what stood still and was put right, the last of it in the last day: 2 processes parked on nothing; it"
                " goes on"
            ),
        ),
        (
            "note",
            "what stood still and was put right, the last of it before that: 1 process run by no worker; it goes on",
        ),
    ]
    assert of("stood", stood={"bells": Stood(3, NOW)})[0] == "note"  # a stock worker that is killed loses some
    # Workers of an earlier release list no approvals, so the sweep lists theirs after each deploy.
    assert of("stood", stood={"bells": Stood(3, NOW), "approvals": Stood(7, NOW)})[0] == "note"


def test_what_kills_its_workers_is_named_from_the_third_loss_on() -> None:
    def lost(losses: int) -> StoredQueued:
        return StoredQueued("p1", "shop", 0, False, "external", "", losses=losses, due_ms=NOW + 4_000)

    assert "lost" not in [one.code for one in seen(queued=(lost(2),))]
    assert of("lost", queued=(lost(3),)) == (
        "problem",
        (
            "p1 was lost with its worker 3 times in a row, and runs again apart from others in 4 s; after the"
            " eleventh loss it is abandoned. The log of the worker says how it died; roll back, deploy a fix, or"
            " `wakeline cancel` it"
        ),
    )


def test_one_that_waits_is_told_of_in_the_singular() -> None:
    assert "1 process waits for a place" in of("held", limits=(LimitState("send", {}, 1, 1),))[1]
    assert (
        "shop.slow is paused, and 1 waits in it"
        in of("paused", states=(QueueState("shop.slow", 1, 0, paused=True, limit=None),))[1]
    )
    unfit = StoredMisfit("p1", Misfit("bug", "NameError: oops", "v2", 1), "engine", "job")
    assert of("misfit", misfits=(unfit,), misfit_count=1)[1].startswith("p1 of engine 'job' waits for code that fits; ")


def test_a_finding_says_what_is_so_what_to_do_and_which_processes_queues_and_workers_it_is_about() -> None:
    row = StoredQueued("p1", "shop", 0, False, "engine", "gone")
    [code] = [one for one in seen(queued=(row,)) if one.code == "code"]
    assert code.to_data() == {
        "code": "code",
        "level": "problem",
        "what": "no code here for engine 'gone', needed by p1",
        "to_do": "include its module, or deploy the release that has it",
        "message": (
            "no code here for engine 'gone', needed by p1; include its module, or deploy the release that has it"
        ),
        "processes": ("p1",),
        "queues": (),
        "workers": (),
        "stops_release": False,
    }
    bells = seen(queues=(StoredQueue("shop", 0, 1, ("o_1",)), StoredQueue("shop.night", 1, 0, ())))
    found = [(one.level, one.queues, one.workers) for one in bells if one.code == "queue"]
    assert found == [("ok", ("shop",), ("o_1",)), ("problem", ("shop.night",), ())]
    [gone] = [one for one in seen(owners=(("o_1", NOW - 1, 2), ("o_2", NOW + 1, 0))) if one.code == "expired"]
    assert (gone.workers, gone.to_do) == (("o_1",), "the next tick gives them away")


def test_people_read_one_line_about_all_queues_that_are_fine_and_one_for_each_other() -> None:
    fine = [StoredQueue(f"shop.q{n}", n, 1, ("o_1", f"o_{n}")) for n in range(1, 301)]
    found = seen(queues=(*fine[:200], StoredQueue("shop.night", 1, 0, ()), *fine[200:]))
    assert len([one for one in found if one.code == "queue"]) == 301
    read = [one for one in summed_up(found) if one.code == "queue"]
    assert [(one.level, one.what) for one in read] == [
        ("ok", "300 queues with 300 workers; `wakeline queues` lists them"),
        ("problem", "queue shop.night: 1 doorbell, 0 workers, 0 idle"),
    ]
    alone = seen(queues=fine[:1])
    assert summed_up(alone) == list(alone)


def test_every_warning_and_problem_of_code_says_the_way_out_alone() -> None:
    misfit = Misfit("bug", "ValueError: no", "v2", NOW, 3)
    row = StoredMisfit("p1", misfit, "engine", "crawl")
    [one] = [one for one in seen(misfits=(row,), misfit_count=1) if one.code == "misfit"]
    assert one.what == (
        "p1 of engine 'crawl' waits for code that fits; release v2 fails where another one went on: ValueError: no."
    )
    assert one.to_do == "Roll back, or deploy a fix. `wakeline cancel` ends what should not wait"
    assert one.message == f"{one.what} {one.to_do}"
