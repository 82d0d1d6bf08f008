"""A tiny model of sessions: every interleaving of a few senders, workers, an operator and time, run against the real
scripts.

Breadth first, until nothing is left to do; states that are equal are explored once. Invariant: what is said of a state
was read from the store after real scripts had run.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from wakeline.observe.entries import entry_of
from wakeline.processes.lease import Fence
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store import claims, ends, entries, owners, sessions, starts
from wakeline.store.calls import Call
from wakeline.store.claims import claim_of
from wakeline.store.ends import TurnCommit
from wakeline.values import to_json

from tests.lua.world import World, ticking
from tests.races.interleavings import FOR_EVER_MS, GRACE_MS, QUEUE, Explored, Step, Store, _plain, _stored
from tests.races.sessions import BOT, FAILED

NOTHING = '{"type":"success","value":null}'
OVER = ("settled", "failed", "undeliverable", "superseded")
WORKERS = 9


@dataclass(frozen=True)
class Worker:
    """A worker's run of a turn, as far as it knows."""

    fence: Fence
    doing: Literal["admit", "end", "over"] = "admit"
    batch: tuple[int, ...] = ()
    dead: bool = False


@dataclass(frozen=True)
class Left:
    """What everybody may still do. ``again``: calls that the network may deliver once more."""

    sends: tuple[str, ...] = ()
    fails: int = 0
    cancels: int = 0
    deletes: int = 0
    deaths: int = 0
    duplicates: int = 0
    skips: int = 1
    runs: tuple[Worker, ...] = ()
    last: tuple[str, str] | None = None


class Seen:
    """One state of the session, and what has to hold in it."""

    def __init__(self, world: World) -> None:
        view = world.do(entries.look(BOT, limit=100))
        self.entries = {entry.n: entry for entry in map(entry_of, view.entries)}
        self.head, self.turn, self.now_ms = dict(view.head.fields), dict(view.turn), view.now_ms
        self.doorbells = world.doorbells()
        self.timers = world.timers()
        rows = [json.loads(row["m"]) for _, row in world.redis.xrange(world.key(f"hist:{BOT}"))]
        self.read = [n for row in rows for n in row["read"]]
        self.revision = self.head.get("rev", "0")

    @property
    def pending(self) -> list[int]:
        return [n for n, entry in self.entries.items() if entry.state not in OVER]

    def consistent(self, left: Left) -> None:
        """What holds after every step."""
        texts = [entry.input for entry in self.entries.values()]
        assert len(texts) == len(set(texts)), f"an input is one entry: {texts}"
        assert self.read == sorted(set(self.read)), f"committed turns read {self.read}"
        assert (
            set(self.read) <= {n for n, entry in self.entries.items() if entry.state == "settled"}
            or "gone" in self.head
        ), "what was read is settled"
        held = [entry for entry in self.entries.values() if entry.state == "admitted"]
        assert {entry.turn for entry in held} <= {self.head.get("turn")}, (
            "an admitted entry belongs to the turn there is"
        )
        if "gone" in self.head:
            assert "turn" not in self.head and not self.pending, "nothing of a deleted session is left to do"
        elif self.pending and "blk" not in self.head:
            self._goes_on(left)
        else:
            assert "turn" not in self.head or self.turn["st"] in ("queued", "running", "waiting"), (
                "no turn that has ended is the session's"
            )

    def _goes_on(self, left: Left) -> None:
        turn = self.head.get("turn")
        assert turn is not None, "entries wait, and no turn is there for them"
        match self.turn["st"]:
            case "queued":
                assert self.doorbells or f"d:{turn}" in self.timers, "a queued turn has a doorbell or a timer"
            case "running":
                [run] = [
                    run for run in left.runs if run.fence.claim_id == self.turn["cl"] and run.fence.process_id == turn
                ]
                assert run.doing != "over" or "cr" in self.turn, "the run that holds the turn knows that it does"
            case other:
                raise AssertionError(f"the session's turn is {other}")


@dataclass(frozen=True)
class Moment:
    """The store at one moment: how to tell it from another, how to come back to it, and what is seen in it."""

    identity: int
    saved: bytes
    view: Any


class SessionStore(Store):
    """The store as a function of a moment and a call, seen as a session."""

    def now(self) -> Any:
        with self._lock:
            for key in [key for key in self._keys if b"notify:" in key]:
                del self._keys[key]
            kept = {key: _stored(item) for key, item in self._keys.items()}
        identity = hash((self.world.now(), _plain({key: item.value for key, item in kept.items()})))
        if identity not in self._moments:
            self._moments[identity] = Moment(identity, pickle.dumps((self.world.now(), kept)), Seen(self.world))  # type: ignore[assignment]
        return self._moments[identity]


def steps(left: Left, seen: Seen) -> Iterator[Step]:
    """Everything that may happen next."""
    if left.sends:
        text, *others = left.sends
        body = to_json({"kind": "input", "input": text, "at_ms": 1})
        address = starts.SessionAddress(BOT, "bot", QUEUE, "salt000000000000")
        yield Step(f"send {text}", sessions.send(address, body, key=text), lambda _: replace(left, sends=tuple(others)))  # type: ignore[arg-type, return-value]
    if seen.doorbells and len(left.runs) < WORKERS:
        n = len(left.runs) + 1
        yield Step(
            f"worker {n} takes",
            claims.take(f"o{n}", f"r{n}", [QUEUE], 1, lease_ms=FOR_EVER_MS),
            lambda reply: _taken(left, reply),
        )  # type: ignore[return-value]
    for i, run in enumerate(left.runs):
        yield from _run(left, i, run, seen)
    turn = seen.head.get("turn")
    if left.cancels and turn:
        yield Step(
            "cancel",
            ends.cancel(turn, "asked", grace_ms=GRACE_MS),
            lambda _: replace(left, cancels=left.cancels - 1),
        )  # type: ignore[return-value]
    if seen.timers:
        yield Step("the grace passes", ticking(lease_ms=FOR_EVER_MS), lambda _: left, GRACE_MS)  # type: ignore[return-value]
    if left.deletes and seen.entries and "gone" not in seen.head:
        yield Step("delete", sessions.delete(BOT), lambda _: replace(left, deletes=left.deletes - 1))  # type: ignore[return-value]
    if left.skips and "blk" in seen.head:
        yield Step("skip", entries.skip(BOT, int(seen.head["blk"])), lambda _: replace(left, skips=left.skips - 1))  # type: ignore[return-value]
    if left.duplicates and left.last:
        script, args = left.last
        yield Step(
            f"{script} again",
            Call(script, json.loads(args), lambda reply: reply),
            lambda _: replace(left, duplicates=left.duplicates - 1, last=None),
        )  # type: ignore[return-value]


def _taken(left: Left, reply: Any) -> Left:
    runs = [Worker(claim_of(row).fence) for row in reply[1]]
    return replace(left, runs=(*left.runs, *runs)) if runs else left


def _run(left: Left, i: int, run: Worker, seen: Seen) -> Iterator[Step]:
    who = f"worker {i + 1}"

    def then(after: Callable[[Any], Worker]) -> Callable[[Any], Any]:
        def heard(reply: Any) -> Left:
            heir = replace(run, doing="over") if reply[0] in ("lost", "head") else after(reply)
            return replace(left, runs=(*left.runs[:i], heir, *left.runs[i + 1 :]))

        return heard

    if run.doing == "admit":

        def admitted(reply: Any) -> Worker:
            assert len(reply) == 7, "a batch is that of a session that is there"
            return replace(run, doing="end", batch=tuple(int(row[0]) for row in reply[3]))

        yield Step(f"{who} admits", sessions.admit(run.fence, BOT, 256), then(admitted))
    if run.doing == "end":
        commit = TurnCommit(BOT, seen.revision, None, [to_json({"role": "agent", "read": run.batch})])
        call = ends.finish(run.fence.process_id, "completed", NOTHING, fence=run.fence, turn=commit)

        def committed(reply: Any) -> Worker:
            assert reply[0] != "finished" or not run.dead, "who was taken for dead commits nothing"
            return replace(run, doing="over")

        yield Step(f"{who} commits", call, then(committed))
        if left.fails:
            failing = ends.finish(run.fence.process_id, "failed", FAILED, fence=run.fence)

            def failed(reply: Any) -> Any:
                return replace(then(lambda _: replace(run, doing="over"))(reply), fails=left.fails - 1)

            yield Step(f"{who} fails", failing, failed)
    if left.deaths and run.doing != "over" and not run.dead:
        dead = replace(
            left, deaths=left.deaths - 1, runs=(*left.runs[:i], replace(run, dead=True), *left.runs[i + 1 :])
        )
        yield Step(f"{who} is taken for dead", owners.reap(run.fence.owner), lambda _: dead)  # type: ignore[return-value]


def explore(left: Left, policy: AdmissionPolicy | None = None) -> Explored:
    """Every interleaving; raises AssertionError with the steps that lead to a state in which an oracle does not
    hold."""
    store = SessionStore()
    world = store.world
    agents = {"bot": policy.wire()} if policy else None
    for n in range(1, WORKERS + 1):
        world.do(owners.register_owner(f"o{n}", [], lease_ms=FOR_EVER_MS, agents=agents))
    world.do(sessions.create(starts.SessionAddress(BOT, "bot", QUEUE, "salt000000000000")))
    states: list[tuple[Any, Left]] = [(store.now(), left)]
    known = {(states[0][0].identity, left): 0}
    came: list[tuple[int, str]] = [(0, "")]
    at, done = 0, 0
    while at < len(states):
        moment, now = states[at]
        last = True
        for step in steps(now, moment.view):
            reply, then = store.after(moment, step)
            found: list[Left] = []
            _check(lambda: found.append(step.heard(reply)), came, at)  # type: ignore[arg-type] # noqa: B023
            after = found[0]
            if after.duplicates and not step.name.endswith("again"):
                after = replace(after, last=(step.call.script, to_json(step.call.args)))
            done += 1
            if (then.identity, after) not in known:
                known[then.identity, after] = len(states)
                states.append((then, after))
                came.append((at, f"{step.name} -> {str(reply)[:60]}"))
                _check(lambda: then.view.consistent(after), came, len(states) - 1)  # noqa: B023
            last = last and known[then.identity, after] == at
        if last:
            left_over = moment.view.pending
            _check(lambda: _nothing(left_over), came, at)  # noqa: B023
        at += 1
    return Explored(len(states), done, 0)


def _nothing(pending: list[int]) -> None:
    assert not pending, f"entries {pending} are left, and no turn takes them"


def _check(holds: Callable[[], None], came: list[tuple[int, str]], at: int) -> None:
    try:
        holds()
    except AssertionError as error:
        names: list[str] = []
        while at:
            at, name = came[at]
            names.append(name)
        trace = "\n".join(f"  {i}. {name}" for i, name in enumerate(reversed(names), 1))
        raise AssertionError(f"{error}, after\n{trace}") from None
