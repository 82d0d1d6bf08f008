"""What Python itself costs per start, no-op, step, wait, resume and signal, without a server: ``python -m
benchmarks.python_cost [--rounds N] [--profile UNIT]``.

The client, the runner and the bundles are real. Only the connection is not: it answers each script at once, as the
server would. So the number of function calls is exact, and the CPU time is that of one thread (the least and the median
of some rounds). The unit of `PER` says what one number is of.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wakeline
from redis.asyncio.connection import Connection
from wakeline import App
from wakeline.causality import ProcessScope
from wakeline.clock import machine_ms
from wakeline.run.boundary import contain_exits
from wakeline.runner import Runner
from wakeline.settings import Settings
from wakeline.store import scripts
from wakeline.store.awaited import AsyncStore
from wakeline.store.calls import Call
from wakeline.store.claims import claims_of
from wakeline.store.connection import UrlBackend
from wakeline.store.link import Link
from wakeline.values import to_json
from wakeline.verbs import starts
from wakeline.verbs.options import NOTHING
from wakeline.waits.identity import ProcessSignal, key_id
from wakeline.waits.keys import Keyring

URL = "redis://127.0.0.1:1/0"
"""Nothing listens there, and nothing connects."""
HOUR_MS = 3_600_000
OWN = str(Path(wakeline.__file__).parent)
AT_ONCE = 32
"""How many of a unit run side by side: two bundles."""
BEFORE = 9
"""How many words of a command stand before the arguments of its first call."""
ANSWERS: dict[str, Any] = {
    "journal_record": ["recorded"],
    "process_finish": ["finished", "2"],
    "process_park": ["parked", "2"],
    "process_signal": ["accepted", "2", "slot"],
    "wait_open": ["waits", [["open", ""]]],
}


class Connected:
    """In the place of a connection: packs commands as redis-py does, and has the answers of their scripts."""

    is_connected = True

    def __init__(self) -> None:
        self._real = Connection()
        self.retry = self._real.retry
        self._answers: list[Any] = []
        self._writes = 0
        """The number of the last write, as the server counts them for its client."""
        self._names = {scripts.load(name).function: name for name in scripts.names()}

    def pack_commands(self, commands: Sequence[tuple[Any, ...]]) -> list[bytes]:
        """Also notes what will be answered."""
        for command in commands:
            calls = command[BEFORE:]
            answer = self._answer(self._names[command[1]], calls)
            self._writes += len(calls)
            self._answers.append([self._writes, machine_ms(), answer if len(calls) > 1 else answer[0]])
        return self._real.pack_commands(commands)

    @staticmethod
    def _answer(name: str, calls: Sequence[Any]) -> list[Any]:
        if name == "process_register":
            return [["created", text.split('"inc":"', 1)[1][:8], "queued"] for text in calls]
        return [ANSWERS[name]] * len(calls)

    async def send_packed_command(self, _: object) -> None:
        """Lets others on the loop go on, as a write does."""
        await asyncio.sleep(0)

    async def read_response(self) -> Any:
        return self._answers.pop(0)

    async def disconnect(self, *, nowait: bool = False) -> None:
        raise AssertionError("this connection does not fail")


class Host:
    """A worker that holds no body."""

    hold_ms, grace_ms, full, isolation = 0, 1000, True, None

    def timer(self, due_ms: int) -> None: ...
    def leaving(self, claim_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Unit:
    """What is counted: ``prepare`` makes the input of ``n``, uncounted, and ``run`` does them. One of them is ``per``
    units."""

    prepare: Callable[[int], Any]
    run: Callable[[Any], Awaitable[None]]
    per: int = 1


class Bench:
    """A client and a worker of one app, over a connection that answers at once."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.store = AsyncStore(app.backend, app.address)
        self.store._keyring = Keyring(b"x" * 32)
        connected = Link.__new__(Link)
        connected._connection, connected._pool = Connected(), None
        self.store._link = connected
        self.runner = Runner(self.store, app.registry, Host(), clock=app.clock, threads=ThreadPoolExecutor(1))

    def start(self, body: Any, given: dict[str, Any]) -> Any:
        """The program of a start, as `AsyncStarter` makes it."""
        return starts.start(self.app.caller, body, body.signature.bind(**given), NOTHING)

    def claimed(self, body: Any, n: int, slot_of: Callable[[str, str], list[Any]] | None = None) -> list[Any]:
        """What a take brings for ``n`` processes of a body, without arguments."""
        found = []
        for i in range(n):
            program = self.start(body, {})
            call: Call[Any] = next(program)
            program.close()
            pid, incarnation = call.args["pid"], call.args["inc"]
            at = "1700000000000"
            fields = {"st": "running", "seq": "0", "ep": "1", "inc": incarnation, "q": "bench", "k": "e", "h": "x" * 16}
            fields |= {"ca": at, "ua": at, "sn": at, "ow": "o_abcdefghijkl", "cl": f"0123456789abcdef-{i}", "ct": at}
            ran = ["", [], [slot_of(pid, incarnation)], "1"] if slot_of is not None else []
            found.append([pid, to_json(fields), call.args["spec"], at, *ran])
        return found

    async def run_claims(self, rows: list[Any], word: str = "finished") -> None:
        """From the reply of a take to the ends of its claims."""
        tasks = [asyncio.create_task(self.runner.run(claim), name=claim.process_id) for claim in claims_of(rows)]
        for task in tasks:
            assert await task == word, f"{await task}, and not {word}"

    async def together(self, programs: list[Any]) -> None:
        await asyncio.gather(*(self.store.run(program) for program in programs))


def answered(pid: str, incarnation: str) -> list[Any]:
    """The slot of a wait for the signal `go` that was answered while its process was parked."""
    slot = key_id(ProcessScope(pid), ProcessSignal(pid, incarnation, 1, "go", 1))
    fields = {"k": "s:go", "g": slot[2:10], "o": "1700000000000", "r": '{"status":"ok","value":1.5}'}
    return [slot, [part for field in fields.items() for part in field]]


def units(bench: Bench) -> dict[str, Unit]:
    """All that is counted, by name."""
    from benchmarks.app import nothing, ten_steps, waits

    async def parks(rows: list[Any]) -> None:
        await bench.run_claims(rows, "parked")

    def signals(n: int) -> list[Any]:
        from wakeline.verbs import signals

        return [signals.signal(bench.app.caller, pid, "go", 1.5, None) for pid in known[:n]]

    known: list[str] = []
    for _ in range(AT_ONCE):
        program = bench.start(waits, {})
        call = next(program)
        known.append(call.args["pid"])
        with suppress(StopIteration):
            program.send(call.decode(["created", call.args["inc"], "queued"]))

    async def started(n: int) -> None:
        await bench.together([bench.start(nothing, {}) for _ in range(n)])

    return {
        "start": Unit(lambda n: n, started),
        "no-op": Unit(lambda n: bench.claimed(nothing, n), bench.run_claims),
        "step": Unit(lambda n: bench.claimed(ten_steps, n), bench.run_claims, per=10),
        "park": Unit(lambda n: bench.claimed(waits, n), parks),
        "resume": Unit(lambda n: bench.claimed(waits, n, answered), bench.run_claims),
        "signal": Unit(signals, bench.together),
    }


def made() -> App:
    """The app of the benchmarks, on a server that is not there."""
    from benchmarks.app import app

    app._backend = UrlBackend(URL)
    app.settings = Settings(beat_ms=HOUR_MS, lease_ms=3 * HOUR_MS)  # no look of the client falls into a round
    return app


class Counting:
    """Counts function calls of this thread while it is entered: those of Wakeline's own functions, and all."""

    def __init__(self) -> None:
        self.own = self.all = 0
        self.by_name: dict[str, int] = {}

    def _count(self, frame: Any, event: str, _: Any) -> None:
        if event == "call":
            self.all += 1
            code = frame.f_code
            if code.co_filename.startswith(OWN):
                self.own += 1
            name = f"{code.co_filename.rpartition('site-packages/')[2].removeprefix(OWN)}:{code.co_qualname}"
            self.by_name[name] = self.by_name.get(name, 0) + 1
        elif event == "c_call":
            self.all += 1

    def __enter__(self) -> Counting:
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


async def counted(bench: Bench, unit: Unit) -> Counting:
    """The calls of one round, after one that filled the caches."""
    await unit.run(unit.prepare(AT_ONCE))
    given = unit.prepare(AT_ONCE)
    with Counting() as counting:
        await unit.run(given)
    return counting


async def timed(unit: Unit, rounds: int) -> list[float]:
    """CPU µs of this thread per unit, one for each round."""
    found: list[float] = []
    for _ in range(rounds):
        given = unit.prepare(AT_ONCE)
        gc.collect()
        gc.disable()
        at = time.thread_time()
        await unit.run(given)
        found.append((time.thread_time() - at) / AT_ONCE / unit.per * 1e6)
        gc.enable()
    return found


def argument(name: str, otherwise: str) -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else otherwise


async def main() -> None:
    rounds, profiled = int(argument("--rounds", "60")), argument("--profile", "")
    bench = Bench(made())
    contain_exits(asyncio.get_running_loop())
    print("| unit | own calls | all calls | CPU µs, median | least |\n|---|---|---|---|---|")
    for name, unit in units(bench).items():
        if profiled and name != profiled:
            continue
        counting = await counted(bench, unit)
        many = AT_ONCE * unit.per
        times = await timed(unit, rounds)
        print(
            f"| {name} | {counting.own / many:.1f} | {counting.all / many:.1f} | {statistics.median(times):.1f} |"
            f" {min(times):.1f} |"
        )
        if profiled:
            for called, n in sorted(counting.by_name.items(), key=lambda one: -one[1])[:90]:
                print(f"{n / many:8.2f}  {called}")


if __name__ == "__main__":
    asyncio.run(main())
