"""What a run did and does: each effect is looked up here, performed if it is new, and recorded under the run's fence.

Invariant: a recorded effect is never performed again, and nothing is recorded for a run that has lost its lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import replace
from typing import Any

from wakeline.clock import Clock
from wakeline.effects.envelope import Envelope
from wakeline.effects.journal import JournalRow
from wakeline.errors import LeaseLost, ReplayMismatch, Stopped, StoreError, WakelineError
from wakeline.processes.misfit import MisfitKind
from wakeline.run.asides import Asides, inside_effect
from wakeline.run.fitting import Fitting, being_handled
from wakeline.run.guards import UNGUARDED, AskingGuard, GivingUpGuard, MarkGuard, ReadingGuard
from wakeline.run.life import Life
from wakeline.run.numbering import Numbering
from wakeline.run.replay import Replay
from wakeline.run.setbacks import failed_attempt
from wakeline.run.tries import told
from wakeline.run.unwritten import Unwritten
from wakeline.shown import logger
from wakeline.store import journal
from wakeline.store.approvals import Ask
from wakeline.store.awaited import AsyncStore
from wakeline.store.claims import Claim
from wakeline.store.journal import Effect, Row
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import Try
from wakeline.tools.tool import current_body
from wakeline.values import MAX_PAYLOAD, check_size

Writing = Callable[[Callable[[Any], Row]], Awaitable[Any]]
"""A store verb that writes the row of its effect itself. It gets the function that makes a row from an outcome, and
returns the outcome."""
log = logger("wakeline.runner")
AT_ONCE = 256
"""How many waits or rows one script gets at most, and how many verbs of one run are on their way to the server."""


class Journal:
    """The effects of one run. ``blocking``: the body is a plain function, which asks for one effect at a time."""

    def __init__(
        self,
        store: AsyncStore,
        claim: Claim,
        life: Life,
        replay: Replay,
        asides: Asides,
        fitting: Fitting,
        *,
        clock: Clock,
        instruments: Instruments,
        blocking: bool,
    ) -> None:
        self._store, self._claim, self._life = store, claim, life
        self._process_id = claim.process_id
        self._clock, self.instruments, self._blocking = clock, instruments, blocking
        self._fitting = fitting
        self.replay = replay
        self.asides = asides
        self._asking = AskingGuard(fitting, self._unfit)
        self._numbers = Numbering()
        self.side_by_side = 0
        """The number of batches under way. During a batch a blocking body too may have several calls to issue."""
        self.unwritten = Unwritten()
        self._room: asyncio.Semaphore | None = None
        """For verbs that write their rows themselves: each has its text in memory."""
        self._giving_up: asyncio.Lock | None = None  # one task writes for all that wait to act
        self.has_acted = False
        """Whether this run has recorded something new, or waits for something new."""

    @property
    def rows(self) -> Mapping[str, JournalRow]:
        """The recorded rows by replay key."""
        return self.replay.rows

    def key_of(self, envelope: Envelope, digest: str | None = None) -> str:
        """The replay key of the body's next call of this envelope."""
        return self.replay.key_of(self._numbers.key_of(envelope, digest), envelope)

    def asking_key(self, envelope: Envelope, asks: str, *, fresh: bool) -> str | None:
        """The key of the row of a start of a tool. Calls that run apart and starts by themselves are numbered together,
        in order, and the row says which of the two it is. None if there is no row, unless a new one may be made
        (``fresh``)."""
        known = self.replay.asked.get(asks)
        if known is not None or not (fresh or envelope.name in self.replay.unsaid):
            return known
        while True:
            key = self.replay.key_of(self._numbers.upcoming(envelope), envelope)
            row = self.rows.get(key)
            if row is None and not fresh:
                return None
            self._numbers.key_of(envelope)
            if row is None or row.asks is None:  # free, or of the release before, which numbered in the same way
                return key

    def is_recorded(self, envelope: Envelope) -> bool:
        """Whether the body's next call of this envelope has a row."""
        return self._numbers.upcoming(envelope) in self.rows

    def one_of_its_key(self, key: str) -> AbstractContextManager[None]:
        """An effect whose key no other effect of this run has, unless that one failed; raises `EffectRepeated`."""
        return self._numbers.one_of_its_key(self._process_id, key)

    def repetition(self, stem: str) -> int:
        """How many times the body has asked for this, including now."""
        return self._numbers.repetition(stem)

    def ordinal(self, signal: str, chosen: int | None = None) -> int:
        """The number of the next wait for a signal; or the number that the caller chose, which is not given again."""
        if chosen is None:
            return self._numbers.ordinal(signal)
        self._numbers.reserve_ordinal(signal, chosen)
        return chosen

    @property
    def names(self) -> Collection[str]:
        """The names of all that is recorded."""
        return self.replay.names

    def known_as(self, name: str, was: Sequence[str], prefixes: Sequence[str] = ("call:", "start:")) -> str:
        """The name of a tool, an engine or a step in this process: one that it has used before, or else the oldest."""
        return self.replay.known_as(name, was, prefixes)

    def used(self, names: Sequence[str], prefixes: Sequence[str]) -> str | None:
        """The first of these names that a row of this process has behind one of the prefixes."""
        return self.replay.used(names, prefixes)

    def belongs_to(self, body: asyncio.Task[Any]) -> None:
        """Sets the task of the body. All other tasks ask beside it."""
        self.asides.body = self._life.body = body

    def lose(self, task: asyncio.Task[Any]) -> None:
        """A race cancels one of its contenders."""
        self.asides.lose(task)

    @property
    def is_replaying(self) -> bool:
        """Whether the body has not come to the end of what it did before."""
        return self.replay.replaying

    @property
    def last_at_ms(self) -> int:
        """When the latest outcome that the body has was recorded; 0 before there is one."""
        return self.replay.last_at_ms

    # -- code that does not fit

    def reading(self, *, of_a_child: bool = False) -> AbstractContextManager[None]:
        """Surrounds the reading of stored data.

        If this release cannot take it, the run ends, because the body would go on from a wrong value. ``of_a_child``: a
        child stored it with the type of its own code, so that code differs, even if the releases have no names.
        """
        return ReadingGuard(self._life) if of_a_child or self._claim.of_several_releases else UNGUARDED

    def asking(self) -> AbstractAsyncContextManager[None]:
        """Surrounds the binding of what the body asks for. If the deploy is at fault that it fails, the run ends."""
        return self._asking

    async def check_sound(self, handled: BaseException | None) -> None:
        """Called when the body asks for something new while it handles this error. Raises `Stopped` if the error says
        that its code is broken."""
        broken = self._fitting.broken(handled) if handled is not None and current_body.get() is not None else None
        if broken is not None:
            raise await self._unfit("bug", broken) from broken

    async def _unfit(self, kind: MisfitKind, error: BaseException) -> Stopped:
        stopped = self._life.unfit(kind, error)
        await self._others_recorded()
        return stopped

    # -- looking up

    def are_new(self, keys: Sequence[str]) -> bool:
        """Whether calls of these keys are new beyond doubt, and need not be looked for."""
        return not self._life.stopping and self._life.parking is None and self.replay.is_behind(keys)

    async def record_of(self, key: str, envelope: Envelope, digest: str, slot: str = "") -> JournalRow | None:
        """The row of a call, in its turn; None if the call is new and may run. Raises if this run may do nothing any
        more, as after a mismatch."""
        life = self._life
        if life.stopping:
            await self._others_recorded()
        life.check()
        if life.parking is not None:
            await life.settled()
            life.check()
        if not slot and self.replay.is_behind((key,)):
            return None
        try:
            return await self.replay.lookup(
                key, envelope, digest, alone=self._blocking and not self.side_by_side, slot=slot
            )
        except ReplayMismatch as mismatch:
            raise await self._unfit("mismatch", mismatch) from mismatch
        finally:
            life.has_looked()

    async def _others_recorded(self) -> None:
        """Waits until effects beside are recorded, because what comes next ends the body and them. It does not wait
        inside of a step, which would wait for itself."""
        if current_body.get() is not None:
            await self._life.in_flight.over()

    # -- performing

    async def effect(
        self,
        kind: str,
        name: str,
        args: Any,
        perform: Callable[[str], Awaitable[Any]],
        *,
        key: str | None = None,
        write: Writing | None = None,
        lazily: bool = False,
        next_ms: Callable[[WakelineError], int] | None = None,
        asks: str | None = None,
        keeps_errors: bool = True,
        tried: Try | None = None,
    ) -> Any:
        """One recordable action. Recorded: its outcome. Else ``perform(replay key)`` runs and its JSON outcome is
        recorded, fenced.

        ``write`` instead of ``perform``: the store verb that writes the row itself, in its own script. ``lazily``: a
        success is recorded with the run's next write. A `WakelineError` that is final is recorded and raised again on
        replay, unless without ``keeps_errors``; any other exception is no outcome. ``next_ms``: of an attempt, what is
        recorded with its error of the next one (`JournalRow.next_ms`). ``asks`` as in `Envelope`.
        ``tried``: which try of which call it is, for instruments.
        """
        envelope = Envelope(kind, name, args, asks)
        digest = envelope.digest
        key = key or self.key_of(envelope, digest)
        place, handled = self.asides.place(), being_handled()
        begun_ms: int | None = None

        def row_of(outcome: Any, error: WakelineError | None = None) -> Row:
            again_ms = next_ms(error) if next_ms is not None and error is not None else None
            n, now, took = self.replay.n_of(key), *self._now_and_took(begun_ms)
            made = JournalRow.of(n, envelope, digest, outcome, error, now, again_ms, place=place, took_ms=took)
            row = self.replay.made(key, made)
            failed = error and failed_attempt(log, self._claim.registration, tried, error, again_ms)
            return replace(row, failed=failed) if failed else row

        with self.giving_up(key), MarkGuard(envelope, key):
            row = await self.record_of(key, envelope, digest)
            if row is not None:
                return row.deliver()
            self._life.check()
            await self.check_sound(handled)
            begun_ms = None if write is not None else self.now_ms()
            # If a verb that writes its row itself is refused, it has done nothing.
            async with UNGUARDED if write is None else self._asking:
                with self._life.in_flight, told(self.instruments, self._process_id, envelope, key, tried):
                    try:
                        return await self._new(
                            key, name, perform, write, row_of, lazily=lazily, keeps_errors=keeps_errors
                        )
                    except LeaseLost:
                        raise self._life.lost() from None

    async def _new(
        self,
        key: str,
        name: str,
        perform: Callable[[str], Awaitable[Any]],
        write: Writing | None,
        row_of: Callable[..., Row],
        *,
        lazily: bool,
        keeps_errors: bool,
    ) -> Any:
        try:
            if write is not None:
                self._room = self._room or asyncio.Semaphore(AT_ONCE)
                async with self._room:
                    outcome = await write(row_of)
                self.has_acted = True
                row_of(outcome)
                return outcome
            if self.unwritten.given_up:
                await self._write_given_up()
            if self.instruments.points:
                self.instruments.point(Phase.effect_before_run, self._process_id)
            with inside_effect(name):
                outcome = await perform(key)
            if self.instruments.points:
                self.instruments.point(Phase.effect_after_run, self._process_id)
            made = row_of(outcome)
            check_size(f"The outcome of {name}", made.text, MAX_PAYLOAD)
        except WakelineError as error:
            if not keeps_errors:
                self.replay.unmade(key)
                raise
            if (
                error.retryable
                or isinstance(error, LeaseLost | StoreError)
                or (write is not None and self._fitting.is_bug(error))
            ):
                raise
            await self.record(row_of(None, error))
            raise
        if lazily:
            self.note(made)
        else:
            await self.record(made)
        return outcome

    def giving_up(self, key: str) -> AbstractContextManager[None]:
        """Surrounds an effect or a wait that the body may give up, for its own timeout for example. That is recorded,
        because a replay has to do the same."""
        return UNGUARDED if key in self.replay.rows else GivingUpGuard(key, self._gave_up)

    def _gave_up(self, key: str, after_ms: int) -> None:
        life = self._life
        if life.is_running and not life.stopping and not self.asides.is_over and not self.replay.was_given_up(key):
            self.unwritten.give_up(key, after_ms)

    async def _write_given_up(self) -> None:
        """Called before code acts that may follow from it. If the worker died then, a body that knew nothing of what it
        gave up could get its outcome now, and act on that too. A verb that writes its own row needs none of this: a
        replay asks for that row before anything new acts."""
        self._giving_up = self._giving_up or asyncio.Lock()
        async with self._giving_up:
            while rows := self.unwritten.with_given_up(AT_ONCE):
                await self._store.execute(journal.record(self._claim.fence, rows))
                self.unwritten.are_written(rows)

    # -- writing

    def note(self, row: Row) -> None:
        """Keeps a row, which travels with the run's next write."""
        self.unwritten.note(row)

    def remember(self, key: str, kind: str, name: str, value: Any) -> None:
        """Records a value with the run's next write (``patched``, a race's winner), without a round trip."""
        envelope = Envelope(kind=kind, name=name, args=None)
        self.note(self.row_of(key, envelope, envelope.digest, value))

    def now_ms(self) -> int:
        """The server's time, as this run follows it."""
        return self._clock.now_ms()

    def _now_and_took(self, begun_ms: int | None) -> tuple[int, int | None]:
        now = self.now_ms()
        return now, None if begun_ms is None else max(0, now - begun_ms)

    def row_of(
        self,
        key: str,
        envelope: Envelope,
        digest: str,
        outcome: Any,
        *,
        place: int | None = None,
        slots: tuple[str, ...] = (),
        there: bool = False,
        begun_ms: int | None = None,
    ) -> Row:
        """The row of an outcome that is known now; ``slots`` are the waits that it closes, which the store is known to
        have if they are ``there``; ``begun_ms``: since when."""
        asked_from = self.asides.place() if place is None else place
        now, took = self._now_and_took(begun_ms)
        n = self.replay.next_n
        row = JournalRow.of(n, envelope, digest, outcome, None, now, place=asked_from, took_ms=took)
        return self.replay.made(key, row, slots, there=there)

    async def record(self, row: Row, asks: Sequence[Ask] = ()) -> None:
        """Writes a row, and the earlier unwritten ones; ``asks`` as in `runs.record`."""
        rows = [*self.unwritten.take(), row]
        await self._store.execute(journal.record(self._claim.fence, rows, asks))
        if self.unwritten.given_up:
            self.unwritten.are_written(rows)
        self.has_acted = True
        if self.instruments.points:
            self.instruments.point(Phase.effect_recorded, self._process_id)

    def effect_of(self, row: Row | None) -> Effect:
        """The fence, the row and the unwritten rows, for a store verb that writes them too."""
        return Effect(self._claim.fence, row, self.unwritten.take())

    async def write_ahead(self) -> None:
        """Writes rows before the verb that would carry them if they are more than one script may touch."""
        try:
            while len(self.unwritten) > AT_ONCE:
                rows = self.unwritten.first(AT_ONCE)
                await self._store.execute(journal.record(self._claim.fence, rows))
                self.unwritten.are_written(rows)
        except LeaseLost:
            raise self._life.lost() from None
