"""The scripts: first answers, refusals, and sent twice, on the fake and on a real server, under a virtual clock."""

from __future__ import annotations

import pytest
from wakeline.causality import Provenance
from wakeline.clock import VirtualClock
from wakeline.errors import LeaseLost, MailboxFull, ProcessAlreadyTerminal, ProcessConflict, ProcessNoLongerRetained, ProcessNotFound, ReplayConflict
from wakeline.processes.inputs import EngineInput, ExternalInput
from wakeline.processes.registration import Registration, prepare
from wakeline.store import fleet, processes, runs, scripts, sessions
from wakeline.store.client import Address, SyncStore
from wakeline.store.connection import Backend, UrlBackend
from wakeline.store.processes import Row, SessionAddress
from wakeline.store.runs import Claim, Wait

ENV = "process-env:sha256:x"
SLOT = "v1" + "a" * 24
OUTPUT = '{"type":"success","value":1}'
TICK = {"beat_ms": 2000, "lease_ms": 5000, "stale_ms": 5000, "retention_ms": 604_800_000, "tombstone_ms": 604_800_000}


class Bench:
    """A store, its clock, and short words for the tests."""

    def __init__(self, backend: Backend) -> None:
        self.clock = VirtualClock()
        self.store = SyncStore(backend, Address("t", clock=self.clock))
        self.go = self.store.execute
        self.go(fleet.register_owner("o1", ["t"], lease_ms=5000))

    def registration(self, pid: str = "p1", payload: object = 1, **more: object) -> Registration:
        return prepare(id=pid, input=EngineInput(kind="e", payload=payload), provenance=Provenance(), env_ref=ENV, queue="t", incarnation="incarn01", **more)

    def start(self, pid: str = "p1", **more: object) -> None:
        self.go(processes.register(self.registration(pid, **more)))

    def take(self, owner: str = "o1", request: str = "r1", n: int = 8) -> tuple[Claim, ...]:
        return self.go(fleet.take(owner, request, ["t"], n, lease_ms=5000)).claims

    def claimed(self, pid: str = "p1", **more: object) -> Claim:
        self.start(pid, **more)
        return self.take(request=f"take-{pid}")[0]

    def wait(self, slot: str = SLOT, name: str = "go", ordinal: int = 1, **more: object) -> Wait:
        return Wait(slot, f"wait:{name}:{ordinal}", slot[2:10], f"s:{name}", ordinal, **more)  # type: ignore[arg-type]

    def signal(self, pid: str = "p1", name: str = "go", key: str = "k1", payload: str = "1") -> processes.Signalled:
        return self.go(processes.signal(pid, name, key, payload, canonical=payload, replay_key=f"s:{key}"))

    def status(self, pid: str = "p1") -> str:
        return self.go(processes.read(pid)).status

    def types(self, pid: str = "p1") -> list[str]:
        return [e.type for e in self.go(processes.read(pid, count=100)).events]

    def tick(self) -> fleet.TickReport:
        return self.go(fleet.tick(**TICK))


@pytest.fixture
def bench(backend: Backend) -> Bench:
    return Bench(backend)


@pytest.mark.parametrize("name", scripts.names())
def test_every_script_says_what_it_is_for(name: str) -> None:
    source = scripts._source(f"{name}.lua")
    for heading in ("-- Purpose:", "-- Include:", "-- ARGV:", "-- Reply:", "-- Atomic"):
        assert heading in source


def test_the_same_start_is_the_same_process(bench: Bench) -> None:
    bench.start()
    assert bench.go(processes.register(bench.registration())).created is False
    assert len(bench.take()) == 1


def test_the_same_id_with_other_content_is_a_conflict(bench: Bench) -> None:
    bench.start()
    with pytest.raises(ProcessConflict):
        bench.go(processes.register(bench.registration(payload=2)))


def test_race_15_a_resend_after_a_deploy_is_no_conflict(bench: Bench) -> None:
    bench.start()
    moved = bench.registration(max_attempts=9, labels={"release": "2"})
    assert bench.go(processes.register(moved)).created is False


def test_race_01_a_take_whose_reply_was_lost_gives_the_same_batch(bench: Bench) -> None:
    bench.start()
    first = bench.take(request="r7")
    assert [c.fence for c in bench.take(request="r7")] == [c.fence for c in first]
    assert bench.take(request="r8") == ()


def test_race_01_a_claim_its_owner_never_heard_of_goes_back_after_two_beats(bench: Bench) -> None:
    bench.claimed()
    assert bench.go(fleet.beat("o1", [], lease_ms=5000)) == (True, [])
    assert bench.go(fleet.beat("o1", [], lease_ms=5000)) == (True, ["p1"])
    assert bench.status() == "queued"


def test_race_02_a_wait_opened_after_a_cancel_is_cancelled_at_once(bench: Bench) -> None:
    claim = bench.claimed()
    bench.go(processes.cancel("p1", "stop", grace_ms=10_000))
    [opened] = bench.go(runs.open_waits(claim.fence, [bench.wait()]))
    assert (opened.state, opened.text) == ("done", '{"status":"cancelled"}')


def test_race_03_a_reaped_owner_can_not_take(bench: Bench) -> None:
    bench.start()
    bench.go(fleet.reap("o1"))
    assert bench.go(fleet.take("o1", "r", ["t"], 1, lease_ms=5000)).reaped is True
    assert bench.status() == "queued"


def test_race_04_a_late_duplicate_of_an_open_swallows_no_signal(bench: Bench) -> None:
    claim = bench.claimed()
    bench.signal(key="a", payload="1")
    bench.go(runs.open_waits(claim.fence, [bench.wait()]))
    bench.go(runs.record(claim.fence, [Row("wait:go:1", '{"n":1}', (SLOT,))]))
    [again] = bench.go(runs.open_waits(claim.fence, [bench.wait()]))
    assert again.state == "journaled"
    assert bench.signal(key="b", payload="2").taken_by == "mail"


def test_race_05_a_park_whose_wait_is_over_is_refused(bench: Bench) -> None:
    claim = bench.claimed()
    bench.go(runs.open_waits(claim.fence, [bench.wait()]))
    bench.signal()
    assert isinstance(bench.go(processes.park(claim.fence, [SLOT[2:10]], "{}")), processes.Met)
    assert bench.status() == "running"


def test_race_06_a_group_of_two_resumes_once_when_both_are_there(bench: Bench) -> None:
    claim = bench.claimed()
    other = "v1" + "b" * 24
    waits = [bench.wait(), Wait(other, "wait:go:2", SLOT[2:10], "s:go", 2)]
    bench.go(runs.open_waits(claim.fence, waits))
    bench.go(processes.park(claim.fence, [SLOT[2:10]], "{}"))
    bench.signal(key="a")
    assert bench.status() == "waiting"
    bench.signal(key="b")
    assert bench.status() == "queued"
    assert bench.types().count("process.resumed") == 1


def test_race_11_an_abandoned_wait_gives_its_signal_back_to_the_head(bench: Bench) -> None:
    claim = bench.claimed()
    bench.go(runs.open_waits(claim.fence, [bench.wait()]))
    bench.signal(key="a", payload='"first"')
    bench.signal(key="b", payload='"second"')
    bench.go(runs.close_waits(claim.fence, [SLOT]))
    [opened] = bench.go(runs.open_waits(claim.fence, [bench.wait("v1" + "c" * 24, ordinal=2)]))
    assert opened.text == '{"status":"ok","value":"first"}'


def test_race_13_a_write_between_reap_and_next_claim_is_refused(bench: Bench) -> None:
    claim = bench.claimed()
    bench.go(fleet.reap("o1"))
    with pytest.raises(LeaseLost):
        bench.go(runs.record(claim.fence, [Row("k", "{}")]))
    with pytest.raises(LeaseLost):
        bench.go(processes.finish("p1", "completed", OUTPUT, fence=claim.fence))


def test_race_14_a_fenced_run_starts_no_child(bench: Bench) -> None:
    claim = bench.claimed()
    bench.go(fleet.reap("o1"))
    with pytest.raises(LeaseLost):
        bench.go(processes.register(bench.registration("child"), effect=processes.Effect(claim.fence, Row("start", "a", after="b"))))
    with pytest.raises(ProcessNotFound):
        bench.status("child")


def test_race_16_a_late_resend_of_a_pruned_start_is_told_so(bench: Bench) -> None:
    claim = bench.claimed()
    bench.go(processes.finish("p1", "completed", OUTPUT, fence=claim.fence))
    bench.clock.advance("8d")
    assert bench.tick().pruned == 1
    with pytest.raises(ProcessNoLongerRetained):
        bench.start()


def test_race_19_a_cancel_needs_no_worker(bench: Bench) -> None:
    bench.start()
    bench.go(processes.cancel("p1", "stop", grace_ms=10_000))
    bench.clock.advance("11s")
    bench.tick()
    assert bench.status() == "cancelled"


def test_race_19_a_cancel_ends_an_external_process_too(bench: Bench) -> None:
    outside = ExternalInput(metadata={})
    bench.go(processes.register(prepare(id="x1", input=outside, provenance=Provenance(), queue="t", incarnation="incarn02", recovery="externally_owned")))
    bench.go(processes.cancel("x1", "stop", grace_ms=10_000))
    bench.clock.advance("11s")
    bench.tick()
    assert bench.status("x1") == "cancelled"


def test_race_21_losses_count_apart_and_end_after_ten(bench: Bench) -> None:
    bench.start()
    for n in range(11):
        owner = f"w{n}"
        bench.go(fleet.register_owner(owner, ["t"], lease_ms=5000))
        assert len(bench.take(owner, f"r{n}")) == 1
        bench.go(fleet.reap(owner))
    assert bench.status() == "abandoned"


def test_race_27_an_expiry_far_in_the_future_is_clamped(bench: Bench) -> None:
    bench.claimed()
    bench.clock._now_ms -= 3_600_000  # the clock jumped back by an hour
    bench.tick()
    bench.clock.advance("6s")
    bench.tick()
    bench.clock.advance("3s")
    assert bench.tick().reaped == 1


def test_race_28_a_deadline_is_fixed_when_the_wait_is_first_opened(bench: Bench) -> None:
    claim = bench.claimed()
    [first] = bench.go(runs.open_waits(claim.fence, [bench.wait(for_ms=60_000)]))
    bench.clock.advance("30s")
    [again] = bench.go(runs.open_waits(claim.fence, [bench.wait(for_ms=60_000)]))
    assert again.text == first.text == "1700000060000"


def test_race_29_an_owner_is_reaped_only_after_it_was_seen_expired_twice(bench: Bench) -> None:
    bench.claimed()
    bench.clock.advance("12s")
    assert bench.tick().reaped == 0
    bench.go(fleet.beat("o1", ["p1"], lease_ms=5000))
    bench.clock.advance("3s")
    assert bench.tick().reaped == 0
    assert bench.status() == "running"


def test_two_senders_serve_two_waits_and_a_resend_counts_once(bench: Bench) -> None:
    claim = bench.claimed()
    bench.go(runs.open_waits(claim.fence, [bench.wait()]))
    assert [bench.signal(key=k).taken_by for k in ("a", "b", "a")] == ["slot", "mail", ""]
    with pytest.raises(ReplayConflict):
        bench.signal(key="a", payload="9")


def test_the_mailbox_is_bounded(bench: Bench) -> None:
    bench.start()
    for n in range(1024):
        bench.signal(key=str(n))
    with pytest.raises(MailboxFull):
        bench.signal(key="one more")


def test_a_signal_to_an_ended_process_is_refused(bench: Bench) -> None:
    claim = bench.claimed()
    assert bench.go(processes.finish("p1", "completed", OUTPUT, fence=claim.fence)) == 2
    assert bench.go(processes.finish("p1", "completed", OUTPUT, fence=claim.fence)) == 2
    with pytest.raises(ProcessAlreadyTerminal):
        bench.signal()


def test_a_session_gets_one_turn_for_many_inputs(bench: Bench) -> None:
    desk = SessionAddress("clerk/1", "clerk", "t", "salt" * 4)
    assert [bench.go(sessions.send(desk, "{}", key=k, canonical=k)).entry for k in ("a", "b", "a")] == [1, 2, 1]
    [turn] = bench.take()
    batch = bench.go(sessions.admit(turn.fence, "clerk/1", 256))
    assert [e.n for e in batch.entries] == [1, 2]


def test_race_07_a_cancelled_turn_settles_its_entries_and_frees_the_session(bench: Bench) -> None:
    desk = SessionAddress("clerk/1", "clerk", "t", "salt" * 4)
    bench.go(sessions.send(desk, "{}"))
    [turn] = bench.take()
    bench.go(sessions.admit(turn.fence, "clerk/1", 256))
    bench.go(sessions.send(desk, "{}"))
    bench.go(processes.cancel(turn.process_id, "stop", grace_ms=10_000))
    bench.clock.advance("11s")
    bench.tick()
    view = bench.go(sessions.read("clerk/1"))
    assert [e.state.split(" ")[0] for e in view.entries] == ["failed", "delivered"]
    assert view.head["turn"] != turn.process_id


def test_a_parked_process_is_small(server: object) -> None:
    real = UrlBackend(server.url, connections=4)  # type: ignore[attr-defined]
    client = real.sync()
    client.flushall()
    bench = Bench(real)
    before, n = client.info("memory")["used_memory"], 2_000  # type: ignore[index]
    for i in range(n):
        pid = f"p_{i:020d}"
        claim = bench.claimed(pid)
        slot = f"v1{i:024d}"
        wait = Wait(slot, f"wait:go:{i}", slot[-8:], "s:go", 1, for_ms=86_400_000)
        bench.go(runs.open_waits(claim.fence, [wait]))
        bench.go(processes.park(claim.fence, [slot[-8:]], '{"waits":[{"kind":"signal","name":"go","ordinal":1,"due_ms":1700086400000}]}'))
    each = (client.info("memory")["used_memory"] - before) / n  # type: ignore[index,operator]
    name = client.info("server").get("server_name", "redis")  # type: ignore[union-attr]
    print(f"{name}: {each:.0f} B per parked process")
    assert each <= 2_000
