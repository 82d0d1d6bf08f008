"""A namespace with a virtual clock and short words for what a test does to it; shared by the script and the race tests.

Invariant: scripts are called through the typed calls, and nothing here moves the clock unless it is told to.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wakeline.environments.spec import EMPTY_ENVIRONMENT
from wakeline.processes.lease import Fence
from wakeline.processes.registration import Registration
from wakeline.store import claims, ends, owners, processes, sessions, signals, starts, ticks
from wakeline.store import waits as stored_waits
from wakeline.store.address import Address
from wakeline.store.blocking import SyncStore
from wakeline.store.calls import Call
from wakeline.store.claims import Claim
from wakeline.store.connection import Backend
from wakeline.store.journal import Effect, Row
from wakeline.store.starts import Registered, SessionAddress
from wakeline.store.waits import Opened, Wait
from wakeline.testing.clock import VirtualClock
from wakeline.values import to_json

START_MS = 1_700_000_000_000
LEASE_MS = 5_000
BEAT_MS = 2_000
STALE_MS = 30_000
WEEK_MS = 604_800_000
SUCCESS = '{"type":"success","value":1}'
_numbers = itertools.count(1)


def registration(pid: str, queue: str, kind: str = "engine", **over: Any) -> Registration:
    """A registration of an engine `job` with payload null, or of an external process."""
    external = kind == "external"
    data: dict[str, Any] = {
        "id": pid,
        "input": {"type": "external", "metadata": None}
        if external
        else {"type": "engine", "kind": "job", "payload": over.pop("payload", None)},
        "identity": {"kind": "external" if external else "job"},
        "provenance": {"originator": {"type": "host"}},
        "queue": queue,
        "incarnation": "inc00001",
        "recovery": "externally_owned" if external else "rerunnable",
    }
    if not external:
        data["env_ref"] = EMPTY_ENVIRONMENT
    return Registration.from_json(to_json(data | over))


def wait(slot: str, kind: str = "s:go", group: str | None = None, **over: Any) -> Wait:
    """A wait under slot id, replay key (`wait-<slot>`) and group (the slot's own, unless given) that a reader can
    follow."""
    return Wait(slot=slot, replay_key=f"wait-{slot}", group=group or slot, kind=kind, **over)


def consumed(slot: str, outcome: str = "1") -> Row:
    """The journal row of a wait that was answered; writing it closes the slot."""
    return Row(f"wait-{slot}", outcome, (slot,))


@dataclass
class World:
    """One namespace on one backend."""

    backend: Backend
    clock: VirtualClock
    ns: str
    store: SyncStore
    _takes: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def on(cls, backend: Backend) -> World:
        """A fresh namespace."""
        ns, clock = f"t{next(_numbers)}", VirtualClock(START_MS)
        return cls(backend, clock, ns, SyncStore(backend, Address(ns, rq_prefix=f"rq-{ns}", clock=clock)))

    def do(self, call: Call[Any]) -> Any:
        """One store call."""
        return self.store.execute(call)

    def raw(self, call: Call[Any]) -> Any:
        """The reply of a call as the script gave it, refusals included."""
        return self.store.execute(replace(call, decode=lambda reply: reply))

    def script(self, name: str, **args: Any) -> Any:
        """The reply of a script to arguments that no typed call would send."""
        return self.store.execute(Call(name, args, lambda reply: reply))

    def key(self, name: str) -> str:
        """A key of this namespace."""
        return self.store.address.prefix + name

    def rq(self, name: str) -> str:
        """A key of RQ's."""
        return f"rq-{self.ns}:{name}"

    @property
    def redis(self) -> Any:
        """The client beneath, for looking at keys (and for damaging them)."""
        return self.store.client

    def forget_scripts(self) -> None:
        """The server knows no script any more, in neither form."""
        self.redis.script_flush()
        self.redis.function_flush()

    def pass_ms(self, ms: int) -> None:
        """Time goes by."""
        self.clock.advance(ms / 1000)

    def now(self) -> int:
        """The virtual time."""
        return self.clock.now_ms()

    # -- the whole keyspace

    def keys(self) -> list[str]:
        """Every key of this namespace and of its RQ, sorted."""
        both = (self.key("*"), self.rq("*"))
        return sorted(key for pattern in both for key in self.redis.scan_iter(match=pattern, count=1000))

    def snapshot(self) -> dict[str, Any]:
        """Every key with its content."""
        return {key: self._content(key) for key in self.keys()}

    def _content(self, key: str) -> Any:
        kind = self.redis.type(key)
        match kind:
            case "string":
                return self.redis.get(key)
            case "hash":
                return self.redis.hgetall(key)
            case "set":
                return self.redis.smembers(key)
            case "zset":
                return self.redis.zrange(key, 0, -1, withscores=True)
            case "list":
                return self.redis.lrange(key, 0, -1)
            case "stream":
                return self.redis.xrange(key)
            case other:
                raise AssertionError(f"{key} is a {other}")

    def twice(self, call: Call[Any], *, also: Sequence[str] = ()) -> Any:
        """Sends a call two times, as after a lost reply, and returns its first result.

        The second send must give the same result and change nothing. ``also``: tags of the reply by which a resend may
        say that it is one (`replayed`, `existing`, …); then the rest of the reply is compared.
        """
        first = self.raw(call)
        before = self.snapshot()
        second = self.raw(call)
        assert self.snapshot() == before
        if also:
            assert (second[0], second[1]) in [(tag, first[1]) for tag in also]
        else:
            assert second == first
        return call.decode(first)

    # -- starting

    def start(
        self, pid: str = "p", *, effect: Effect | None = None, delay_ms: int | None = None, **over: Any
    ) -> Registered:
        """Starts a process; ``wake`` names the session its wakes go to, created with it."""
        session = over.pop("wake", None)
        return self.do(self.registering(pid, wake=session, effect=effect, delay_ms=delay_ms, **over))

    def registering(self, pid: str = "p", *, wake: str | None = None, **over: Any) -> Call[Registered]:
        """The call that starts a process."""
        effect, delay_ms, at_ms = (over.pop(name, None) for name in ("effect", "delay_ms", "at_ms"))
        queue = over.pop("queue", self.ns)
        target = self.session(wake) if wake else None
        return starts.register(
            registration(pid, queue, **over), wake=target, effect=effect, delay_ms=delay_ms, at_ms=at_ms
        )

    def session(self, sid: str = "bot/1") -> SessionAddress:
        """A session's address, complete enough to create it."""
        return SessionAddress(sid, sid.partition("/")[0], self.ns, f"salt0000{sid.encode().hex()}")

    # -- running

    def worker(self, owner: str = "o1") -> str:
        """A worker start."""
        self.do(owners.register_owner(owner, [self.ns], lease_ms=LEASE_MS))
        return owner

    def taking(
        self,
        owner: str = "o1",
        n: int = 100,
        request: str | None = None,
        idle: bool = False,
        release: str | None = None,
    ) -> Call[claims.Taken]:
        """The call by which an owner asks for work."""
        return claims.take(
            owner, request or f"r{next(self._takes)}", [self.ns], n, lease_ms=LEASE_MS, idle=idle, release=release
        )

    def take(
        self, owner: str = "o1", n: int = 100, request: str | None = None, release: str | None = None
    ) -> tuple[Claim, ...]:
        """The claims an owner gets; ``release``: of its code."""
        return self.do(self.taking(owner, n, request, release=release)).claims

    def claim(self, pid: str = "p", owner: str = "o1") -> Fence:
        """A worker starts and takes; the fence of its run of this process."""
        self.worker(owner)
        return next(claim.fence for claim in self.take(owner) if claim.process_id == pid)

    def running(self, pid: str = "p", owner: str = "o1", **over: Any) -> Fence:
        """Starts a process and has it claimed."""
        self.start(pid, **over)
        return self.claim(pid, owner)

    def open(self, fence: Fence, *waits: Wait, rows: Sequence[Row] = ()) -> list[Opened]:
        """Opens waits of a run."""
        return self.do(stored_waits.open_waits(fence, waits, rows))

    def park(self, fence: Fence, *groups: str) -> stored_waits.LetGo | stored_waits.Met:
        """Parks a run on these groups."""
        return self.do(stored_waits.park(fence, groups, '{"waits":[]}'))

    def parked(self, pid: str = "p", owner: str = "o1", *waits: Wait, **over: Any) -> Fence:
        """Starts a process that is parked on these waits (one for the signal `go` if none); the fence of the run that
        parked."""
        waits = waits or (wait("w1"),)
        fence = self.running(pid, owner, **over)
        self.open(fence, *waits)
        assert isinstance(self.park(fence, *sorted({w.group for w in waits})), stored_waits.LetGo)
        return fence

    def finish(
        self, pid: str = "p", fence: Fence | None = None, status: str = "completed", output: str = SUCCESS, **over: Any
    ) -> int:
        """Ends a process."""
        return self.do(ends.finish(pid, status, output, fence=fence, **over))

    def signal(
        self, pid: str = "p", name: str = "go", signal_id: str = "1", payload: str = "1", **over: Any
    ) -> signals.Signalled:
        """Sends a signal."""
        return self.do(signal(pid, name, signal_id, payload, **over))

    def cancel(self, pid: str = "p", *, grace_ms: int = 10_000) -> str:
        """Requests a cancel."""
        return self.do(ends.cancel(pid, "asked", grace_ms=grace_ms))

    def beat(self, owner: str = "o1", running: Sequence[str] | None = None) -> tuple[bool, list[str]]:
        """One heartbeat."""
        return self.do(owners.beat(owner, running, lease_ms=LEASE_MS))

    def tick(self, **over: Any) -> ticks.TickReport:
        """One tick with the limits of production."""
        return self.do(ticking(**over))

    def lose(self, owner: str = "o1") -> None:
        """The owner falls silent until it is reaped."""
        self.pass_ms(LEASE_MS + 1)
        self.tick()
        self.pass_ms(BEAT_MS)
        assert self.tick().reaped == 1, owner

    # -- looking

    def field(self, name: str, pid: str = "p") -> str | None:
        """One short field of a process as stored."""
        return self.redis.hget(self.key(f"proc:{pid}"), name)

    def status(self, pid: str = "p") -> str:
        """A process' status."""
        return self.do(processes.read(pid)).status

    def events(self, pid: str = "p") -> list[str]:
        """The types of its events, in order."""
        return [event.type for event in self.do(processes.read(pid, count=1000)).events]

    def payload(self, pid: str = "p", at: int = -1) -> str:
        """The payload of one event (the last)."""
        return self.do(processes.read(pid, count=1000)).events[at].payload

    def journal(self, pid: str = "p") -> dict[str, str]:
        """Its journal."""
        return self.redis.hgetall(self.key(f"journal:{pid}"))

    def mail(self, pid: str = "p") -> list[str]:
        """Its mailbox, oldest first."""
        return self.redis.lrange(self.key(f"mail:{pid}"), 0, -1)

    def doorbells(self) -> list[str]:
        """The job ids on the queue, head first."""
        return self.redis.lrange(self.rq(f"queue:{self.ns}"), 0, -1)

    def timers(self) -> list[str]:
        """The members of the timer index, the next one first."""
        return self.redis.zrange(self.key("timers"), 0, -1)

    def resolution(self, slot: str) -> str | None:
        """The resolution of a slot."""
        return self.redis.hget(self.key(f"slot:{slot}"), "r")

    def entries(self, sid: str = "bot/1") -> list[tuple[str, str, int]]:
        """A session's entries as (what became of it, its input or body, how many it swallowed)."""
        found = self.do(sessions.read(sid)).entries
        return [(e.state.split(" ")[0], e.body, e.swallowed) for e in found]


def signal(pid: str, name: str, signal_id: str, payload: str = "1", **over: Any) -> Call[signals.Signalled]:
    """The call that sends a signal."""
    key = f"process:{pid}:signal.{name}:{signal_id}"
    return signals.signal(pid, name, signal_id, payload, canonical=payload, replay_key=key, **over)


def ticking(**over: Any) -> Call[ticks.TickReport]:
    """The call of one tick."""
    limits = {
        "beat_ms": BEAT_MS,
        "lease_ms": LEASE_MS,
        "stale_ms": STALE_MS,
        "retention_ms": WEEK_MS,
        "tombstone_ms": WEEK_MS,
    }
    return ticks.tick(**(limits | over))
