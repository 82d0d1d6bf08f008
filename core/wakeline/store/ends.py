"""Ends of runs and of processes: finish, cancel, hand back, continue as new.

Invariant: the end of a run is written under its fence, together with the rows that it consumed since its last write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wakeline.processes.events import Terminal
from wakeline.processes.lease import Fence
from wakeline.processes.misfit import Misfit
from wakeline.processes.outputs import to_json as output_json
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Parts, Reply
from wakeline.store.journal import Effect, Row, fence_wire, rows_of
from wakeline.store.replies import refuse
from wakeline.values import content_hash, to_json


def cancel(process_id: str, reason: str, *, grace_ms: int, effect: Effect | None = None) -> Call[str]:
    """Request a cancel; returns the status. An ended process is no error: its status is returned."""
    args: dict[str, Any] = {
        "pid": process_id,
        "reason": to_json({"reason": reason}),
        "grace_ms": grace_ms,
        "sender": effect.wire() if effect else None,
    }

    def decode(reply: Reply) -> str:
        if reply[0] in ("requested", "already", "ended"):
            return str(reply[1])
        refuse(process_id, reply, holder=effect.fence.process_id if effect else process_id)

    payloads, also = (effect.payloads, effect.about) if effect else (None, ())
    grew = effect.grew if effect else None
    return Call("process_cancel", args, decode, payloads=payloads, about=(process_id, *also), grew=grew)


@dataclass(frozen=True, slots=True)
class TurnCommit:
    """What a session's turn commits with its end: the head that it read, the new state (JSON, None = unchanged), and
    messages to append.

    ``frame`` is the agent frame that begins, and ``follow`` the input (JSON) of the turn that follows in it.
    """

    session_id: str
    revision: str
    state: str | None = None
    history: Sequence[str] = ()
    frame: str | None = None
    follow: str | None = None

    def wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {"sid": self.session_id, "rev": self.revision, "history": list(self.history)}
        wire |= {"state": self.state, "frame": self.frame, "follow": self.follow}
        return {name: value for name, value in wire.items() if value is not None}

    @property
    def payloads(self) -> dict[str, str]:
        """The payloads among what it commits."""
        said = stand_ins.of_session(self.session_id)
        return {"state": stand_ins.of_state(self.session_id), "history": said, "follow": said}


def finish(
    process_id: str,
    status: str,
    output: str,
    *,
    canonical: str | None = None,
    fence: Fence | None = None,
    text: str | None = None,
    consumed: Sequence[Row] = (),
    turn: TurnCommit | None = None,
    swallowed: bool = False,
    about: str | None = None,
) -> Call[int]:
    """End a process with its await output (JSON); without a fence only an external one. Returns the sequence of the
    terminal event.

    ``canonical`` is the text by which a repeated end from outside is compared, if it is not the output's text.
    ``about``: what the event says beside the output, members of a JSON object, each behind a comma.

    Raises `LeaseLost`, `ProcessAlreadyTerminal`, `NotExternal`, `HeadConflict`, `ProcessNotFound`.
    """
    args: dict[str, Any] = {
        "pid": process_id,
        "status": status,
        "output": output,
        "hash": content_hash(canonical or output)[:16],
        "text": to_json(text) if text is not None else wake_text(process_id, status, output),
        "fence": fence_wire(fence) if fence else None,
        "external": None if fence else True,
        "swallowed": swallowed or None,
        "about": about,
        "rows": [row.wire() for row in consumed] or None,
    }
    if turn:
        args["turn"] = turn.wire()

    def decode(reply: Reply) -> int:
        if reply[0] == "finished":
            return int(reply[1])
        if reply[0] == "already":
            return int(reply[2])
        refuse(process_id, reply, session_id=turn.session_id if turn else "", expected=turn.revision if turn else "")

    payloads: dict[str, str | Parts] = {"output": stand_ins.of_process(process_id)}
    if fence and consumed:
        payloads |= rows_of(fence)
    if turn:
        payloads |= turn.payloads
    return Call(
        "process_finish",
        args,
        decode,
        payloads=payloads,
        about=(process_id, turn.session_id) if turn else (process_id,),
    )


def release(
    fence: Fence,
    *,
    delay_ms: int = 0,
    attempt: bool = False,
    output: str | None = None,
    consumed: Sequence[Row] = (),
    unrun: bool = False,
    unread: str | None = None,
    misfit: Misfit | None = None,
    refused: bool = False,
    said: str | None = None,
    about: str | None = None,
) -> Call[str]:
    """Hand a run back ('released'), or schedule the next attempt after a failed one. 'exhausted', 'abandoned' and
    'cancelled' (a turn that was asked to end and then raised) mean that the process ended instead.

    ``unrun``: this worker lacks its code and did nothing, so owner-bound work has certainly not acted. ``unread`` is
    the reason why this worker cannot read its stored data; the process keeps it until the next claim. ``misfit`` says
    why its code cannot go on; it is kept and shown until code that fits has gone on. ``refused``: a write of the run
    was refused, so it holds its process only if the store lacks what it was answered; raises `LeaseLost` otherwise.
    ``said``: what the log says of a failed attempt, an object as JSON; ``about`` as in `finish`."""
    args: dict[str, Any] = {
        "pid": fence.process_id,
        "fence": fence_wire(fence),
        "delay_ms": delay_ms,
        "attempt": attempt or None,
        "unrun": unrun or None,
        "unread": unread,
        "refused": refused or None,
        "misfit": misfit.to_json() if misfit is not None else None,
        "output": output,
        "said": said,
        "about": about,
        "text": wake_text(fence.process_id, "failed", output) if output is not None else None,
        "rows": [r.wire() for r in consumed] or None,
    }

    def decode(reply: Reply) -> str:
        if reply[0] in ("released", "exhausted", "abandoned", "cancelled"):
            return str(reply[0])
        refuse(fence.process_id, reply)

    payloads = {"output": stand_ins.of_process(fence.process_id), **rows_of(fence)}
    return Call("process_release", args, decode, payloads=payloads, about=(fence.process_id,))


def continue_as_new(
    fence: Fence, payload: str, consumed: Sequence[Row] = (), *, version: str | None = None, asked: Sequence[str] = ()
) -> Call[int | list[str]]:
    """Start the next generation with a new input and a fresh journal; returns its number. ``version`` is that of its
    engine: '' for none, None as before. ``asked`` are at most 256 slots of questions without a wait, whose tokens
    become void.

    If more than 256 waits are open it returns their ids instead. They have to be closed first, and only the consumed
    rows were written.
    """
    args: dict[str, Any] = {
        "pid": fence.process_id,
        "fence": fence_wire(fence),
        "input": payload,
        "rows": [r.wire() for r in consumed] or None,
        "version": version,
        "asked": list(asked) or None,
    }

    def decode(reply: Reply) -> int | list[str]:
        if reply[0] == "continued":
            return int(reply[1])
        if reply[0] == "open":
            return list(reply[1])
        refuse(fence.process_id, reply)

    payloads = {"input": stand_ins.of_process(fence.process_id), **rows_of(fence)}
    return Call("process_continue", args, decode, payloads=payloads, about=(fence.process_id,))


def ends_wire(process_id: str, end: Terminal) -> dict[str, Any]:
    output = output_json(end.output)
    text = wake_text(process_id, end.state, output)
    return {"status": end.state, "output": output} | ({"text": text} if text is not None else {})


def wake_text(process_id: str, status: str, output: str) -> str | None:
    """The text (JSON) of an end for the session that it wakes; None if the script can make it, because it has the
    output itself."""
    return to_json(f"Process {process_id} {status}: {output}") if stand_ins.is_large(output) else None
