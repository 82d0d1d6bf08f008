"""What passing a reference to an attachment on means: in arguments, signals, inputs and results its receiver becomes an owner.

Invariant: before the receiver can see it; and nobody passes on what he does not own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wakeline.attachments.attachment import owner_of_process, owner_of_session, references_in
from wakeline.store import attachments

if TYPE_CHECKING:
    from wakeline.run.run import Run


def owner_of(run: Run) -> str:
    """Whose are the attachments of running work: a turn's are its session's, which outlives it."""
    session = run.claim.session_id
    return owner_of_session(session) if session is not None else owner_of_process(run.claim.process_id)


def givers_of(run: Run) -> list[str]:
    """Whose attachments running work may read and pass on."""
    return list(dict.fromkeys((owner_of(run), owner_of_process(run.claim.process_id))))


def giver_of(wait_kind: str) -> str | None:
    """Who gave what resolved a wait, where that was not passed on with its sending: a process that ended, a session that answered."""
    kind, _, rest = wait_kind.partition(":")
    if kind == "c":
        return owner_of_process(rest)
    return owner_of_session(rest.partition(":")[2]) if kind == "a" else None


async def pass_on(run: Run, text: str, to: str, *, partly: bool = False) -> None:
    """Before a payload of a run goes to a receiver. Raises `AttachmentNotFound`, unless ``partly``. Most payloads cost one search of a text."""
    ids = references_in(text)
    if ids:
        await run.store.execute(attachments.share(ids, givers_of(run), to, partly=partly))


async def take_over(run: Run, text: str, wait_kind: str) -> None:
    """Before a body sees what it waited for."""
    giver = giver_of(wait_kind)
    ids = references_in(text) if giver is not None else []
    if giver is not None and ids:
        await run.store.execute(attachments.share(ids, [giver], owner_of(run), partly=True))


