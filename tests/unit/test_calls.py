"""Every call of the store says what its client has to know: which arguments are payloads, and whom it is about."""

from __future__ import annotations

import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest
import wakeline.store
from wakeline.attachments.attachment import Attachment
from wakeline.attachments.backend import Blobs
from wakeline.causality import SessionOriginator, SessionScope
from wakeline.environments.spec import EMPTY_ENVIRONMENT, environment
from wakeline.processes.events import Terminal
from wakeline.processes.lease import Fence
from wakeline.processes.outputs import Success
from wakeline.processes.registration import Registration
from wakeline.releases import Declared
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store import (
    approvals,
    attachments,
    choices,
    claims,
    declarations,
    ends,
    entries,
    environments,
    events,
    feed,
    fleet,
    journal,
    keyring,
    metrics,
    owners,
    processes,
    queues,
    rewinds,
    scripts,
    sessions,
    signals,
    starts,
    tails,
    ticks,
    triggers,
    waits,
)
from wakeline.store.calls import Call, Outside
from wakeline.store.ends import TurnCommit
from wakeline.store.events import WakeText
from wakeline.store.journal import Effect, Row
from wakeline.store.rewinds import Answered, Rewind
from wakeline.store.stand_ins import LONGEST_INLINE, replaced
from wakeline.store.starts import SessionAddress, Unique
from wakeline.store.triggers import Delivery, DueSchedule
from wakeline.triggers.occurrence import Occurrence
from wakeline.triggers.schedule import Schedule
from wakeline.triggers.subscription import Subscription, Target

BIG = json.dumps("x" * 100_000)
BIG_OF_FEW_LETTERS = json.dumps("語" * 30_000, ensure_ascii=False)
FENCE = Fence("process-run", "inc00001", 1, "claim-1", "owner-1")
ROW = Row("row-1", BIG, ("slot-1",))
EFFECT = Effect(FENCE, ROW, [ROW])
BOT = SessionAddress("bot/session-1", "bot", "q", "salt")
TURN = TurnCommit("bot/session-1", "3", BIG, [BIG, "1"], "frame-1", BIG)
OCCURRENCE = Occurrence("github.push", "key-1", {"blob": "x" * 100_000})
OF_SESSION = SessionOriginator(scope=SessionScope(session_id="bot/session-2"))
SUBSCRIPTION = Subscription(
    source="github.push", name="s", target=Target(kind="engine", name="job"), originator=OF_SESSION
)
SCHEDULE = Schedule(expression="* * * * *", subscription=SUBSCRIPTION)
DELIVERY = Delivery(OCCURRENCE.id, "sub-1", "reserved", SUBSCRIPTION, OCCURRENCE, 1)
POLICY = AdmissionPolicy()
DECLARED = Declared("app-1", "1", {}, {})


def registration(of: dict[str, Any], **over: Any) -> Registration:
    data = {
        "id": "process-1",
        "input": of,
        "identity": {"kind": "job"},
        "provenance": {"originator": {"type": "host"}},
        "queue": "q",
        "incarnation": "inc00001",
        "recovery": "rerunnable",
        "env_ref": EMPTY_ENVIRONMENT,
    }
    return Registration.from_json(json.dumps(data | over))


ENGINE = {"type": "engine", "kind": "job", "payload": {"text": BIG}}
PREPARED = {"call_id": "c", "tool_id": "tool:t", "tool_name": "t", "args": {"text": BIG}, "prepared": [BIG]}
EXTERNAL = {"type": "external", "metadata": {"text": BIG}}
NO_CODE = {"recovery": "externally_owned", "env_ref": None}


@dataclass
class Made:
    """A call, whom it is about, and which of its arguments stay as long as they are, with the reason."""

    verb: Callable[..., Call[Any]]
    call: Call[Any]
    about: set[str]
    stay: Mapping[str, str]


def made(
    verb: Callable[..., Call[Any]], *args: Any, about: str = "", stay: Mapping[str, str] | None = None, **options: Any
) -> Made:
    return Made(verb, verb(*args, **options), set(about.split()), stay or {})


WAKE_TEXT = "an agent reads it, maybe after its process was pruned (ADR 6)"
CALLS = [
    made(approvals.page, 10, approvals.Place("1700000000000.001", "slot-1")),
    made(approvals.one, "slot-1"),
    made(attachments.intend, "sha256:1", "process:process-1", "redis 1"),
    made(
        attachments.keep,
        Attachment(id="sha256:" + "0" * 64, media_type="text/plain", size=1),
        "process:process-1",
        "redis 1",
    ),
    made(attachments.read, "sha256:1", ["process:process-1"]),
    made(attachments.share, ["sha256:1"], ["process:process-1"], "process:process-2"),
    made(attachments.drop, "sha256:1", "process:process-1"),
    made(attachments.owned, "process:process-1", limit=1),
    made(declarations.write, DECLARED, "named"),
    made(declarations.written, DECLARED),
    made(entries.look, "bot/session-1", about="bot/session-1"),
    made(entries.undeliverable, 9),
    made(entries.redrive, "bot/session-1", 1, about="bot/session-1"),
    made(entries.skip, "bot/session-1", 1, about="bot/session-1"),
    made(
        environments.put,
        environment({"plugin_options": {"a": "x" * 100_000}}),
        stay={"spec": "kept once under its hash, at most 256 KB"},
    ),
    made(environments.read, EMPTY_ENVIRONMENT),
    made(feed.follow, "bot/session-1", None, about="bot/session-1"),
    made(feed.tell, "bot/session-1", "a", "c", BIG, about="bot/session-1"),
    made(feed.append, "bot/session-1", [(BIG, "m1"), ("1", "m2")], about="bot/session-1"),
    made(feed.graph, "bot/session-1", about="bot/session-1"),
    made(owners.register_owner, "owner-1", ["q"], lease_ms=1),
    made(claims.take, "owner-1", "request-1", ["q"], 1, lease_ms=1),
    made(claims.claim, "process-1", 1, "owner-1", "claim-1", lease_ms=1, about="process-1"),
    made(owners.beat, "owner-1", ["claim-1"], lease_ms=1),
    made(owners.reap, "owner-1"),
    made(ticks.tick, beat_ms=1, lease_ms=1, stale_ms=1, retention_ms=1, tombstone_ms=1),
    made(ticks.prune, retention_ms=1, tombstone_ms=1),
    made(ticks.prune_these, [("process-1", "failed", "1")], tombstone_ms=1, about="process-1"),
    made(fleet.read_fleet, ["q"]),
    made(metrics.add_metrics, "owner-1", 1, {"a_total": 2}),
    made(metrics.read_metrics, ["q"]),
    made(queues.declare_queues, "app-1", ["q"]),
    made(queues.list_queues, ["q"]),
    made(queues.pause, "q"),
    made(fleet.probe, "1"),
    made(keyring.introduce, "ns", "rq", "1", only_looks=False),
    made(keyring.rotate, "ns", 1),
    made(starts.register, registration(ENGINE), about="process-1"),
    made(starts.register, registration(EXTERNAL, **NO_CODE), about="process-1"),
    made(
        starts.register,
        registration({"type": "tool_call", "call": PREPARED}, parent="process-2"),
        wake=BOT,
        delivery=DELIVERY.wire(),
        effect=EFFECT,
        about=f"process-1 process-2 process-run bot/session-1 {OCCURRENCE.id}",
    ),
    made(
        starts.with_unique,
        starts.register(registration(ENGINE)),
        Unique("u", "process-2"),
        about="process-1 process-2",
    ),
    made(
        events.append,
        "process-1",
        "said",
        BIG,
        wake=WakeText("x" * 100_000, session_id="bot/session-1"),
        end=Terminal("completed", Success(BIG)),
        effect=EFFECT,
        about="process-1 process-run bot/session-1",
        stay={"input": WAKE_TEXT, "text": WAKE_TEXT},
    ),
    made(
        signals.signal,
        "process-1",
        "go",
        "s1",
        BIG,
        canonical=BIG,
        replay_key="k",
        effect=EFFECT,
        about="process-1 process-run",
    ),
    made(ends.cancel, "process-1", "x", grace_ms=1, effect=EFFECT, about="process-1 process-run"),
    made(ends.cancel, "process-1", "x", grace_ms=1, about="process-1"),
    made(
        ends.finish,
        "process-run",
        "completed",
        BIG,
        fence=FENCE,
        consumed=[ROW],
        turn=TURN,
        about="process-run bot/session-1",
        stay={"text": WAKE_TEXT},
    ),
    made(waits.park, FENCE, ["g"], "w", [ROW], about="process-run"),
    made(
        ends.release,
        FENCE,
        attempt=True,
        output=BIG,
        consumed=[ROW],
        about="process-run",
        stay={"text": WAKE_TEXT},
    ),
    made(ends.continue_as_new, FENCE, BIG, [ROW], about="process-run"),
    made(processes.set_external_ref, "process-1", BIG, about="process-1"),
    made(processes.retarget, "process-1", "bot/session-1", about="process-1 bot/session-1"),
    made(processes.read, "process-1", about="process-1"),
    made(processes.read_log, "process-1", count=1, tail=True, about="process-1"),
    made(choices.page, "queued", limit=1),
    made(choices.count, ["queued"], limit=1, parent="p"),
    made(processes.list_page, ["running"], session_id="bot/session-1", about="bot/session-1"),
    made(queues.runs, limit="b:send:ann", most=3),
    made(processes.list_ids, "running", offset=0, limit=1),
    made(processes.index, "running", "kind=engine"),
    made(tails.watch, "t1", [(tails.Subject("end", "process-1"), 0)], about="process-1"),
    made(
        tails.look,
        "t1",
        [(tails.Subject("end", "process-1"), 0)],
        [tails.Subject("feed", "bot/session-1")],
        about="process-1 bot/session-1",
    ),
    made(tails.leave, "t1", [tails.Subject("event", "process-1")], about="process-1"),
    made(rewinds.tell, Rewind("client-1", 1), emptied=False),
    made(Answered.look, Answered()),
    made(journal.record, FENCE, [ROW], about="process-run"),
    made(journal.read_journal, FENCE, about="process-run"),
    made(journal.list_keys, "process-1", about="process-1"),
    made(journal.list_rows, "process-1", ["step:a:1"], about="process-1"),
    made(waits.open_waits, FENCE, [waits.Wait("slot-1", "k", "g", "s:go")], [ROW], about="process-run"),
    made(waits.close_waits, FENCE, ["slot-1"], [ROW], about="process-run"),
    made(waits.read_slots, FENCE, ["slot-1"], about="process-run"),
    made(waits.resolve, "process-1", "inc00001", "slot-1", BIG, about="process-1"),
    made(
        sessions.send,
        BOT,
        json.dumps({"kind": "input", "input": BIG}),
        effect=EFFECT,
        about="bot/session-1 process-run",
    ),
    made(sessions.create, BOT, about="bot/session-1"),
    made(sessions.delete, "bot/session-1", about="bot/session-1"),
    made(sessions.read, "bot/session-1", about="bot/session-1"),
    made(sessions.list_sessions),
    made(sessions.admit, FENCE, "bot/session-1", 1, POLICY, about="process-run bot/session-1"),
    made(sessions.arrivals, EFFECT, "bot/session-1", 1, about="process-run bot/session-1"),
    made(sessions.grant, "scope-1", "process-1", "{}", about="process-1"),
    made(sessions.revoke, "scope-1", "process-1", about="process-1"),
    made(sessions.transfer, "scope-1", "scope-2", ["process-1", "process-2"], about="process-1 process-2"),
    made(sessions.list_grants, "scope-1"),
    made(sessions.grants_of, "process-1", about="process-1"),
    made(triggers.subscribe, SUBSCRIPTION, about="bot/session-2"),
    made(triggers.switch, "github.push", "sub-1", "1", owner="bot/session-2", about="bot/session-2"),
    made(triggers.list_all),
    made(triggers.emit, OCCURRENCE, about=OCCURRENCE.id),
    made(triggers.emit, OCCURRENCE, DueSchedule(SCHEDULE, 1, 2, "process-1"), about=f"{OCCURRENCE.id} process-1"),
    made(triggers.settle, DELIVERY, "started", about=OCCURRENCE.id),
    made(triggers.pending, older_ms=1),
    made(triggers.declare, SCHEDULE),
    made(triggers.remove_schedule, "s"),
]
IDS = {"process-1", "process-2", "process-run", "bot/session-1", "bot/session-2", OCCURRENCE.id}
each = pytest.mark.parametrize("one", CALLS, ids=[f"{n}-{one.verb.__qualname__}" for n, one in enumerate(CALLS)])


def texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in the arguments of a call, each with the name of the argument that it is or is part of."""
    if isinstance(value, Mapping):
        for field, inside in value.items():
            yield from texts(inside, field)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from texts(inside, name)
    elif isinstance(value, str):
        yield name, value


def as_sent(call: Call[Any]) -> Call[Any]:
    """The call as it leaves, on a store that takes every upload."""
    program = replaced(call, Blobs.of("ns", Taking()))
    answer: Any = None
    try:
        while True:
            step = program.send(answer)
            if isinstance(step, Outside):
                answer = step.function()
            else:
                assert isinstance(step, Call)
                answer = None if step.script == "attachment_intend" else "place"
    except StopIteration as done:
        sent: Call[Any] = done.value
        return sent


class Taking:
    """A backend that takes all bytes and keeps none."""

    name, durable = "taking", False

    def put(self, location: str, data: bytes) -> None: ...
    def get(self, location: str) -> bytes | None: ...
    def delete(self, location: str) -> None: ...
    def list(self) -> Iterator[Any]:
        return iter(())

    def close(self) -> None: ...


def verbs() -> set[str]:
    """What makes the calls of the store."""
    found: set[str] = set()
    for module in pkgutil.iter_modules(wakeline.store.__path__):
        if module.name.startswith("__"):
            continue
        for _, one in inspect.getmembers(import_module(f"wakeline.store.{module.name}"), inspect.isfunction):
            returns = str(inspect.signature(one).return_annotation)
            if (
                returns.startswith("Call[")
                and not one.__name__.startswith("_")
                and one.__module__ == f"wakeline.store.{module.name}"
            ):
                found.add(f"{module.name}.{one.__name__}")
    return found


def test_the_table_has_every_verb_and_every_script_that_takes_more_than_names() -> None:
    listed = {f"{one.verb.__module__.rpartition('.')[2]}.{one.verb.__qualname__}" for one in CALLS}
    assert verbs() - listed == {"address.opening"}  # is `keyring.introduce` of an address
    assert set(scripts.names()) - {one.call.script for one in CALLS} == {"attachment_sweep", "attachment_strays"}


@each
def test_a_call_declares_whom_it_is_about(one: Made) -> None:
    assert set(one.call.about) == one.about
    assert {text for _, text in texts(one.call.args) if text in IDS} == one.about


@each
def test_a_call_declares_every_payload_that_it_carries(one: Made) -> None:
    left = {name for name, text in texts(as_sent(one.call).args) if len(text.encode()) > LONGEST_INLINE}
    assert left == set(one.stay)


@pytest.mark.parametrize(
    ("text", "stays"),
    [(json.dumps("x" * 65_534), True), (json.dumps("x" * 65_535), False), (BIG_OF_FEW_LETTERS, False)],
    ids=["64 KB", "over", "few letters"],
)
def test_a_payload_is_measured_in_bytes(text: str, stays: bool) -> None:
    sent = as_sent(signals.signal("process-1", "go", "s1", text, canonical=text, replay_key="k"))
    assert (sent.args["payload"] == text) is stays


def test_only_the_payloads_of_a_registration_are_replaced() -> None:
    sent = json.loads(as_sent(starts.register(registration({"type": "tool_call", "call": PREPARED}))).args["spec"])
    call = sent["input"]["call"]
    assert (set(call["args"]), set(call["prepared"]), call["tool_name"]) == ({"__claim__"}, {"__claim__"}, "t")
