"""Calls of tailers: what has changed of what a client's waiters wait for, and what its tailer was told since.

Invariant: a tailer wakes, and may bring the output of an ended incarnation, which never changes. A waiter reads by
itself all else that became of it, so an item that is lost or comes twice costs time alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

from wakeline.errors import InvalidPayload
from wakeline.names import unword
from wakeline.store import stand_ins
from wakeline.store.calls import Call, Reply, flat
from wakeline.store.feed import FOLLOWED_MS
from wakeline.values import Json, from_json

KEPT_MS = 60_000
"""How long the stream of a tailer is kept after its last look, in ms."""
ROWS_AT_ONCE = 256
"""How many rows one call has at most; the scripts' bound."""
TOLD_AT_ONCE = 1000
"""How many items a tailer reads at once."""
What = Literal["end", "event", "feed", "entry"]
_KNOWN: Mapping[str, What] = {"end": "end", "event": "event", "feed": "feed", "entry": "entry"}


class Subject(NamedTuple):
    """What is waited for: the end of a process or its next event, the next item of the feed of a session, or the end
    of an entry's life (``<session>#<n>``)."""

    what: What
    id: str

    @property
    def about(self) -> str:
        """The process or session."""
        return self.id.rpartition("#")[0] if self.what == "entry" else self.id

    @property
    def marked(self) -> Subject:
        """The subject that has the same mark in the store. A process has one for both of its subjects."""
        return Subject("event", self.id) if self.what == "end" else self


class ToldEnd(NamedTuple):
    """The await output (JSON data) with which an incarnation of a process has ended."""

    incarnation: str
    output: Json


class ToldItem(NamedTuple):
    """What a tailer was told: something of this id changed, and this is its number now. ``end``: how a process ended,
    if its output is short."""

    what: What
    number: int
    id: str
    end: ToldEnd | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing follows."""
        return self.what in ("end", "entry")

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """What the waiters wait for that are told of it. An end is an event, too."""
        if self.what == "end":
            return Subject("end", self.id), Subject("event", self.id)
        if self.what == "entry":
            return (Subject("entry", f"{self.id}#{self.number}"),)
        return (Subject(self.what, self.id),)


def watch(tailer: str, rows: Sequence[tuple[Subject, int]]) -> Call[list[Subject]]:
    """From now on the tailer is told of these, at most 256, each behind a number. Returns those that have changed
    already."""
    return _call(tailer, rows, ())


def look(tailer: str, rows: Sequence[tuple[Subject, int]], left: Sequence[Subject]) -> Call[list[Subject]]:
    """The look of the tailer itself: as `watch`, and nothing waits any more for what was ``left``, at most 256."""
    return _call(tailer, rows, left, look=True)


def leave(tailer: str, left: Sequence[Subject]) -> Call[list[Subject]]:
    """The last call of a tailer: nothing waits any more."""
    return _call(tailer, (), left, over=True)


def _call(
    tailer: str, rows: Sequence[tuple[Subject, int]], left: Sequence[Subject], **more: bool
) -> Call[list[Subject]]:
    args = {
        "tailer": tailer,
        "keep_ms": KEPT_MS,
        "followed_ms": FOLLOWED_MS,
        "rows": [[one.what, one.id, after] for one, after in rows],
        "left": [[one.what, one.id] for one in left] or None,
        **more,
    }
    about = (*(one.about for one, _ in rows), *(one.about for one in left))
    return Call("tailer_watch", args, lambda reply: [rows[int(place) - 1][0] for place in reply], about=about)


def told(item: Mapping[str, str]) -> Iterator[ToldItem]:
    """What an item of the stream says; what a later release says beside it is left out."""
    words, outputs = item.get("t", "").split(" "), _outputs(item.get("o"))
    for what, number, name in zip(words[::3], words[1::3], words[2::3], strict=False):
        if (known := _KNOWN.get(what)) is not None and number.isdecimal():
            about = unword(name)
            match outputs.get(about) if known == "end" else None:
                case [str(incarnation), output]:
                    yield ToldItem(known, int(number), about, ToldEnd(incarnation, output))
                case _:
                    yield ToldItem(known, int(number), about)


def _outputs(text: str | None) -> Mapping[str, Json]:
    """The outputs that came with an item, by process; none if one of them is a stand-in, or if they cannot be read."""
    if text is None or stand_ins.stands_in(text):
        return {}
    try:
        found = from_json(text)
    except InvalidPayload:
        return {}
    return cast("Mapping[str, Json]", found) if isinstance(found, dict) else {}


def told_after(after: str, reply: Reply) -> tuple[str, list[dict[str, str]]]:
    """The last item of what XREAD gave of one stream, or ``after``; and the fields of all items."""
    streams: Sequence[Any] = (
        list(cast("Mapping[str, Any]", reply).values())
        if isinstance(reply, Mapping)
        else [stream[1] for stream in reply or ()]
    )
    items: list[Any] = [item for stream in streams for item in stream]
    return (items[-1][0] if items else after), [flat(item[1]) for item in items]
