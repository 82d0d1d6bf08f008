"""The words and letters by which the store tells kinds of things apart: hints, and codes in fields.

Invariant: a test compares the hints with the scripts. Timers, todo rows and waits have their letters in
`wakeline.store.letters`, code has its words in `wakeline.processes.code`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from wakeline.names import unword
from wakeline.processes.inputs import EngineInput, ExternalInput, SessionTurn, ToolCall


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One letter or word: as it is stored, its name, what it says."""

    letters: str
    name: str
    meaning: str


class HintVerb(StrEnum):
    """What a hint says to a worker."""

    BELL = "bell"
    TIMER = "timer"
    SLOT = "slot"
    CANCEL = "cancel"
    LOST = "lost"
    CLAIM = "claim"


HINTS = (
    CodeRow(HintVerb.BELL, "bell", "a queue of the worker has a doorbell"),
    CodeRow(HintVerb.TIMER, "timer", "a timer is due before the next tick: `timer <ms>`"),
    CodeRow(HintVerb.SLOT, "slot", "a wait of a run is resolved: `slot <key id> <claim> <resolution> <pid>`"),
    CodeRow(HintVerb.CANCEL, "cancel", "a run is asked to end: `cancel <claim> <pid>`"),
    CodeRow(HintVerb.LOST, "lost", "a run has lost its process: `lost <claim> <pid>`"),
    CodeRow(HintVerb.CLAIM, "claim", "a process was claimed for the worker: `claim <the claim, as a take brings it>`"),
)
"""Items of ``notify:<owner>``. The release before named no claim, and no resolution where that was long."""

TOLD = (
    CodeRow("end", "end", "a process ended: `end <sequence> <pid>`"),
    CodeRow("event", "event", "a process has an event that is not its end: `event <sequence> <pid>`"),
    CodeRow("feed", "feed", "a session that is followed has an item: `feed <number> <sid>`"),
    CodeRow("entry", "entry", "the life of an entry is over: `entry <n> <sid>`"),
)
"""What a tailer is told of."""

INPUTS: Mapping[type, CodeRow] = {
    ToolCall: CodeRow("t", "tool", "a tool call"),
    EngineInput: CodeRow("e", "engine", "an engine"),
    SessionTurn: CodeRow("s", "session_turn", "a turn of a session"),
    ExternalInput: CodeRow("x", "external", "external work"),
}
"""What a process was started with."""

RECOVERY = (
    CodeRow("b", "owner_bound", "it is never run by another worker: a loss abandons it"),
    CodeRow("x", "externally_owned", "no worker runs it"),
)
"""What the loss of a worker means; without a code another worker runs it."""

ATTACHMENT_OWNERS = (
    CodeRow("process:", "process", "a process"),
    CodeRow("payload:", "payload", "a payload of a process that a stand-in stands for"),
    CodeRow("journal:", "journal", "the journal of a process, one generation of it"),
    CodeRow("session:", "session", "a session"),
    CodeRow("said:", "said", "a payload of a session's inbox or history that a stand-in stands for"),
    CodeRow("state:", "state", "the state of a session"),
    CodeRow("occurrence:", "occurrence", "an occurrence"),
    CodeRow("host", "host", "the host: it keeps them until it gives them up"),
)
"""Owners of attachments: the code, then an id."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A word to one worker, which may get lost. It is about a run by its claim, or by its process alone."""

    verb: str
    due_ms: int | None = None
    slot: str = ""
    claim_id: str | None = None
    process_id: str = ""
    resolution: str | None = None
    """The resolution (JSON) of the slot, where the hint brings it."""
    claim: str = ""
    """The claim (JSON), where the hint brings one."""


CLAIM_HEAD = f"{HintVerb.CLAIM} "


def hint_of(message: str) -> Hint:
    """Reads a hint; one with a verb of a later release is about a run, as all that name one are."""
    if message.startswith(CLAIM_HEAD):
        return Hint(HintVerb.CLAIM, claim=message[len(CLAIM_HEAD) :])
    verb, *words = message.split(" ")
    if verb == HintVerb.BELL or not words:
        return Hint(verb)
    if verb == HintVerb.TIMER:
        return Hint(verb, due_ms=int(words[0]))
    slot = words.pop(0) if verb == HintVerb.SLOT else ""
    # The process comes last, where every release looks for it.
    claim_id = words[0] if len(words) > 1 else None
    resolution = " ".join(words[1:-1]) if slot and claim_id is not None else None
    return Hint(verb, None, slot, claim_id, unword(words[-1]) if words else "", resolution)


def markdown() -> list[str]:
    """The tables as lines of a document."""
    tables = (
        ("Items of `notify:<owner>`", HINTS),
        ("Items of `told:<tailer>`", TOLD),
        ("`k` of `proc:<pid>`", tuple(INPUTS.values())),
        ("`rc` of `proc:<pid>`", RECOVERY),
        ("Owners in `att:<id>` and `atts:<owner>`", ATTACHMENT_OWNERS),
    )
    lines: list[str] = []
    for title, rows in tables:
        lines += ["", f"### {title}", "", "| code | name | what it says |", "|---|---|---|"]
        lines += [f"| `{row.letters}` | {row.name} | {row.meaning} |" for row in rows]
    return lines
