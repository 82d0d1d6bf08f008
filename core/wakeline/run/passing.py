"""What passing a reference to an attachment on means: in arguments, signals, inputs and results its receiver becomes an
owner.

Invariant: before the receiver can see it; and code passes on only what its process or its session owns.
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
        """The owner of what the run puts: a turn's attachments are its session's, which outlives it."""
        self.givers = list(dict.fromkeys((self.owner, own)))
        """The owners whose attachments the run may read and pass on."""

    async def pass_on(self, text: str, to: str, *, partly: bool = False) -> None:
        """Before a payload of the run goes to a receiver. Raises `AttachmentNotFound`, unless ``partly``. Most payloads
        cost one search of a text."""
        await self._store.run(handed(text, to, self, partly=partly))

    async def take_over(self, text: str, wait_kind: str) -> None:
        """Before a body sees what it waited for."""
        giver = giver_of(wait_kind)
        ids = references_in(text) if giver is not None else []
        if giver is not None and ids:
            await self._store.execute(attachments.share(ids, [giver], self.owner, partly=True))


def giver_of(wait_kind: str) -> str | None:
    """Who gave what resolved a wait, where that was not passed on with its sending: a process that ended, a session
    that answered."""
    kind, _, rest = wait_kind.partition(":")
    if kind == "c":
        return owner_of_process(rest)
    return owner_of_session(rest.partition(":")[2]) if kind == "a" else None
