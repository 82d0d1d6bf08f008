"""Calls of tailers: what has changed of what a client's waiters wait for, and what its tailer was told since.

Invariant: a tailer only wakes. A waiter reads by itself what became of it, so an item that is lost or comes twice
costs time alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

from wakeline.names import unword
from wakeline.store.calls import Call, Reply, flat

KEPT_MS = 60_000
"""How long the stream of a tailer is kept after its last look, in ms."""
ROWS_AT_ONCE = 256
"""How many rows one call has at most; the scripts' bound."""
TOLD_AT_ONCE = 1000
"""How many items a tailer reads at once."""
What = Literal["end", "event"]
_KNOWN: Mapping[str, What] = {"end": "end", "event": "event"}


class Subject(NamedTuple):
    """What is waited for: the end of a process, or its next event."""

    what: What
    id: str


class ToldItem(NamedTuple):
    """What a tailer was told: something of this id changed, and this is its number now."""

    what: What
    number: int
    id: str

    @property
    def is_over(self) -> bool:
        """Whether nothing follows."""
        return self.what == "end"

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """What the waiters wait for that are told of it. An end is an event, too."""
        event = Subject("event", self.id)
        return (Subject("end", self.id), event) if self.is_over else (event,)


def watch(tailer: str, rows: Sequence[tuple[Subject, int]]) -> Call[list[Subject]]:
    """From now on the tailer is told of these, at most 256, each behind a number. Returns those that have changed
    already."""
    return _call(tailer, rows, ())


def look(tailer: str, rows: Sequence[tuple[Subject, int]], left: Sequence[str]) -> Call[list[Subject]]:
    """The look of the tailer itself: as `watch`, and nothing waits any more for the processes that were ``left``, at
    most 256."""
    return _call(tailer, rows, left, look=True)


def leave(tailer: str, left: Sequence[str]) -> Call[list[Subject]]:
    """The last call of a tailer: nothing waits any more."""
    return _call(tailer, (), left, over=True)


def _call(tailer: str, rows: Sequence[tuple[Subject, int]], left: Sequence[str], **more: bool) -> Call[list[Subject]]:
    args = {
        "tailer": tailer,
        "keep_ms": KEPT_MS,
        "rows": [[one.what, one.id, after] for one, after in rows],
        "left": list(left) or None,
        **more,
    }
    about = (*(one.id for one, _ in rows), *left)
    return Call("tailer_watch", args, lambda reply: [rows[int(place) - 1][0] for place in reply], about=about)


def told(text: str) -> Iterator[ToldItem]:
    """What an item of the stream says; what a later release says beside it is left out."""
    words = text.split(" ")
    for what, number, name in zip(words[::3], words[1::3], words[2::3], strict=False):
        if (known := _KNOWN.get(what)) is not None and number.isdecimal():
            yield ToldItem(known, int(number), unword(name))


def told_after(after: str, reply: Reply) -> tuple[str, list[str]]:
    """The last item of what XREAD gave of one stream, or ``after``; and the texts of all items."""
    streams: Sequence[Any] = (
        list(cast("Mapping[str, Any]", reply).values())
        if isinstance(reply, Mapping)
        else [stream[1] for stream in reply or ()]
    )
    items: list[Any] = [item for stream in streams for item in stream]
    return (items[-1][0] if items else after), [flat(item[1]).get("t", "") for item in items]
