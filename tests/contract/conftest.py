"""One contract, every backend: each test here runs on fakeredis and on every real server that this machine has.

Invariant: time stands still unless a test moves it, and no test sees what another one wrote.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from wakeline.environments.spec import EMPTY_ENVIRONMENT
from wakeline.processes.lease import Fence
from wakeline.processes.registration import Registration
from wakeline.store import claims, ends, events, owners, processes, sessions, signals, starts, ticks
from wakeline.store import waits as stored_waits
from wakeline.store.address import Address
from wakeline.store.blocking import SyncStore
from wakeline.store.calls import Call, Program
from wakeline.store.claims import Claim
from wakeline.store.connection import Backend, FakeBackend, UrlBackend
from wakeline.store.events import StoredEvent
from wakeline.store.processes import StoredProcess
from wakeline.store.starts import Registered, SessionAddress
from wakeline.testing.clock import VirtualClock
from wakeline.values import canonical_json, to_json
from wakeline.verbs import events as event_verbs
from wakeline.verbs import signals as signal_verbs
from wakeline.verbs.caller import Caller

from tests.servers import BACKENDS, started_servers

LEASE_MS = 5_000
BEAT_MS = 2_000
RETENTION_MS = 7 * 86_400_000
TOMBSTONE_MS = 7 * 86_400_000
START_MS = 1_700_000_000_000
HOST: dict[str, Any] = {"originator": {"type": "host"}}


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def contract_server() -> Iterator[Callable[[str], str]]:
    """Starts the named server once and returns its URL."""
    with started_servers() as url:
        yield url


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, contract_server: Callable[[str], str]) -> Backend:
    """fakeredis, then each real server."""
    if request.param == "fakeredis":
        return FakeBackend()
    return UrlBackend(contract_server(request.param))


@dataclass
class World:
    """A namespace of its own on a virtual clock, and short words for what tests do to it."""

    backend: Backend
    clock: VirtualClock
    namespace: str
    store: SyncStore
    caller: Caller
    _takes: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def do(self, call: Call[Any]) -> Any:
        """One store call."""
        return self.store.execute(call)

    def go(self, program: Program[Any]) -> Any:
        """One client verb with all its checks."""
        return self.store.run(program)

    def reopened(self) -> World:
        """The same namespace through new connections and a client that remembers nothing."""
        self.store.close()
        return _world(self.backend, self.clock, self.namespace)

    # -- starting

    def registration(self, pid: str = "p", **over: Any) -> Registration:
        """A registration: an engine `job` of payload null unless told otherwise."""
        kind = over.pop("kind", "engine")
        inputs: dict[str, Any] = {
            "engine": {"type": "engine", "kind": "job", "payload": over.pop("payload", None)},
            "external": {"type": "external", "metadata": over.pop("metadata", None)},
            "tool_call": {
                "type": "tool_call",
                "call": {"call_id": pid, "tool_id": "tool:add", "tool_name": "add", "args": {"a": 1}},
            },
        }
        identities = {
            "engine": {"kind": "job"},
            "external": {"kind": "external"},
            "tool_call": {"kind": "tool", "label": "add"},
        }
        data: dict[str, Any] = {
            "id": pid,
            "input": inputs[kind],
            "identity": identities[kind],
            "provenance": HOST,
            "queue": self.namespace,
            "incarnation": "inc00001",
        }
        if kind != "external":
            data["env_ref"] = EMPTY_ENVIRONMENT
        else:
            data["recovery"] = "externally_owned"
        return Registration.from_json(to_json(data | over))

    def start(self, pid: str = "p", *, wake: str | None = None, delay_ms: int | None = None, **over: Any) -> Registered:
        """Registers a process; ``wake`` names the session (created with it) that its wakes go to."""
        target = self.session(wake) if wake else None
        return self.do(starts.register(self.registration(pid, **over), wake=target, delay_ms=delay_ms))

    def session(self, session_id: str) -> SessionAddress:
        """A session's address, complete enough to create it."""
        return SessionAddress(
            session_id, session_id.partition("/")[0], self.namespace, f"salt{session_id.encode().hex()}"
        )

    # -- running

    def worker(self, owner: str = "o_1") -> str:
        """A worker start that listens to the default queue."""
        self.do(owners.register_owner(owner, [self.namespace], lease_ms=LEASE_MS))
        return owner

    def take(
        self, owner: str = "o_1", n: int = 10, request: str | None = None, release: str | None = None
    ) -> tuple[Claim, ...]:
        """What the owner gets when it asks for up to ``n``; ``release``: of its code."""
        taken = self.do(
            claims.take(
                owner, request or f"t{next(self._takes)}", [self.namespace], n, lease_ms=LEASE_MS, release=release
            )
        )
        return taken.claims

    def running(self, pid: str = "p", owner: str = "o_1", **over: Any) -> Fence:
        """Starts a process, has it claimed, and returns the fence of its run."""
        self.start(pid, **over)
        self.worker(owner)
        return next(claim.fence for claim in self.take(owner) if claim.process_id == pid)

    def tick(self, **over: Any) -> ticks.TickReport:
        """One tick with the defaults of production."""
        args = {
            "beat_ms": BEAT_MS,
            "lease_ms": LEASE_MS,
            "stale_ms": 30_000,
            "retention_ms": RETENTION_MS,
            "tombstone_ms": TOMBSTONE_MS,
        }
        return self.do(ticks.tick(**(args | over)))

    def lose(self, owner: str) -> None:
        """The owner falls silent until the fleet has taken back what it held."""
        self.clock.advance("6s")
        self.tick()
        self.clock.advance("3s")
        assert self.tick().reaped >= 1  # other silent owners go with it

    def finish(self, pid: str, value: Any = None, fence: Fence | None = None) -> int:
        """Ends a process successfully: by its run, or (external) from outside."""
        output = to_json({"type": "success", "value": value})
        return int(self.do(ends.finish(pid, "completed", output, fence=fence)))

    # -- telling and looking

    def append(
        self, pid: str, event_type: str, payload: Any = None, *, key: str | None = None, **over: Any
    ) -> events.Appended:
        """The store's append, without the checks a client makes before it."""
        return self.do(
            events.append(pid, event_type, to_json(payload), replay_key=key, canonical=canonical_json(payload), **over)
        )

    def emit(self, pid: str, event_type: str, payload: Any = None, *, key: str | None = None) -> int:
        """A client's append, checks included."""
        return int(self.go(event_verbs.emit(self.caller, pid, event_type, payload, key, external=False)))

    def signal(self, pid: str, name: str, payload: Any = None, *, key: str | None = None) -> signals.Signalled:
        """A client's signal, checks included."""
        return self.go(signal_verbs.signal(self.caller, pid, name, payload, key))

    def view(self, pid: str = "p", *, after: int = 0, count: int = 1000, tail: bool = False) -> StoredProcess:
        """One look at a process and its log."""
        return self.do(processes.read(pid, after=after, count=count, tail=tail, detail=True))

    def log(self, pid: str = "p") -> tuple[StoredEvent, ...]:
        """Every event of a process, in order."""
        return self.view(pid).events

    def types(self, pid: str = "p") -> list[str]:
        """The types of its events, in order."""
        return [event.type for event in self.log(pid)]

    def status(self, pid: str = "p") -> str:
        """Its observed status."""
        return self.view(pid, count=0).status

    def inbox(self, session_id: str) -> list[dict[str, Any]]:
        """The bodies in a session's inbox, in order, each with its entry's number, state and how many it swallowed."""
        entries = self.do(sessions.read(session_id)).entries
        return [
            json.loads(e.body) | {"n": e.n, "state": e.state.split(" ")[0], "swallowed": e.swallowed} for e in entries
        ]

    def open(self, fence: Fence, *waits: stored_waits.Wait) -> Sequence[stored_waits.Opened]:
        """Opens waits of a run."""
        return self.do(stored_waits.open_waits(fence, waits))

    def wait_for(self, fence: Fence, name: str, ordinal: int = 1, **over: Any) -> stored_waits.Opened:
        """Opens the run's wait number ``ordinal`` for a signal name; slot, replay key and group are named after it."""
        return self.open(fence, signal_wait(name, ordinal, **over))[0]


def signal_wait(name: str, ordinal: int = 1, **over: Any) -> stored_waits.Wait:
    """The wait number ``ordinal`` for a signal name, under ids a reader can follow."""
    own = f"{name}.{ordinal}"
    return stored_waits.Wait(
        slot=f"slot-{own}", replay_key=f"wait-{own}", group=own, kind=f"s:{name}", ordinal=ordinal, **over
    )


def _world(backend: Backend, clock: VirtualClock, namespace: str) -> World:
    address = Address(namespace, rq_prefix="{" + namespace + "}:rq", clock=clock)
    store = SyncStore(backend, address)
    return World(backend, clock, namespace, store, Caller(namespace, grace_ms=10_000, now_ms=clock.now_ms))


@pytest.fixture
def fresh(backend: Backend) -> Callable[[], World]:
    """Makes a fresh namespace on each backend in turn; its caller closes its store."""
    return lambda: _world(backend, VirtualClock(START_MS), f"t{next(_numbers)}")


@pytest.fixture
def world(fresh: Callable[[], World]) -> Iterator[World]:
    """A fresh namespace on each backend in turn."""
    made = fresh()
    yield made
    made.store.close()
