"""What an instrument sees of a stretch of work or of a write: plain values, made where an instrument wants them.

Invariant: an instrument cannot change the work through them. They are frozen, and the work reads nothing back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from wakeline.errors import ControlFlow, WakelineError
from wakeline.fixed import fixed
from wakeline.telemetry.headers import Headers

RunKind = Literal["engine", "tool", "turn", "unknown"]
RunOutcome = Literal[
    "completed", "failed", "cancelled", "parked", "continued", "retried", "released", "abandoned", "lost"
]
Outcome = Literal["completed", "failed", "stopped"]
WaitOutcome = Literal["resolved", "failed", "timed_out", "cancelled"]
EndStatus = Literal["completed", "failed", "cancelled", "abandoned"]
Verb = Literal["start", "signal", "send", "emit", "resolve", "occur", "wake", "leave", "isolate"]
LinkKind = Literal["run", "resumed", "entry", "retried"]


@dataclass(frozen=True, slots=True)
class AroundSeen:
    """What has a beginning and an end: how it ended is known once it is over."""

    process_id: Annotated[str, "the process; empty outside one"]
    name: Annotated[str, "the name of the stretch, such as `process.start_child`"]
    outcome: Annotated[str | None, "how it ended; None while it lasts"] = field(default=None, init=False)
    code: Annotated[str | None, "of a failure: the code of its error, or the name of its class"] = field(
        default=None, init=False
    )

    def over(self, error: BaseException | None) -> None:
        """It is over; ``error``: what left it."""
        self.ended(*outcome_by(error))

    def ended(self, outcome: RunOutcome | Outcome, code: str | None = None) -> None:
        """How it ended. The first end counts."""
        if self.outcome is None:
            object.__setattr__(self, "outcome", outcome)
            object.__setattr__(self, "code", code)


@dataclass(frozen=True, slots=True)
class StretchSeen(AroundSeen):
    """A stretch of a body that has a name: ``with ctx.execution.named_phase(name)``, or one that the product names."""

    outcome: Annotated[Outcome | None, "how it ended; *stopped*: its run ended, or its task was cancelled"] = field(
        default=None, init=False
    )


@dataclass(frozen=True, slots=True)
class EffectSeen(StretchSeen):
    """One try of one effect whose code runs, until its outcome is recorded. A replay of it is not told."""

    name: Annotated[str, "the name in the journal, such as `call:charge`"]
    kind: Annotated[str, "what it is, such as `step`, `tool_call`, `start`, `signal`"]
    replay_key: Annotated[str, "the key of its row in the journal"]
    tool: Annotated[str | None, "of a call: the name of the tool"] = None
    attempt: Annotated[int, "of a call: which try this is, from 1"] = 1
    idempotency_key: Annotated[str | None, "of a call: the key that all its tries share"] = None
    isolated: Annotated[bool, "whether the code runs in a child process, which tells `isolated`"] = False


class Try(NamedTuple):
    """Which try of which call an effect is: the last fields of an `EffectSeen`."""

    tool: str | None
    attempt: int
    idempotency_key: str | None
    isolated: bool


NO_CALL = Try(None, 1, None, False)


@dataclass(frozen=True, slots=True)
class IsolatedSeen(StretchSeen):
    """One call of an isolated tool, told in the child process that runs its code."""

    name: Annotated[str, "the name of the tool"]
    attempt: Annotated[int, "which try this is, from 1"]
    idempotency_key: Annotated[str, "the key that all tries of the call share"]
    headers: Annotated[Headers | None, "what instruments gave it in the worker"] = None


@dataclass(frozen=True, slots=True)
class SendingSeen(StretchSeen):
    """Something is sent that another run will act on. What an instrument gives is stored with it, and that run sees
    it."""

    process_id: Annotated[str, "the process whose run sends it; empty outside one"]
    name: Annotated[str, "of what is sent: of an engine or tool, a signal, an event, a source, an agent"]
    verb: Annotated[
        Verb,
        "what is done. *wake*: a run ends or writes an event, which may wake a session; *leave*: a run lets its"
        " process go, and a later one goes on; *isolate*: a tool's code goes on in a child process. These three send"
        " nothing of their own",
    ]
    target: Annotated[str, "the process, session, wait or occurrence it goes to; empty of starts that are several"]
    queue: Annotated[str | None, "of a start: RQ's name of the queue"] = None
    key: Annotated[str | None, "the key under which a repetition is known, where its sender gave one"] = None


class LinkSeen(NamedTuple):
    """What led to a run beside its start: the headers that were stored then."""

    kind: LinkKind
    headers: Headers


@dataclass(frozen=True, slots=True)
class RunSeen(AroundSeen):
    """One claim of a process: from the moment when the worker has it until its outcome is written."""

    process_id: Annotated[str, "the process"]
    name: Annotated[str, "the engine, tool or agent"]
    kind: Annotated[RunKind, "what the process is"]
    label: Annotated[str | None, "its label"]
    engine_version: Annotated[str | None, "the version of its engine"]
    session_id: Annotated[str | None, "the session whose turn it is"]
    attempt: Annotated[int, "1 for the first try; failed tries and losses since the last progress count"]
    generation: Annotated[int, "how many times it continued as new, plus 1"]
    epoch: Annotated[int, "the number of this claim"]
    owner: Annotated[str, "the worker"]
    created_ms: Annotated[int, "when the process was started, in ms of the server's clock"]
    claimed_ms: Annotated[int, "when the claim was written, in ms of the server's clock"]
    queue: Annotated[str, "RQ's name of its queue"]
    losses: Annotated[int, "runs lost with their workers since the last progress"]
    release: Annotated[str | None, "the release of the code that runs it"]
    parent: Annotated[str | None, "the process whose body started it"]
    originator: Annotated[str | None, "who its chain of starts began with, where that is not the host"]
    resumed_by: Annotated[
        str,
        "why it runs: `start`, `signal:<name>`, `child:<id>`, `timer`, `approval:<name>` and so on by the wait that is"
        " over, `recovered` after a loss, `retry` after a failed attempt, `continued`, `cancel`, `hand_back`; `unknown`"
        " where the claim did not bring its waits",
    ]
    became_runnable_ms: Annotated[int | None, "since when a worker could take it, in ms of the server's clock"]
    queue_ms: Annotated[int, "how long it was queued by then, in all its runs that instruments saw"]
    parked_ms: Annotated[int, "how long it was parked by then, likewise"]
    headers: Annotated[Headers | None, "what instruments gave its start"] = None
    links: Annotated[
        tuple[LinkSeen, ...],
        "what instruments gave what else led to this run: to the run before it, to what resumed it, to each entry of a"
        " turn, to the process that a retry repeats; at most 256",
    ] = ()
    waits: Annotated[tuple[str, ...], "of a park: what it waits for, such as `signal:go`"] = field(
        default=(), init=False
    )
    failure_class: Annotated[str | None, "of a failure: its class, such as `execution`"] = field(
        default=None, init=False
    )
    message: Annotated[str | None, "of a failure: its text"] = field(default=None, init=False)
    error: Annotated[
        BaseException | None,
        "what the body raised, where it failed here. It holds the frames of the body: do not keep it",
    ] = field(default=None, init=False)
    outcome: Annotated[RunOutcome | None, "what became of the process by this run; None while it lasts"] = field(
        default=None, init=False
    )

    def over(self, error: BaseException | None) -> None:
        """A run that ends without an outcome is left to its lease."""
        self.ended("lost", None if error is None else code_of(error))

    def parked(self, waits: tuple[str, ...]) -> None:
        """It let its process go, which waits for these."""
        object.__setattr__(self, "waits", waits)

    def failed(self, failure_class: str, message: str, error: BaseException | None) -> None:
        """What its body failed with."""
        object.__setattr__(self, "failure_class", failure_class)
        object.__setattr__(self, "message", message)
        object.__setattr__(self, "error", error)


class RunEnd:
    """How a run ended, for instruments that want no more of it than this."""

    __slots__ = ("code", "outcome")

    def __init__(self) -> None:
        self.outcome: RunOutcome | None = None
        self.code: str | None = None

    def ended(self, outcome: RunOutcome, code: str | None = None) -> None:
        """How it ended. The first end counts."""
        if self.outcome is None:
            self.outcome, self.code = outcome, code

    def failed(self, failure_class: str, message: str, error: BaseException | None) -> None:
        """Nothing: they want the code alone."""


@fixed
class RanSeen:
    """A run is over: the little of it that is cheap to tell, as counters want it."""

    kind: Annotated[RunKind, "what the process is"]
    name: Annotated[str, "the engine, tool or agent"]
    queue: Annotated[str, "RQ's name of its queue"]
    outcome: Annotated[RunOutcome, "what became of the process by this run"]
    code: Annotated[str | None, "of a failure or a misfit: the code of its error, or the name of its class"]
    seconds: Annotated[float, "from the moment when the worker had it until its outcome was written"]
    lived_s: Annotated[float | None, "of a run with which its process ended: seconds since its start"] = None
    entries: Annotated[int, "of a turn that its session begins: how many entries it reads"] = 0


@fixed
class TriedSeen:
    """One try of an effect that is new is over, likewise."""

    kind: Annotated[str, "what it is, such as `step`, `tool_call`, `start`, `signal`"]
    name: Annotated[str, "the name in the journal, such as `call:charge`"]
    outcome: Annotated[Outcome, "how it ended; *stopped*: its run ended, or its task was cancelled"]
    code: Annotated[str | None, "of a failure: the code of its error, or the name of its class"]
    seconds: Annotated[float, "from before its code ran until its outcome is recorded"]


@fixed
class WaitedSeen:
    """A wait of a body is over. It is told when the body gets the outcome for the first time, and by no replay."""

    kind: Annotated[str, "what it waited for: `signal`, `timer`, `child`, `approval`, `completion` and so on"]
    name: Annotated[str, "of a signal its name, of a child its id, of a question its name"]
    outcome: Annotated[WaitOutcome, "how it ended. A timer that is due is *resolved*, and a wait that is late is not"]
    seconds: Annotated[float, "since a body waited for it first, parked or not, by the server's clock"]


@dataclass(frozen=True, slots=True)
class EndedSeen:
    """A process ended with a run of this worker. An end that no run writes is not told: a deadline, a grace that is
    over, a report from outside."""

    run: Annotated[RunSeen, "its last run, which is over"]
    status: Annotated[EndStatus, "how it ended"]
    code: Annotated[str | None, "of a failure: its code"]
    failure_class: Annotated[str | None, "of a failure: its class"]
    duration_ms: Annotated[int, "from its start to its end"]
    queue_ms: Annotated[int, "how long of that it was queued, in all its runs that instruments saw"]
    parked_ms: Annotated[int, "how long of that it was parked, likewise"]
    attempts: Annotated[int, "which attempt the last one was"]
    losses: Annotated[int, "runs lost with their workers since its last progress"]


@dataclass(frozen=True, slots=True)
class ScriptSeen:
    """One script of Redis that was asked for."""

    name: Annotated[str, "the script"]
    seconds: Annotated[float, "from the call until its reply is read"]
    code: Annotated[str | None, "the code of the error that it raised"]


@dataclass(frozen=True, slots=True)
class TakenSeen:
    """A worker asked for work and got an answer."""

    owner: Annotated[str, "the worker"]
    asked: Annotated[int, "how many processes it had room for"]
    taken: Annotated[int, "how many it got"]


@dataclass(frozen=True, slots=True)
class TickedSeen:
    """A tick of this OS process was done."""

    seconds: Annotated[float, "from its call until its reply is read"]
    fired: Annotated[int, "timers that were due"]
    reaped: Annotated[int, "owners whose lease was over, and whose work was given to others"]
    rung: Annotated[int, "lost doorbells that were rung again"]
    pruned: Annotated[int, "processes that were removed"]
    spared: Annotated[bool, "whether another one ticks, so that this one looked only for what is urgent"]


@dataclass(frozen=True, slots=True)
class BeatSeen:
    """A heartbeat was sent for a worker."""

    owner: Annotated[str, "the worker"]
    seconds: Annotated[float, "from its call until its reply is read, or until it failed"]
    alive: Annotated[bool, "whether the store counts the worker as alive; false also if the beat failed"]


@dataclass(frozen=True, slots=True)
class LostSeen:
    """A supervisor gave the work of a worker away that had ended."""

    owner: Annotated[str, "the worker"]
    killed: Annotated[bool, "whether its supervisor had killed it, so that no loss is counted"]
    handed_on: Annotated[int, "how many processes others go on with"]


@dataclass(frozen=True, slots=True)
class BlockedSeen:
    """A body keeps the event loop of its worker: nothing else runs there meanwhile."""

    process_id: Annotated[str, "the process; empty if it is not known"]
    seconds: Annotated[float, "for how long by now"]
    where: Annotated[str, "the line of user code"]


def outcome_by(error: BaseException | None) -> tuple[Outcome, str | None]:
    """The outcome of a stretch that this error left, and its code."""
    if error is None:
        return "completed", None
    if isinstance(error, ControlFlow | asyncio.CancelledError | GeneratorExit):
        return "stopped", None
    return "failed", code_of(error)


def code_of(error: BaseException) -> str:
    """The code of an error, of a failure's own where it has one; the name of its class for an error of other code."""
    failure = getattr(error, "failure_code", None)
    if isinstance(failure, str):
        return failure
    return error.code if isinstance(error, WakelineError) else type(error).__name__
