"""What an instrument sees of a stretch of work or of a write: plain values, made where an instrument wants them.

Invariant: an instrument cannot change the work through them. They are frozen, and the work reads nothing back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from wakeline.errors import ControlFlow, WakelineError

RunKind = Literal["engine", "tool", "turn", "unknown"]
RunOutcome = Literal[
    "completed", "failed", "cancelled", "parked", "continued", "retried", "released", "abandoned", "lost"
]
Outcome = Literal["completed", "failed", "stopped"]


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
        if error is None:
            self.ended("completed")
        elif isinstance(error, ControlFlow | asyncio.CancelledError | GeneratorExit):
            self.ended("stopped")
        else:
            self.ended("failed", code_of(error))

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
    claimed_ms: Annotated[int, "when the claim was written, in ms of the server's clock"]
    outcome: Annotated[RunOutcome | None, "what became of the process by this run; None while it lasts"] = field(
        default=None, init=False
    )

    def over(self, error: BaseException | None) -> None:
        """A run that ends without an outcome is left to its lease."""
        self.ended("lost", None if error is None else code_of(error))


@dataclass(frozen=True, slots=True)
class ScriptSeen:
    """One script of Redis that was asked for."""

    name: Annotated[str, "the script"]
    seconds: Annotated[float, "from the call until its reply is read"]
    code: Annotated[str | None, "the code of the error that it raised"]


@dataclass(frozen=True, slots=True)
class BlockedSeen:
    """A body keeps the event loop of its worker: nothing else runs there meanwhile."""

    process_id: Annotated[str, "the process; empty if it is not known"]
    seconds: Annotated[float, "for how long by now"]
    where: Annotated[str, "the line of user code"]


def code_of(error: BaseException) -> str:
    """The code of an error, of a failure's own where it has one; the name of its class for an error of other code."""
    failure = getattr(error, "failure_code", None)
    if isinstance(failure, str):
        return failure
    return error.code if isinstance(error, WakelineError) else type(error).__name__
