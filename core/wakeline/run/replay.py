"""The journal in memory: which calls of a body already have an outcome, and the order in which outcomes are delivered.

Invariant: recorded outcomes reach the body in the order of their recording. A call without a record runs only when the
body has asked for all records, after all that is ready on the loop has run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wakeline.cancellation import CancellationToken
from wakeline.effects.envelope import Envelope, diff_paths, differences
from wakeline.effects.journal import JournalRow
from wakeline.engines.registry import ReplayMode
from wakeline.errors import ReplayConflict, ReplayMismatch
from wakeline.run.asides import Asides
from wakeline.run.open_waits import earlier_slots
from wakeline.run.pacing import Pacing
from wakeline.run.unasked import Unasked, named
from wakeline.shown import logger
from wakeline.store.claims import Claim
from wakeline.store.fields import Slot
from wakeline.store.journal import Row

log = logger("wakeline.run")
TOLD = "@told:"
"""The prefix, in the journal, of the key of the first unasked record: an earlier run has logged it."""
CYCLES = 20
"""How many turns of the loop a body gets to issue the next recorded call before a later one is delivered, and to come
to rest."""


@dataclass(eq=False, slots=True)
class _Held:
    """A call without a record. ``known``: it is a wait that an earlier run opened, so it is not new. ``gone_s``: how
    long the body had waited when it gave it up. ``woken``: it has to look again whether it is held."""

    known: bool
    gone_s: float
    woken: asyncio.Future[int] | None = None


class Replay:
    """The rows of one generation. The body consumes them as it issues their calls. It lives on one event loop.

    ``marks`` has the entries of the journal that are no rows. ``slots`` are the waits that earlier runs left open.
    ``strict``: unasked records are a mismatch; otherwise the log names them. ``excused`` tells whether the body may
    leave out what it did, because it was asked to end, or is tried again after a failure.
    """

    def __init__(
        self,
        process_id: str,
        rows: dict[str, JournalRow],
        marks: Mapping[str, str],
        *,
        patience_s: float,
        slots: Mapping[str, Slot] | None = None,
        asides: Asides | None = None,
        strict: bool = True,
        excused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._process_id = process_id
        self._patience_s = patience_s
        self.rows = rows
        found = self.rows.values()
        self.names = {row.name for row in found} if found else set[str]()
        """The names of all rows."""
        self.asked = {row.asks: key for key, row in self.rows.items() if row.asks is not None} if found else {}
        """For starts of tools, the key of the row of what asked for each."""
        self.unsaid = {row.name for row in found if row.kind == "start" and row.asks is None} if found else set[str]()
        """Names of starts that do not say what asked for them: those of engines, and all rows of the release before."""
        self._left = Unasked(rows, marks, slots or {}, asides)
        self._strict = strict and self._left.is_exact
        self._excused = excused
        self._told = {key for key in marks if key.startswith(TOLD)} if marks else set[str]()
        self.note: Callable[[Row], None] = lambda row: None
        """Takes a row, which travels with the run's next write."""
        self._issued: dict[str, asyncio.Future[None]] = {}
        self._held: list[_Held] = []
        self._had: set[str] = set()
        """The keys whose outcome this run has."""
        self._earlier: set[str] = set()
        self._pump_run = 0
        self._moves = 0
        self._moved: asyncio.Future[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        """Looks whether something moves, while a call is held."""
        self.pacing = Pacing()
        """The tasks of the body."""
        self.last_at_ms = 0
        self.next_n = 1 + max([row.n for row in found]) if found else 1

    @property
    def replaying(self) -> bool:
        """True while the body has not reached the end of what it did before: the last record, and the wait that stands
        open."""
        return self._left.is_ahead

    @property
    def idle(self) -> bool:
        """True when no call of the body waits for the journal."""
        return not self._issued and not self._held and not self.pacing.behind

    def is_behind(self, keys: Sequence[str]) -> bool:
        """Whether calls of these keys are new beyond doubt, because the body has asked for all that was recorded."""
        return self._left.is_nothing and not self._issued and not self._held and self.rows.keys().isdisjoint(keys)

    async def lookup(
        self, key: str, envelope: Envelope, envelope_hash: str, *, alone: bool, slot: str = ""
    ) -> JournalRow | None:
        """The record of a call, in its turn; None if the call is new and may run. ``alone``: the body cannot issue
        anything else meanwhile.

        Raises `ReplayMismatch` for a record with another envelope, and for a call without a record while the body has
        unasked records. Raises `ReplayConflict` for a key that this run used for another call, where no deploy is at
        fault.
        """
        while (other := self._issued.get(key)) is not None:
            await asyncio.wait([other])  # two tasks of the body ask for one outcome, each in its turn
        row = self.rows.get(key)
        if row is not None and row.hash != envelope_hash and not row.is_of(envelope):
            if key in self._had:
                raise ReplayConflict(process_id=self._process_id, replay_key=key)
            raise self._mismatch(envelope, row)
        if row is not None and key in self._left.rows:
            await self._turn_of(key)
            return row
        gone_s = self._left.gone_s(key)
        if gone_s:
            await self._again(_Held(self._left.was_open(slot), gone_s))
        if (row is None or gone_s) and self._left.holds(envelope):
            await self._hold(envelope, _Held(self._left.was_open(slot), gone_s), alone)
        return row

    def was_given_up(self, key: str) -> bool:
        """Whether an earlier run recorded that the body gave this up."""
        return self._left.gone_s(key) > 0

    async def _again(self, held: _Held) -> None:
        """Gives the body the time to give this up again. An effect would act once more, its outcome would lead the body
        elsewhere, and on a wait the process could park. What made the body give it up, such as its own timeout, is not
        stored. Nothing else ends this time: that another effect beside was given up says nothing of this one.
        """
        self._held.append(held)
        try:
            await asyncio.sleep(self._patience_s + held.gone_s)
        finally:
            self._held.remove(held)
            self._move()

    async def _turn_of(self, key: str) -> None:
        future = self._issued[key] = asyncio.get_running_loop().create_future()
        self._left.issued(key)
        self._move()
        self._pump_soon()
        try:
            await future
        except asyncio.CancelledError:
            self._left.take(key)  # it was asked for; its outcome is not delivered
            raise
        finally:
            self._issued.pop(key, None)
            self._move()

    async def _hold(self, envelope: Envelope, held: _Held, alone: bool) -> None:
        self._held.append(held)
        self._move()
        try:
            while self._left.holds(envelope):
                if await self._rest(held, alone) != self._moves:
                    continue
                if held.known:
                    return
                if not any(other.known for other in self._held):  # these may let the body go on
                    self._decide(envelope)
        finally:
            self._held.remove(held)
            self._move()

    async def _rest(self, held: _Held, alone: bool) -> int:
        """Returns once nothing moves, with the number of moves until then; or -1 once it may be held no longer."""
        woken: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        held.woken = woken
        if self._watch is None or self._watch.done():
            # One looks for all that are held: if each of thousands did at every turn, they would keep the loop. It is
            # no task of the body, whose tasks wait for their turn.
            self._watch = asyncio.Task(self._watch_for_rest(alone), loop=asyncio.get_running_loop())
        return await woken

    async def _watch_for_rest(self, alone: bool) -> None:
        while any(held.woken is not None and not held.woken.done() for held in self._held):
            seen = self._moves
            if await self._is_still(seen, alone):
                self._wake(seen)

    def _wake(self, moves: int) -> None:
        for held in self._held:
            if held.woken is not None and not held.woken.done():
                held.woken.set_result(moves)

    async def _is_still(self, seen: int, alone: bool) -> bool:
        """Whether nothing moves: nothing that is ready on the loop, and then, if records are left, nothing within the
        patience."""
        for _ in range(CYCLES):
            await asyncio.sleep(0)
            if self._moves != seen or self._issued or self.pacing.behind:
                return False
        if not alone and self._left.are_missing and not self._excused():
            if self._moved is None or self._moved.done():
                self._moved = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._moved], timeout=self._patience_s + max(held.gone_s for held in self._held))
        return self._moves == seen

    def _move(self) -> None:
        self._moves += 1
        if self._held and self._left.may_hold_less:
            self._wake(-1)
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    def _decide(self, envelope: Envelope) -> None:
        """Decides whether a new effect may act, once nothing moves any more."""
        same = self._left.of_name(envelope.name)
        if same is not None:
            raise self._mismatch(envelope, same)
        if self._left.are_missing and not self._excused():
            mismatch = ReplayMismatch(
                process_id=self._process_id, name=named(envelope), paths=(), total=0, unasked=self._left.missing
            )
            if self._strict:
                raise mismatch
            mark = TOLD + self._left.first_missing
            if mark not in self._told:
                self._told.add(mark)
                self.note(Row(mark, "1"))
                log.warning("%s", mismatch)
        self._left.let_go()

    def known_as(self, name: str, was: Sequence[str], prefixes: Sequence[str] = ("call:", "start:")) -> str:
        """The name by which this process has a tool, an engine or a step: one that it has used before, else the
        oldest."""
        if not was:
            return name
        return self.used((*was, name), prefixes) or was[0]

    def used(self, names: Sequence[str], prefixes: Sequence[str]) -> str | None:
        """The first of these names that a record of this process has behind one of the prefixes."""
        return next((one for one in names if any(prefix + one in self.names for prefix in prefixes)), None)

    def key_of(self, key: str, envelope: Envelope) -> str:
        """The key of a call, or the key under which a release before this one recorded it, with its sets in another
        order."""
        if not self._left.rows or key in self.rows or not envelope.is_marked:
            return key
        earlier = next(
            (other for other in self._left.rows if other not in self._earlier and self.rows[other].is_of(envelope)),
            None,
        )
        if earlier is None:
            return key
        self._earlier.add(earlier)
        return earlier

    def _mismatch(self, envelope: Envelope, row: JournalRow) -> ReplayMismatch:
        recorded = row.envelope
        moved = row.kind == "start" and envelope.kind == "tool_call"
        if moved and recorded is not None:
            recorded = recorded["arguments"]
        paths, total = diff_paths(recorded, envelope.args)
        if not moved and (row.kind, row.name) != (envelope.kind, envelope.name):
            found = [f"recorded {row.kind} {row.name}, asked for {envelope.kind} {envelope.name}"]
        elif recorded is None and envelope.args is not None:
            found = ["args: what was recorded was too long to be kept"]
        else:
            found = differences(recorded, envelope.args)
        return ReplayMismatch(
            process_id=self._process_id, name=envelope.name, paths=paths, total=total, differences=found
        )

    def _pump_soon(self) -> None:
        self._pump_run += 1
        asyncio.get_running_loop().call_soon(self._pump, self._pump_run, CYCLES)

    def _pump(self, run: int, cycles: int) -> None:
        if run != self._pump_run or not self._issued:
            return
        first = next(iter(self._left.rows), None)
        if first is not None and first not in self._issued:
            if cycles:
                left = cycles if self.pacing.behind else cycles - 1
                asyncio.get_running_loop().call_soon(self._pump, run, left)
                return
            # The body does not ask for it now, because it waits for something outside the journal. The oldest one that
            # it asks for comes first.
            first = next((key for key in self._left.rows if key in self._issued), None)
        if first is None:
            return  # what is issued is delivered, to tasks that wait for their turn
        self._consume(first)
        if self._issued:
            self._pump_soon()

    def _consume(self, key: str) -> None:
        self._had.add(key)
        self._left.take(key)
        self.passed(key)
        future = self._issued[key]
        if not future.done():
            future.set_result(None)

    def passed(self, key: str) -> None:
        """The body has this outcome again; this sets its time."""
        self.last_at_ms = max(self.last_at_ms, self.rows[key].at_ms)

    def waits_for(self, slots: Sequence[str]) -> None:
        """Notes that the body waits for these."""
        if self._left.asked(slots):
            self._move()

    def n_of(self, key: str) -> int:
        """The number of a row that is about to be made. Rows are in the order in which effects ended, not in which they
        began."""
        return self.rows[key].n if key in self.rows else self.next_n

    def made(self, key: str, row: JournalRow, slots: tuple[str, ...] = (), *, there: bool = False) -> Row:
        """The row of this run in the form that is written; ``slots`` are the waits that it closes, ``there`` as in
        `Row`."""
        self.rows[key] = row
        self.names.add(row.name)
        self._had.add(key)
        self.last_at_ms = max(self.last_at_ms, row.at_ms)
        self.next_n = max(self.next_n, row.n + 1)
        return Row(key, "", slots, there=there, late=row) if slots else Row(key, row.to_json())

    def unmade(self, key: str) -> None:
        """Notes that the effect of this key was not recorded after all."""
        self.rows.pop(key, None)
        self._had.discard(key)


def replay_of(
    claim: Claim,
    rows: dict[str, JournalRow],
    asides: Asides,
    cancellation: CancellationToken,
    *,
    hold_ms: int,
    mode: ReplayMode,
) -> Replay:
    """The journal of a claim. A process that was asked to end may leave out what it did, and so may a turn that is
    tried again after a failure."""

    def excused() -> bool:
        return cancellation.cancelled or (claim.session_id is not None and claim.has_failed)

    return Replay(
        claim.process_id,
        rows,
        claim.journal,
        patience_s=max(hold_ms, 100) / 1000,
        slots=earlier_slots(claim.slots),
        asides=asides,
        strict=mode == "strict",
        excused=excused,
    )
