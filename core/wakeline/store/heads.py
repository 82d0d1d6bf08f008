"""Every field of a session's head: what it says, what sets it, and what each way in which a turn can end does to it.

Invariant: a cell holds words that a test compares with real ends: ``kept``, ``cleared``, ``raised``, ``set``, or
several of them joined by ``or``.
"""

from __future__ import annotations

from dataclasses import dataclass

ENDS = ("commit", "failure", "cancel", "interrupt", "deletion")
"""How a turn ends: it commits; it fails or is abandoned; it is cancelled; it gives way to an arrival; its session is
deleted."""


@dataclass(frozen=True, slots=True)
class HeadField:
    """One row of the table; ``idle``: whether the head of a session with nothing to read may have it."""

    name: str
    content: str
    set_by: str
    commit: str = "kept"
    failure: str = "kept"
    cancel: str = "kept"
    interrupt: str = "kept"
    deletion: str = "cleared"
    idle: bool = True

    def after(self, end: str) -> frozenset[str]:
        """What an end of this kind may do to the field."""
        cell: str = getattr(self, end)
        return frozenset(cell.split(" or "))


HEAD: tuple[HeadField, ...] = (
    HeadField("ag", "the agent", "the first send, create or start that names the session", deletion="kept"),
    HeadField("q", "its queue", "opening"),
    HeadField("salt", "random part of the ids of its turns", "opening"),
    HeadField("ca", "when it was opened (ms)", "opening"),
    HeadField("pa", "the session whose turn opened it", "opening by a turn"),
    HeadField("n", "number of the latest entry", "delivery", commit="kept or raised", deletion="kept"),
    HeadField(
        "turn",
        "the turn there is",
        "an entry without a turn; the end of a turn that leaves entries",
        commit="set or cleared",
        failure="set or cleared",
        cancel="set or cleared",
        interrupt="set",
        idle=False,
    ),
    HeadField(
        "tn",
        "how many turns it had",
        "the start of a turn",
        commit="kept or raised",
        failure="kept or raised",
        cancel="kept or raised",
        interrupt="raised",
    ),
    HeadField("rev", "revision of the history", "commit, append", commit="raised"),
    HeadField("af", "the revision that the latest turn left, where appends alone followed", "append", commit="cleared"),
    HeadField("hn", "number of the latest message", "commit, append", commit="kept or raised"),
    HeadField("fr", "its agent frame", "a commit that switches", commit="kept or set"),
    HeadField(
        "fo",
        "turns in a row that only followed a switch of frames",
        "a commit that switches; admission of any other entry clears it",
        commit="raised or cleared",
        failure="kept or cleared",
        cancel="kept or cleared",
        idle=False,
    ),
    HeadField(
        "half",
        "how many entries a turn takes at most, while a batch that failed is taken in parts",
        "failure of a batch; redrive of what blocks",
        commit="kept or cleared",
        failure="set or kept or cleared",
        cancel="kept or cleared",
        interrupt="kept",
        idle=False,
    ),
    HeadField(
        "hw",
        "the last entry of the batch that is taken in parts",
        "as half",
        commit="kept or cleared",
        failure="set or kept or cleared",
        cancel="kept or cleared",
        interrupt="kept",
        idle=False,
    ),
    HeadField(
        "blk",
        "the entry that blocks it",
        "failure of one entry alone, where its agent blocks; redrive and skip clear it",
        failure="set or kept",
        idle=False,
    ),
    HeadField(
        "ic",
        "how often the entries of its turn were interrupted",
        "interrupt",
        commit="cleared",
        failure="kept or cleared",
        cancel="kept or cleared",
        interrupt="raised",
        idle=False,
    ),
    HeadField(
        "df",
        "when the first entry came that a debounce counts from (ms)",
        "arrival, where its agent debounces; admission clears it",
        commit="set or kept or cleared",
        failure="kept or cleared",
        cancel="kept or cleared",
        interrupt="kept",
        idle=False,
    ),
    HeadField(
        "dl",
        "when the latest entry came that a debounce counts from (ms)",
        "as df",
        commit="set or kept or cleared",
        failure="kept or cleared",
        cancel="kept or cleared",
        interrupt="kept",
        idle=False,
    ),
    HeadField(
        "fd",
        "number of the latest item that its followers were told",
        "a change while the session is followed",
        commit="kept or raised",
        failure="kept or raised",
        cancel="kept or raised",
        interrupt="kept or raised",
        deletion="kept or raised",
    ),
    HeadField("mk", "what its cursors are known by", "the first look of a follower", deletion="kept"),
    HeadField("gone", "when it was deleted (ms)", "deletion", deletion="set"),
    HeadField(
        "cl",
        "how far a deletion has come with old entries",
        "a deletion that needs several steps; its last step clears it",
        deletion="set or kept",
        idle=False,
    ),
    HeadField(
        "lg",
        "of the release before: until when the next turn waits for more",
        "nothing; a key of its own has it",
        commit="kept or cleared",
        failure="kept or cleared",
        cancel="kept or cleared",
        idle=False,
    ),
)


def markdown() -> list[str]:
    """The table as lines of a document."""
    return [
        "## The head of a session",
        (
            "The fields of `sess:<sid>`, and what the end of a turn does to each. Of a failure: a batch is halved, one"
            " entry alone is failed or blocks."
        ),
        "",
        "| field | content | set by | commit | failure | cancel | interrupt | deletion | in an idle head |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| `{f.name}` | {f.content} | {f.set_by} | {' | '.join(getattr(f, end) for end in ENDS)} |"
            f" {'yes' if f.idle else 'no'} |"
            for f in HEAD
        ),
    ]
