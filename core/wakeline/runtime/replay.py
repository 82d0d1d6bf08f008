"""The journal in memory: which calls of a body already have an outcome, and in which order outcomes are delivered.

Invariant: recorded outcomes reach the body in the order they were recorded; a call that matches no record runs only when no record
of its name is left that it might be a changed version of.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from wakeline.effects.envelope import Envelope, diff_paths
from wakeline.effects.journal import JournalRow
from wakeline.errors import JournalCorrupt, ReplayMismatch
from wakeline.store.processes import Row

_CYCLES = 20
"""Turns of the loop a body gets to issue the next recorded call before a later one is delivered first."""


class Replay:
    """Rows of one generation, consumed as the body issues the calls they belong to. Lives on one event loop."""

    def __init__(self, process_id: str, rows: Mapping[str, str], *, patience_s: float) -> None:
        self._process_id = process_id
        self._patience_s = patience_s
        self.rows: dict[str, JournalRow] = {}
        for key, text in rows.items():
            if not key.startswith("@"):
                try:
                    self.rows[key] = JournalRow.from_json(text)
                except ValueError as error:
                    raise JournalCorrupt(process_id=process_id, replay_key=key) from error
        self._pending = sorted(self.rows, key=lambda key: self.rows[key].n)
        self._names = Counter(name for row in self.rows.values() for name in _names_of(row))
        self.asked = {row.asks: key for key, row in self.rows.items() if row.asks is not None}
        """Of starts of tools: the key of the row of what asked for one."""
        self.unsaid = {row.name for row in self.rows.values() if row.kind == "start" and row.asks is None}
        """Names of starts that do not say what asked for them: of engines, and all that the release before wrote."""
        self._issued: dict[str, asyncio.Future[None]] = {}
        self._held: list[tuple[str, asyncio.Future[None]]] = []
        self._earlier: set[str] = set()
        self._pump_run = 0
        self.last_at_ms = 0
        self.next_n = 1 + max((row.n for row in self.rows.values()), default=0)

    @property
    def replaying(self) -> bool:
        """True while records are left that the body has not asked for again."""
        return bool(self._pending)

    @property
    def idle(self) -> bool:
        """True when no call of the body waits for the journal."""
        return not self._issued and not self._held

    async def lookup(self, key: str, envelope: Envelope, envelope_hash: str, *, alone: bool) -> JournalRow | None:
        """The record of a call, in its turn; None when the call is new and may run. ``alone``: the body cannot issue anything else meanwhile.

        Raises `ReplayMismatch` for the same key with another envelope, and for a call no record fits while records of its name are left.
        """
        while (other := self._issued.get(key)) is not None:
            await asyncio.wait([other])  # two tasks of the body ask for one outcome: each in its turn
        row = self.rows.get(key)
        if row is not None and row.hash != envelope_hash and not row.is_of(envelope):
            raise self._mismatch(envelope, row)
        if row is not None and key in self._pending:
            future = self._issued[key] = asyncio.get_running_loop().create_future()
            self._pump_soon()
            try:
                await future
            finally:
                self._issued.pop(key, None)
            return row
        if row is not None:
            return row
        if self._names[envelope.name]:
            await self._hold(envelope, alone)
        return None

    async def _hold(self, envelope: Envelope, alone: bool) -> None:
        if alone:
            raise self._mismatch(envelope, self._left(envelope.name))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (envelope.name, future)
        self._held.append(entry)
        try:
            while not future.done():
                before = len(self._pending)
                await asyncio.wait([future], timeout=self._patience_s)
                if not future.done() and len(self._pending) == before and not self._issued:
                    raise self._mismatch(envelope, self._left(envelope.name))
        finally:
            self._held.remove(entry)

    def key_of(self, key: str, envelope: Envelope) -> str:
        """The key of a call, or the one that a release before this one recorded it under, with its sets in another order."""
        if not self._pending or key in self.rows or not envelope.is_marked:
            return key
        earlier = next((other for other in self._pending if other not in self._earlier and self.rows[other].is_of(envelope)), None)
        if earlier is None:
            return key
        self._earlier.add(earlier)
        return earlier

    def _left(self, name: str) -> JournalRow | None:
        return next((self.rows[key] for key in self._pending if name in _names_of(self.rows[key])), None)

    def _mismatch(self, envelope: Envelope, row: JournalRow | None) -> ReplayMismatch:
        recorded = row.envelope if row is not None else None
        if row is not None and row.kind == "start" and envelope.kind == "tool_call" and recorded is not None:
            recorded = recorded["arguments"]
        paths, total = diff_paths(recorded, envelope.args)
        return ReplayMismatch(process_id=self._process_id, name=envelope.name, paths=paths, total=total)

    def _pump_soon(self) -> None:
        self._pump_run += 1
        asyncio.get_running_loop().call_soon(self._pump, self._pump_run, _CYCLES)

    def _pump(self, run: int, cycles: int) -> None:
        if run != self._pump_run or not self._issued:
            return
        first = self._pending[0]
        if first not in self._issued:
            if cycles:
                asyncio.get_running_loop().call_soon(self._pump, run, cycles - 1)
                return
            # The body does not ask for it now (it waits for something outside the journal): the oldest it asks for comes first.
            first = next(key for key in self._pending if key in self._issued)
        self._consume(first)
        if self._issued:
            self._pump_soon()

    def _consume(self, key: str) -> None:
        self._pending.remove(key)
        row = self.rows[key]
        self.last_at_ms = max(self.last_at_ms, row.at_ms)
        self._names.subtract(_names_of(row))
        future = self._issued[key]
        if not future.done():
            future.set_result(None)
        for name, held in self._held:
            if not self._names[name] and not held.done():
                held.set_result(None)

    def made(self, key: str, row: JournalRow, slots: tuple[str, ...] = ()) -> Row:
        """A row this run makes, as it is written; ``slots``: what it closes."""
        self.rows[key] = row
        self.last_at_ms = max(self.last_at_ms, row.at_ms)
        self.next_n = max(self.next_n, row.n + 1)
        return Row(key, row.to_json(), slots)


def _names_of(row: JournalRow) -> tuple[str, ...]:
    """The names under which a body may have asked for what is recorded. A call of a tool that ran in a process of its own has the row of a start."""
    if row.kind != "start":
        return (row.name,)
    call = f"call:{row.name.partition(':')[2]}"
    if row.asks is None:
        return (row.name, call)
    return (call,) if row.asks.startswith("call:") else (row.name,)
