"""What a run reads of a journal before its body begins.

Invariant: all of it is read before the body begins, so a row that this release does not know is noticed in time. The
loop goes on meanwhile, and a text is not kept beside what was read of it.
"""

from __future__ import annotations

from wakeline.effects.journal import JournalRow
from wakeline.errors import JournalCorrupt
from wakeline.run.pacing import Pacing
from wakeline.store.claims import Claim

AT_ONCE = 1024
"""How many rows are read in one turn of the loop. A claim that brings its journal has fewer, so nothing comes between
the claim and its run."""
MARK = "@"
"""The first letter of the key of a mark, which is no row."""


async def rows_of(claim: Claim) -> dict[str, JournalRow]:
    """The rows of a claim, read in parts. From then on its journal has the keys of rows alone, because the rows have
    all that their texts say. Raises `JournalCorrupt`."""
    texts = {key: text for key, text in claim.journal.items() if not key.startswith(MARK)}
    pacing = Pacing()
    pacing.changed = lambda: None

    def read(key: str) -> JournalRow:
        claim.journal[key] = ""
        return row_of(claim.process_id, key, texts.pop(key))

    keys = list(texts)
    return dict(zip(keys, await pacing.each(keys, read, at_once=AT_ONCE), strict=True))


def row_of(process_id: str, key: str, text: str) -> JournalRow:
    """The row of a text; raises `JournalCorrupt`."""
    try:
        return JournalRow.from_json(text)
    except ValueError as error:
        raise JournalCorrupt(process_id=process_id, replay_key=key) from error
