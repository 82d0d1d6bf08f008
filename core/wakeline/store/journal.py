"""Rows of a journal: what a run records, what makes a verb an effect of a run, and how all of it is read back.

Invariant: every write carries the fence of its run. A lost fence is `LeaseLost`, before any other error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wakeline.effects.journal import JournalRow
from wakeline.fixed import fixed
from wakeline.processes.lease import Fence
from wakeline.store import stand_ins
from wakeline.store.approvals import Ask
from wakeline.store.calls import Call, Parts, Reply, flat
from wakeline.store.replies import refuse
from wakeline.values import number, to_json

GAP = "\x00"
"""Stands in an outcome for a value that only the script that writes the row knows: a sequence, an incarnation,
entries."""


PARTS_OF_ROW = (("o",), ("x",), ("e",))
"""What of a row is replaced where it is large: outcome, error, arguments. What else it says is read without them."""


@fixed
class FailedAttempt:
    """What the log says of a failed attempt of a call: its number, what failed, and how (an object, as JSON), and in
    how many ms the next one comes; None if none does."""

    number: int
    said: str
    delay_ms: int | None

    def wire(self) -> dict[str, Any]:
        found: dict[str, Any] = {"number": self.number, "said": self.said}
        return found if self.delay_ms is None else found | {"delay_ms": self.delay_ms}


@fixed
class Row:
    """A journal row to write: its replay key, its text, and the slots that it consumed. ``after`` is the text behind
    the gap that the script fills, if there is one. ``there``: the store said that it has these slots, so one that is
    gone, or has no resolution any more, was lost. ``late``: the row whose text is made when it is written, instead of
    ``text``: a body may get thousands of outcomes in one turn of the loop. ``failed``: of a failed attempt, what the
    log gets with it."""

    key: str
    text: str
    slots: tuple[str, ...] = ()
    after: str | None = None
    there: bool = False
    late: JournalRow | None = None
    failed: FailedAttempt | None = None

    def opened(self, *, text: bool = False) -> Row:
        """The row with room for what its script fills in at the `GAP` of its outcome: a number or other JSON, or with
        ``text`` a text. The quotes of the gap tell it from the same letter in a name."""
        before, _, after = self.text.partition(to_json(GAP))
        quote = '"' if text else ""
        return Row(self.key, before + quote, after=quote + after)

    def wire(self) -> dict[str, Any]:
        out: dict[str, Any] = {"k": self.key}
        if self.after is None:
            out["v"] = self.text if self.late is None else self.late.to_json()
        else:
            out["a"], out["b"] = self.text, self.after
        if self.slots:
            out["s"] = self.slots
        if self.there:
            out["there"] = 1
        if self.failed is not None:
            out["failed"] = self.failed.wire()
        return out


@fixed
class Effect:
    """What makes a verb an effect of a run: its fence, its row, and rows consumed since the run's last write."""

    fence: Fence
    row: Row | None = None
    consumed: Sequence[Row] = ()

    def wire(self) -> dict[str, Any]:
        out: dict[str, Any] = {"fence": fence_wire(self.fence)}
        if self.row:
            out["row"] = self.row.wire()
        if self.consumed:
            out["rows"] = [row.wire() for row in self.consumed]
        return out

    @property
    def payloads(self) -> dict[str, str | Parts]:
        """The payloads among what it adds to a call."""
        return rows_of(self.fence)

    @property
    def about(self) -> tuple[str, ...]:
        """What it adds to ``about`` of a call."""
        return (self.fence.process_id,)

    @property
    def grew(self) -> Callable[[int, int], None]:
        """``grew`` of its call."""
        return self.fence.journaled.grew


def rows_of(fence: Fence) -> dict[str, str | Parts]:
    """The payloads among the journal rows of a run."""
    return {"v": Parts(stand_ins.of_journal(fence), PARTS_OF_ROW, or_whole=True)}


def fence_wire(fence: Fence) -> dict[str, Any]:
    said = fence.said
    if not said:
        said |= {"pid": fence.process_id, "inc": fence.incarnation, "ep": str(fence.epoch), "cl": fence.claim_id}
    return {**said, "jb": fence.journaled.length}


def record(fence: Fence, rows: Sequence[Row], asks: Sequence[Ask] = ()) -> Call[None]:
    """Record outcomes; a recorded effect never runs again. ``asks`` are questions that are asked with them.

    Raises `LeaseLost`."""

    def decode(reply: Reply) -> None:
        if reply[0] != "recorded":
            refuse(fence.process_id, reply)

    args: dict[str, Any] = {"pid": fence.process_id, "fence": fence_wire(fence), "rows": [r.wire() for r in rows]}
    if asks:
        args["asks"] = [ask.wire() for ask in asks]
    return Call(
        "journal_record",
        args,
        decode,
        payloads=rows_of(fence),
        about=(fence.process_id,),
        grew=fence.journaled.grew,
    )


def read_journal(fence: Fence) -> Call[tuple[dict[str, str], dict[str, dict[str, str]]]]:
    """Journal and slots of a claimed process; raises `LeaseLost`."""

    def decode(reply: Reply) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        if reply[0] != "rows":
            refuse(fence.process_id, reply)
        return flat(reply[1]), {row[0]: flat(row[1]) for row in reply[2]}

    return Call(
        "journal_read",
        {"pid": fence.process_id, "fence": fence_wire(fence)},
        decode,
        brings=stand_ins.whole,
        about=(fence.process_id,),
    )


@dataclass(frozen=True, slots=True)
class RecordedKey:
    """A replay key of a journal; the number, the kind and the hash of its row, and whether it ended with an error,
    where the row itself says them."""

    key: str
    n: int
    kind: str
    digest: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """A row of a journal as it lies there; ``sizes``: of its payloads that are stored apart, in bytes."""

    key: str
    text: str
    sizes: tuple[int, ...]


def list_keys(process_id: str, cursor: str = "0") -> Call[tuple[str, list[RecordedKey]]]:
    """A part of the keys of a journal, in no order, and where the next part begins, "0" when that was all.

    Raises `ProcessNotFound`, `ProcessNoLongerRetained`."""

    def decode(reply: Reply) -> tuple[str, list[RecordedKey]]:
        if reply[0] != "keys":
            refuse(process_id, reply)
        keys = [RecordedKey(key, number(n), kind, digest, how == "x") for key, n, kind, digest, how in reply[2]]
        return reply[1], keys

    return Call("journal_list", {"pid": process_id, "cursor": cursor}, decode, about=(process_id,))


def list_rows(process_id: str, keys: Sequence[str]) -> Call[list[RecordedRow]]:
    """The rows of at most 256 keys, of the first ones as many as fit into a reply; the text of one that is gone is
    empty. Large payloads stay where they are.

    Raises `ProcessNotFound`, `ProcessNoLongerRetained`."""

    def decode(reply: Reply) -> list[RecordedRow]:
        if reply[0] != "rows":
            refuse(process_id, reply)
        return [RecordedRow(key, text, tuple(map(number, sizes))) for key, text, sizes in reply[1]]

    return Call("journal_list", {"pid": process_id, "keys": list(keys)}, decode, about=(process_id,))
