"""A tiny model of the protocol: every interleaving of a few short scripts of steps, run against the real scripts.

The actors are senders, an operator, someone outside, time, the death of workers, the network that delivers a call a
second time, and workers that take, open, look, park, close and end. Breadth first, from a queued process until nothing
is left to do; states that are equal are explored once. Invariant: what is said of a state was read from the store, by
the scripts' own keys, after real scripts had run.
"""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from fakeredis._core import Item
from wakeline.processes.lease import Fence
from wakeline.store import claims, owners
from wakeline.store import ends as stored_ends
from wakeline.store import waits as stored_waits
from wakeline.store.address import Address
from wakeline.store.blocking import SyncStore
from wakeline.store.calls import Call, flat
from wakeline.store.claims import claim_of
from wakeline.store.connection import FakeBackend
from wakeline.store.journal import Row
from wakeline.store.waits import Wait
from wakeline.testing.clock import VirtualClock
from wakeline.values import to_json

from tests.lua.world import START_MS, SUCCESS, World, signal, ticking

QUEUE = "play"
ENDED = ("completed", "cancelled", "failed", "abandoned")
FOR_EVER_MS = 10**9
GRACE_MS = 10_000
MOST_RUNS = 8


# -- what is explored


@dataclass(frozen=True)
class Stage:
    """What a body waits for at one place: ``all`` of it (one group), or ``any`` (a race: the losers are given up)."""

    waits: tuple[Wait, ...]
    mode: Literal["all", "any"] = "all"

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(sorted({w.group for w in self.waits}))


@dataclass(frozen=True)
class Run:
    """A worker's run of the body, as far as it knows: where it is, what it consumed and has not written yet, what it
    gave up."""

    fence: Fence
    stage: int = 0
    doing: Literal["open", "hold", "close", "end", "over"] = "open"
    rows: tuple[Row, ...] = ()
    losers: tuple[str, ...] = ()
    gave_up: tuple[str, ...] = ()
    cancelled: bool = False
    taken_for_dead: bool = False


@dataclass(frozen=True)
class Sent:
    """A call as it was sent: what the network may deliver again."""

    script: str
    args: str


@dataclass(frozen=True)
class Actors:
    """What everybody may still do."""

    signals: tuple[str, ...] = ()
    answers: int = 0
    cancels: int = 0
    pauses_ms: tuple[int, ...] = ()
    deaths: int = 0
    duplicates: int = 0
    runs: tuple[Run, ...] = ()
    sent: tuple[Sent, ...] = ()


@dataclass(frozen=True)
class Step:
    """One step: what it is called in a trace, its call, and what its actor makes of the reply."""

    name: str
    call: Call[Any]
    heard: Callable[[Any], Actors]
    takes_ms: int = 0


@dataclass
class Explored:
    """How much was explored; interleavings are complete paths."""

    states: int = 0
    steps: int = 0
    interleavings: int = 0


# -- the actors


@dataclass(frozen=True)
class Play:
    """A body, as its stages, and the actors around it."""

    body: tuple[Stage, ...]
    actors: Actors
    remembered: int = 1
    """So many of the last calls may arrive again."""

    def steps(self, now: Actors, status: str) -> Iterator[Step]:
        """Everything that may happen next."""
        yield from self._outside(now)
        if status == "queued":
            n = len(now.runs) + 1
            yield Step(
                f"worker {n} takes",
                claims.take(f"o{n}", f"r{n}", [QUEUE], 1, lease_ms=FOR_EVER_MS),
                lambda reply: self._taken(now, reply),
            )
        for i, run in enumerate(now.runs):
            yield from self._run(now, i, run)
            if now.deaths and run.doing != "over" and not run.taken_for_dead:
                left = replace(
                    now, deaths=now.deaths - 1, runs=_with_run(now.runs, i, replace(run, taken_for_dead=True))
                )
                yield Step(f"worker {i + 1} is taken for dead", owners.reap(run.fence.owner), _keep(left))
        if now.duplicates:
            left = replace(now, duplicates=now.duplicates - 1)
            for call in dict.fromkeys(now.sent):
                again = Call(call.script, json.loads(call.args), lambda reply: reply)
                yield Step(f"{call.script} {call.args} arrives again", again, _keep(left))

    def _outside(self, now: Actors) -> Iterator[Step]:
        if now.signals:
            # Senders differ by name only, so one order of theirs stands for all.
            text, *others = now.signals
            yield Step(
                f"signal {text}", signal("p", "go", text, f'"{text}"'), _keep(replace(now, signals=tuple(others)))
            )
        if now.answers:
            yield Step(
                "the answer comes",
                stored_waits.resolve("p", "inc00001", "x", '{"status":"ok","value":"yes"}'),
                _keep(replace(now, answers=0)),
            )
        if now.cancels:
            yield Step("cancel", stored_ends.cancel("p", "asked", grace_ms=GRACE_MS), _keep(replace(now, cancels=0)))
        if now.pauses_ms:
            ms, *later = now.pauses_ms
            yield Step(f"{ms} ms pass", ticking(lease_ms=FOR_EVER_MS), _keep(replace(now, pauses_ms=tuple(later))), ms)

    def _taken(self, now: Actors, reply: Any) -> Actors:
        (claim,) = (claim_of(row) for row in reply[1])
        return replace(now, runs=(*now.runs, Run(claim.fence)))

    def _run(self, now: Actors, i: int, run: Run) -> Iterator[Step]:
        who = f"worker {i + 1}"

        def then(after: Callable[[Any], Run]) -> Callable[[Any], Actors]:
            def heard(reply: Any) -> Actors:
                heir = replace(run, doing="over") if reply[0] == "lost" else after(reply)
                return replace(now, runs=_with_run(now.runs, i, heir))

            return heard

        match run.doing:
            case "open":
                stage = self.body[run.stage]
                yield Step(
                    f"{who} opens stage {run.stage + 1}",
                    stored_waits.open_waits(run.fence, stage.waits, run.rows),
                    then(lambda r: self._opened(run, r)),
                )
            case "hold":
                stage = self.body[run.stage]
                yield Step(
                    f"{who} looks",
                    stored_waits.read_slots(run.fence, [w.slot for w in stage.waits]),
                    then(lambda r: self._looked(run, r)),
                )
                parked = then(lambda r: replace(run, doing="over") if r[0] == "parked" else run)
                yield Step(f"{who} parks", stored_waits.park(run.fence, stage.groups, "{}", run.rows), parked)
            case "close":
                closed = then(lambda _: self._on(replace(run, rows=(), losers=(), gave_up=run.gave_up + run.losers)))
                yield Step(
                    f"{who} gives up {run.losers}", stored_waits.close_waits(run.fence, run.losers, run.rows), closed
                )
            case "end":
                end = stored_ends.finish(
                    "p", "cancelled" if run.cancelled else "completed", SUCCESS, fence=run.fence, consumed=run.rows
                )
                yield Step(f"{who} ends the process", end, then(lambda _: replace(run, doing="over")))

    def _opened(self, run: Run, reply: Any) -> Run:
        run = replace(run, rows=())
        found = dict(zip((w.slot for w in self.body[run.stage].waits), reply[1], strict=True))
        results = {slot: text for slot, (state, text, *_) in found.items() if state != "open"}
        return self._with(run, results, {slot for slot, (state, *_) in found.items() if state == "journaled"})

    def _looked(self, run: Run, reply: Any) -> Run:
        found = zip((w.slot for w in self.body[run.stage].waits), reply[2], strict=True)
        return self._with(run, {slot: text for slot, text in found if text and text != stored_waits.GONE}, set())

    def _with(self, run: Run, results: dict[str, str], journaled: set[str]) -> Run:
        """The run knows these results; the ones in the journal are recorded already."""
        stage = self.body[run.stage]
        if any("cancelled" in text for text in results.values()):
            return replace(run, doing="end", cancelled=True)
        if not results or (stage.mode == "all" and len(results) < len(stage.waits)):
            return replace(run, doing="hold")
        winners = results if stage.mode == "all" else [next(iter([*journaled, *results]))]
        rows = tuple(Row(f"wait-{slot}", results[slot], (slot,)) for slot in winners if slot not in journaled)
        losers = tuple(w.slot for w in stage.waits if w.slot not in winners)
        run = replace(run, rows=(*run.rows, *rows), losers=losers)
        return replace(run, doing="close") if losers else self._on(run)

    def _on(self, run: Run) -> Run:
        return replace(run, stage=run.stage + 1, doing="open" if run.stage + 1 < len(self.body) else "end")


def _keep(left: Actors) -> Callable[[Any], Actors]:
    """With any reply, this is what all parties may still do."""
    return lambda _: left


def _with_run(all_runs: tuple[Run, ...], i: int, run: Run) -> tuple[Run, ...]:
    return (*all_runs[:i], run, *all_runs[i + 1 :])


# -- the oracles

LOOK = """
local ns, rq, queue = ARGV[1], ARGV[2], ARGV[3]
local listed, slots = {}, {}
for _, status in ipairs({ 'queued', 'running', 'waiting', 'completed', 'failed', 'cancelled', 'abandoned' }) do
  if redis.call('ZSCORE', ns .. 'idx:' .. status, 'p') then listed[#listed + 1] = status end
end
for _, key in ipairs(redis.call('KEYS', ns .. 'slot:*')) do
  slots[#slots + 1] = { string.sub(key, #ns + 6), redis.call('HGETALL', key) }
end
local process = redis.call('HGETALL', ns .. 'proc:p')
local owner = redis.call('HGET', ns .. 'proc:p', 'ow') or ''
local held = redis.call('SISMEMBER', ns .. 'owned:' .. owner, 'p') == 1
  and redis.call('ZSCORE', ns .. 'owners', owner) and '1' or ''
return { process, listed, slots,
  redis.call('XRANGE', ns .. 'events:p', '-', '+'), redis.call('HGETALL', ns .. 'journal:p'),
  redis.call('LRANGE', ns .. 'mail:p', 0, -1), redis.call('LRANGE', rq .. ':queue:' .. queue, 0, -1), held }
"""


class View:
    """One state of the store, and what has to hold in it."""

    def __init__(self, world: World) -> None:
        self.ns = world.ns
        seen = world.redis.eval(LOOK, 0, world.key(""), world.rq("").removesuffix(":"), QUEUE)
        self.process = flat(seen[0])
        self.listed: list[str] = seen[1]
        self.slots = {name: slot for name, fields in seen[2] if "z" not in (slot := flat(fields))}
        self.events = [(int(id.split("-")[0]), flat(fields)) for id, fields in seen[3]]
        self.journal = flat(seen[4])
        self.mail: list[str] = seen[5]
        self.doorbells: list[str] = seen[6]
        self.held = seen[7] == "1"

    @property
    def status(self) -> str:
        return self.process["st"]

    def consistent(self, actors: Actors) -> None:
        """What holds after every step."""
        assert self.listed == [self.status], f"a {self.status} process is listed as {self.listed}"
        self._has_one_log()
        self._serves_once_and_in_order()
        if self.status not in ENDED:
            self._counts_its_waits()
            self._keeps_every_signal()
            self._can_be_reached(actors)

    def _has_one_log(self) -> None:
        assert [number for number, _ in self.events] == list(range(1, len(self.events) + 1))
        ends = [number for number, event in self.events if event["t"].removeprefix("process.") in ENDED]
        assert ends in ([], [len(self.events)]), "an end is written once, and last"

    def _counts_its_waits(self) -> None:
        unresolved = {name: slot for name, slot in self.slots.items() if "g" in slot and "r" not in slot}
        counted = {name[2:]: int(n) for name, n in self.process.items() if name.startswith("o:") and n != "0"}
        assert counted == dict(Counter(slot["g"] for slot in unresolved.values())), (
            "a group is counted by its unresolved slots"
        )
        named = {name for field, names in self.process.items() if field.startswith("n:") for name in names.split(",")}
        assert named == {name for name, slot in unresolved.items() if slot["k"].startswith("s:")}, (
            "an open wait is found by its signal"
        )

    def _keeps_every_signal(self) -> None:
        for slot in self.slots.values():
            assert "rs" not in slot or slot["r"].startswith('{"status":"ok"'), "the first resolution stays"
        for number, event in self.events:
            if event["t"] == "signal.go":
                in_slots = sum(slot.get("rs") == str(number) for slot in self.slots.values())
                in_journal = sum(event["p"] in row for row in self.journal.values())
                places = self.mail.count(f"go:{number}") + in_slots + in_journal
                assert places == 1, f"signal {event['p']} is in {places} places"

    def _serves_once_and_in_order(self) -> None:
        sent = [event["p"] for _, event in self.events if event["t"] == "signal.go"]
        served = [payload for _, row in sorted(self.journal.items()) for payload in sent if payload in row]
        assert served == sorted(set(served), key=sent.index), f"{served} served to waits 1, 2, …, though sent as {sent}"

    def _can_be_reached(self, actors: Actors) -> None:
        """Something will go on with it: a doorbell, a run, or a slot in every group that something can still
        resolve."""
        match self.status:
            case "queued":
                assert self.doorbells == [f"wl-{self.ns}-p-{self.process['ep']}"], "a queued process has one doorbell"
            case "running":
                assert self.held, "a living owner holds what runs"
                [run] = [run for run in actors.runs if run.fence.claim_id == self.process["cl"]]
                assert run.doing != "over", "the run that holds it knows that it does"
                assert not set(run.gave_up) & set(self.slots), "what a run gave up stays closed while it runs"
            case _:
                groups = {slot["g"] for slot in self.slots.values()}
                open_groups = {slot["g"] for slot in self.slots.values() if "r" not in slot}
                assert groups, "a parked process waits for something"
                assert "cr" not in self.process, "no process is parked with a cancel that was not answered"
                assert groups == open_groups, "no process is parked with a group that is met"


# -- the exploration


@dataclass(frozen=True)
class Moment:
    """The store at one moment: how to tell it from another, how to come back to it, and what is seen in it."""

    identity: int
    saved: bytes
    view: View


class Store:
    """The store as a function: a moment and a call give a reply and a moment. The same ones are run once."""

    def __init__(self) -> None:
        backend = FakeBackend()
        clock = VirtualClock(START_MS)
        self.world = World(
            backend, clock, QUEUE, SyncStore(backend, Address(QUEUE, rq_prefix=f"rq-{QUEUE}", clock=clock))
        )
        self._lock, self._keys = backend._server.lock, backend._server.dbs[0]
        self._moments: dict[int, Moment] = {}
        self._ran: dict[tuple[int, str, str, int], tuple[Any, Moment]] = {}

    def after(self, moment: Moment, step: Step) -> tuple[Any, Moment]:
        """What the script of a step answers at this moment, and the moment after it."""
        what = (moment.identity, step.call.script, to_json(step.call.args), step.takes_ms)
        if what not in self._ran:
            self._return_to(moment)
            self.world.pass_ms(step.takes_ms)
            reply = self.world.raw(step.call)
            self._ran[what] = (reply, self.now())
        return self._ran[what]

    def now(self) -> Moment:
        """This moment. Hints are no state."""
        with self._lock:
            for key in [key for key in self._keys if b"notify:" in key]:
                del self._keys[key]
            kept = {key: _stored(item) for key, item in self._keys.items()}
        identity = hash((self.world.now(), _plain({key: item.value for key, item in kept.items()})))
        if identity not in self._moments:
            self._moments[identity] = Moment(identity, pickle.dumps((self.world.now(), kept)), View(self.world))
        return self._moments[identity]

    def _return_to(self, moment: Moment) -> None:
        self.world.clock._now_ms, kept = pickle.loads(moment.saved)
        with self._lock:
            self._keys.clear()
            self._keys.update(kept)


def _stored(item: Any) -> Item:
    """What fakeredis keeps under a key. Behind a COPY it keeps the argument of the command, which knows the whole
    database."""
    if isinstance(item, Item):
        return item
    stored = Item(item.value)
    stored.expireat = item.expireat
    return stored


def _plain(value: Any) -> Any:
    """The same for the same content, in any order of writing."""
    if isinstance(value, dict):
        return tuple(sorted((repr(key), _plain(held)) for key, held in value.items()))
    if isinstance(value, list | tuple):
        return tuple(_plain(held) for held in value)
    return _plain(vars(value)) if hasattr(value, "__dict__") else value


def explore(play: Play) -> Explored:
    """Every interleaving of a play; raises AssertionError with the steps that lead to a state in which an oracle does
    not hold."""
    store = Store()
    store.world.start("p")
    for n in range(1, MOST_RUNS + 1):
        store.world.do(owners.register_owner(f"o{n}", [], lease_ms=FOR_EVER_MS))
    begin = (store.now(), play.actors)
    states: list[tuple[Moment, Actors]] = [begin]
    known: dict[tuple[int, Actors], int] = {(begin[0].identity, begin[1]): 0}
    came: list[tuple[int, str]] = [(0, "")]
    next_of: list[set[int]] = []
    steps = 0

    def trace(at: int) -> str:
        names: list[str] = []
        while at:
            at, name = came[at]
            names.append(name)
        return "\n".join(f"  {i}. {name}" for i, name in enumerate(reversed(names), 1))

    while len(next_of) < len(states):
        here = len(next_of)
        moment, actors = states[here]
        next_of.append(set())
        for step in play.steps(actors, moment.view.status):
            reply, then = store.after(moment, step)
            after = step.heard(reply)
            after = replace(
                after,
                sent=(
                    (*after.sent, Sent(step.call.script, to_json(step.call.args)))[-play.remembered :]
                    if after.duplicates
                    else ()
                ),
            )
            steps += 1
            there = known.setdefault((then.identity, after), len(states))
            if there == len(states):
                states.append((then, after))
                came.append((here, f"{step.name} -> {str(reply)[:60]}"))
                try:
                    then.view.consistent(after)
                except AssertionError as error:
                    raise AssertionError(f"{error}, after\n{trace(there)}") from None
            next_of[here].add(there)
        next_of[here].discard(here)
        assert next_of[here] or moment.view.status in ENDED, (
            f"a {moment.view.status} process that no party goes on with, after\n{trace(here)}"
        )
    return Explored(len(states), steps, _paths(next_of))


def _paths(next_of: Sequence[set[int]]) -> int:
    """How many complete paths there are; states come after their shortest path, not after all, so this goes by depth
    first."""
    counted: dict[int, int] = {}
    stack = [0]
    while stack:
        here = stack[-1]
        missing = [there for there in next_of[here] if there not in counted]
        if missing:
            stack += missing
        else:
            counted[here] = sum(counted[there] for there in next_of[here]) or 1
            stack.pop()
    return counted[0]
