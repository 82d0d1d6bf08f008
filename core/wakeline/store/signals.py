"""Signals: one sent to a process, for the wait that takes it or for the mailbox.

Invariant: a refusal of the script on which only a sender can act is an exception here. Then nothing was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from wakeline.errors import ProcessError, UndeclaredEvent
from wakeline.fixed import fixed
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Reply
from wakeline.store.events import StaleIncarnation
from wakeline.store.journal import Effect
from wakeline.store.replies import refuse
from wakeline.values import content_hash
from wakeline.waits.mailbox import MAILBOX_LIMIT


@fixed
class Signalled:
    """The receipt of a signal: its sequence, and whether a wait took it or the mailbox keeps it ('' for a replay)."""

    sequence: int
    replayed: bool
    taken_by: Literal["slot", "mail", ""]


class SchemaWanted(LookupError):
    """The open wait has another schema than the sender checked: ``schema`` (JSON) and its ``hash``. Nothing was
    written."""

    def __init__(self, schema: str, schema_hash: str) -> None:
        super().__init__(schema_hash)
        self.schema, self.hash = schema, schema_hash


class NoWaitTakesIt(LookupError):
    """The sender's own declarations refuse it, and no open wait takes it. Nothing was written."""


def signal(
    process_id: str,
    name: str,
    signal_id: str,
    payload: str,
    *,
    canonical: str,
    replay_key: str,
    incarnation: str | None = None,
    schema_hash: str | None = None,
    refused: ProcessError | None = None,
    also: Sequence[str] = (),
    effect: Effect | None = None,
) -> Call[Signalled]:
    """Send a signal; ``also`` are its other names that the sender knows.

    Raises like `append`, and `MailboxFull`, `SchemaWanted`, `StaleIncarnation`. Raises `NoWaitTakesIt` if the types
    that the sender knows refuse it (``refused``: an `UndeclaredEvent`, or a misfit) and no open wait takes it.
    """
    args: dict[str, Any] = {
        "pid": process_id,
        "inc": incarnation,
        "name": name,
        "signal_id": signal_id,
        "replay_key": replay_key,
        "hash": content_hash(name, canonical)[:16],
        "payload": payload,
        "schema": schema_hash,
        "also": [{"name": one, "hash": content_hash(one, canonical)[:16]} for one in also] or None,
        "limit": MAILBOX_LIMIT,
        "refused": None if refused is None else "undeclared" if isinstance(refused, UndeclaredEvent) else "misfit",
        "sender": effect.wire() if effect else None,
    }

    def decode(reply: Reply) -> Signalled:
        if reply[0] == "refused":
            raise NoWaitTakesIt(name)
        if reply[0] == "accepted":
            return Signalled(int(reply[1]), False, reply[2])
        if reply[0] == "replayed":
            return Signalled(int(reply[1]), True, "")
        if reply[0] == "recheck":
            raise SchemaWanted(reply[1], reply[2])
        if reply[0] == "stale":
            raise StaleIncarnation(process_id)
        refuse(process_id, reply, replay_key=replay_key, holder=effect.fence.process_id if effect else process_id)

    return Call(
        "process_signal", args, decode,
        payloads={"payload": stand_ins.of_process(process_id), **(effect.payloads if effect else {})},
        about=(process_id, *(effect.about if effect else ())),
        grew=effect.grew if effect else None,
    )  # fmt: skip
