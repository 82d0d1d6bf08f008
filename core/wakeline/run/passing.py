"""Passes references to attachments on: the receiver of arguments, signals, inputs and results becomes an owner.

Invariant: it is an owner before it can see the reference. Code passes on only what its process or its session owns.
"""

from __future__ import annotations

from wakeline.attachments.attachment import owner_of_process, owner_of_session, references_in
from wakeline.store import attachments
from wakeline.store.awaited import AsyncStore
from wakeline.store.claims import Claim
from wakeline.verbs.attachments import handed


class Passing:
    """Attachments on their way from and to one run."""

    def __init__(self, store: AsyncStore, claim: Claim) -> None:
        self._store = store
        own = owner_of_process(claim.process_id)
        self.owner = owner_of_session(claim.session_id) if claim.session_id is not None else own
        """The owner of what the run puts. The session owns attachments of a turn, because it outlives the turn."""
        self.givers = list(dict.fromkeys((self.owner, own)))
        """The owners whose attachments the run may read and pass on."""

    async def pass_on(self, text: str, to: str, *, partly: bool = False) -> None:
        """Called before a payload of the run goes to a receiver. Raises `AttachmentNotFound`, unless ``partly``. Most
        payloads cost one search of a text."""
        await self._store.run(handed(text, to, self, partly=partly))

    async def take_over(self, text: str, wait_kind: str) -> None:
        """Called before a body sees what it waited for."""
        giver = giver_of(wait_kind)
        ids = references_in(text) if giver is not None else []
        if giver is not None and ids:
            await self._store.execute(attachments.share(ids, [giver], self.owner, partly=True))


def giver_of(wait_kind: str) -> str | None:
    """The giver of a resolution whose references were not passed on when it was sent: a process that ended, or a
    session that answered."""
    kind, _, rest = wait_kind.partition(":")
    if kind == "c":
        return owner_of_process(rest)
    return owner_of_session(rest.partition(":")[2]) if kind == "a" else None
