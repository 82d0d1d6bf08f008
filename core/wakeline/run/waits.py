"""What a run waits for: waits that the body asks for, the slots that the run opens for them, and the meaning of their
resolutions.

Invariant: a resolution stays in its slot until its journal row is written, so nothing can be lost. A wait that the body
gives up is closed, so it swallows no signal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar, overload
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter

from wakeline import typed
from wakeline.attachments.attachment import MARK
from wakeline.causality import ExecutionScope
from wakeline.effects.envelope import Envelope, envelope_hash
from wakeline.effects.journal import JournalRow
from wakeline.errors import InvalidDuration, LeaseLost, WaitCancelled, WaitFailed, WaitTimeout
from wakeline.fixed import fixed
from wakeline.processes.schema import schema_hash
from wakeline.run.fitting import being_handled
from wakeline.run.journal import AT_ONCE, Journal
from wakeline.run.life import Life
from wakeline.run.open_waits import OpenWaits
from wakeline.run.passing import Passing
from wakeline.run.tries import waited_seen
from wakeline.store.awaited import AsyncStore
from wakeline.store.claims import Claim
from wakeline.store.journal import Row
from wakeline.store.stand_ins import stands_in
from wakeline.store.waits import GONE, Wait, close_waits, open_waits, read_slots
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.phases import Phase
from wakeline.values import canonical_json, from_json
from wakeline.verbs.options import MISSING
from wakeline.waits.identity import WaitIdentity, key_id
from wakeline.waits.kinds import kind_of
from wakeline.waits.resolutions import Cancelled, Err, Ok, Resolution, TimedOut, resolution_of

R = TypeVar("R")
T = TypeVar("T")
MOST_READ = 4096
"""How many slots one script reads at most."""


@fixed
class WaitFor:
    """One thing to wait for: its identity, the store's word for it, and the longest time."""

    identity: WaitIdentity
    kind: str
    for_ms: int | None = None
    due_ms: int | None = None
    ordinal: int | None = None
    child_incarnation: str | None = None
    schema: tuple[str, str] | None = None
    also: tuple[str, ...] = ()
    event: str | None = None


def schema_of_answer(kind: Any) -> tuple[str, str] | None:
    """Hash and text of the schema that an answer to a wait has to fit; None if any answer fits. Raises `BodyInvalid`
    for what is no type."""
    try:
        made = typed.adapter(kind)
    except Exception:
        typed.check_kind("a wait", kind)  # it says in words why this is no type of an answer
        raise
    if made not in _answers:
        schema = typed.schema_of(kind)
        _answers[made] = (schema_hash(schema), canonical_json(schema)) if schema else None
    return _answers[made]


_answers: WeakKeyDictionary[TypeAdapter[Any], tuple[str, str] | None] = WeakKeyDictionary()
"""What `schema_of_answer` gives for a type, as long as its adapter lives. Each wait asks for it, and a schema takes
longer to make than to open the wait."""


@fixed
class WaitCall:
    """A wait that the body issues: journal key and envelope, target, slot."""

    key: str
    envelope: Envelope
    digest: str
    target: WaitFor
    slot: str

    def wire(self, group: str) -> Wait:
        t = self.target
        bounds = (t.ordinal, t.child_incarnation, t.for_ms, t.due_ms)
        return Wait(self.slot, self.key, group, t.kind, *bounds, t.schema, t.also, t.event)


def _resolution(_: int, resolution: Resolution) -> Any:
    return resolution


class Waits:
    """The waits of one run. ``open`` is what its body waits for now. ``timer`` is called with every moment (ms) at
    which one is due."""

    def __init__(
        self,
        store: AsyncStore,
        claim: Claim,
        life: Life,
        journal: Journal,
        open_waits: OpenWaits,
        passing: Passing,
        *,
        scope: ExecutionScope,
        instruments: Instruments,
        timer: Callable[[int], None],
        changed: Callable[[], None],
    ) -> None:
        self._store, self._claim, self._life, self._journal, self._passing = store, claim, life, journal, passing
        self._scope, self._instruments, self._timer, self._changed = scope, instruments, timer, changed
        self.open = open_waits
        self.asked: set[str] = set()
        """Slots of questions whose tokens are out, and for which the body did not wait yet."""

    def __bool__(self) -> bool:
        """Whether some wait is open."""
        return bool(self.open)

    @property
    def are_all(self) -> bool:
        """Whether only unresolved waits are outstanding, so that the process may park."""
        return bool(self.open) and not self._life.in_flight and self._journal.replay.idle and self.open.all_unresolved

    def hands_out(self, slot: str) -> None:
        """The token of a question is out."""
        self.asked.add(slot)

    def slot_of(self, identity: WaitIdentity) -> str:
        """The id of the slot of a wait."""
        return key_id(self._scope, identity)

    def call(self, kind: str, name: str, args: Any, target: WaitFor, *, key: str | None = None) -> WaitCall:
        """One wait, for `for_all`."""
        envelope = Envelope(kind=kind, name=name, args=args)
        digest = envelope_hash(envelope)
        return WaitCall(
            key or self._journal.key_of(envelope, digest), envelope, digest, target, self.slot_of(target.identity)
        )

    async def asked_in_parts(self, awaited: Sequence[T], call: Callable[[T], WaitCall]) -> list[WaitCall]:
        """The waits for many things; the loop goes on meanwhile."""
        return await self._life.pacing.each(awaited, call)

    @overload
    async def for_all(self, calls: Sequence[WaitCall]) -> list[Resolution]: ...
    @overload
    async def for_all(self, calls: Sequence[WaitCall], read: Callable[[int, Resolution], R]) -> list[R]: ...
    async def for_all(
        self, calls: Sequence[WaitCall], read: Callable[[int, Resolution], Any] = _resolution
    ) -> list[Any]:
        """Waits for all (one group: one resume); returns what ``read`` makes of their resolutions, in order. The
        process parks when nothing else is going on.

        ``read`` gets the number of a call, and must not raise. If the wait is given up (its task is cancelled while the
        run goes on), it closes its slots, so an abandoned wait swallows no signal.
        """
        journal, life = self._journal, self._life
        place, handled = journal.asides.place(), being_handled()
        slots, values, since = [c.slot for c in calls], list[Any](), dict[str, int | None]()
        out: list[Any] = []
        journal.replay.waits_for(slots)
        self.asked.difference_update(slots)
        with journal.giving_up(calls[0].key), self.open.asked(slots, self._give_up):
            rows = await self._records_of(calls)
            missing = [c for c, row in zip(calls, rows, strict=True) if row is None]
            texts: dict[str, str] = {}
            if missing:
                life.check()
                await journal.check_sound(handled)
                since = {c.slot: self.open.since(c.slot, journal.now_ms()) for c in missing}
                texts = await self._open_and_wait(missing)
            for call in missing:
                if MARK in texts[call.slot]:
                    await self._passing.take_over(texts[call.slot], call.target.kind)

            def resolved(i: int) -> Any:
                row = rows[i]
                values.append(from_json(texts[calls[i].slot]) if row is None else row.deliver())
                return read(i, resolution_of(values[i]))

            # What takes time comes before the first row: once one is made, the wait can no longer be given up.
            out = await life.pacing.each(range(len(calls)), resolved)
        for call, row, value in zip(calls, rows, values, strict=True):
            if row is None:
                if self._instruments.waits:
                    waited = waited_seen(call.target.kind, value["status"], since[call.slot], journal.now_ms())
                    self._instruments.waited(waited)
                # The row travels with the run's next write. Until then the slot keeps its resolution, so nothing can be
                # lost.
                slot = call.slot
                journal.note(
                    journal.row_of(
                        call.key,
                        call.envelope,
                        call.digest,
                        value,
                        place=place,
                        slots=(slot,),
                        there=self.open.consumed(slot),
                        begun_ms=since[slot],
                    )
                )
                for read_child in child_read(call, value):
                    journal.note(read_child)
        await journal.write_ahead()
        return out

    async def _records_of(self, calls: Sequence[WaitCall]) -> Sequence[JournalRow | None]:
        if self._journal.are_new([c.key for c in calls]):
            return [None] * len(calls)
        looks = [self._journal.record_of(c.key, c.envelope, c.digest, c.slot) for c in calls]
        # Most wait for one thing, and a task for its look takes a twentieth of a resume.
        return [await looks[0]] if len(looks) == 1 else await asyncio.gather(*looks)

    async def _open_and_wait(self, calls: Sequence[WaitCall]) -> dict[str, str]:
        """Opens slots and waits. A slot that another task of the body waits for already is shared: it is opened once,
        and closed when the last gives it up."""
        known = self.open.known([c.slot for c in calls])
        fresh = [c for c in calls if c.slot not in self.open and c.slot not in known]
        futures = self.open.enter([c.slot for c in calls if c.slot not in known])
        if fresh:
            self._life.in_flight.begin()
            self._life.spawn(self._open_group(fresh))
        try:
            return known | {slot: await asyncio.shield(future) for slot, future in futures.items()}
        finally:
            self.open.leave(list(futures))
            self._changed()

    async def _open_group(self, calls: Sequence[WaitCall]) -> None:
        """Opens a group in a task of the run. If the waiting task gives up, the reply still serves others that share a
        slot with it."""
        slots = [c.slot for c in calls]
        groups = self.open.group(slots)
        try:
            for start in range(0, len(calls), AT_ONCE):
                # Not what was given up meanwhile.
                part = [c.wire(groups[c.slot]) for c in calls[start : start + AT_ONCE] if c.slot in self.open]
                if not part:
                    continue
                found = await self._store.execute(open_waits(self._claim.fence, part, self._journal.unwritten.take()))
                for wait, opened in zip(part, found, strict=True):
                    due_ms = self.open.told(wait, opened)
                    if due_ms is not None:
                        self._timer(due_ms)
            self._journal.has_acted = self._journal.has_acted or any(slot not in self._claim.slots for slot in slots)
            if self._instruments.points:
                self._instruments.point(Phase.wait_opened, self._claim.process_id)
        except asyncio.CancelledError:
            raise
        except LeaseLost:
            self._life.lost()
        except BaseException as error:  # noqa: BLE001 - what waits raises it
            self.open.fail(slots, error)
        finally:
            self._life.in_flight.end()

    def _give_up(self, ids: list[str]) -> None:
        async def close() -> None:
            try:
                for start in range(0, len(ids), AT_ONCE):
                    part = ids[start : start + AT_ONCE]
                    await self._store.execute(close_waits(self._claim.fence, part, self._journal.unwritten.take()))
            except LeaseLost:
                self._life.lost()
            finally:
                self._life.in_flight.end()

        if not ids or not self._life.is_running or self._life.stopping or self._journal.asides.is_over:
            return
        self.open.forget(ids)
        self._life.in_flight.begin()
        task = asyncio.get_running_loop().create_task(close())
        self._life.tasks.add(task)
        task.add_done_callback(self._life.tasks.discard)

    def hinted(self, slot: str, claim_id: str, text: str) -> bool:
        """Takes the resolution (JSON) that a hint brought. False if it cannot be relied on: then the run has to
        `look`."""
        mine = claim_id == self._claim.fence.claim_id and self._life.is_running
        return mine and not stands_in(text) and self.open.hinted(slot, text)

    async def look(self) -> None:
        """Reads the open slots and the cancel mark: after a hint, and at intervals because a hint may be lost."""
        ids = self.open.slots
        for first in range(0, max(len(ids), 1), MOST_READ):
            if not self._life.is_running:
                return
            some = ids[first : first + MOST_READ]
            try:
                reason, texts = await self._store.execute(read_slots(self._claim.fence, some))
            except LeaseLost:
                self._life.lost()
                return
            if reason is not None:
                self._life.cancellation.cancel(reason)
            self._learn(some, texts)

    def _learn(self, slots: Sequence[str], texts: Sequence[str | None]) -> None:
        """What a look read of some slots that were open."""
        for slot, text in zip(slots, texts, strict=True):
            if text == GONE:
                if self.open.is_there(slot):  # the store went back to before it was opened
                    self._life.lost()
            elif text is not None:
                self.open.resolve(slot, text)


def child_read(call: WaitCall, value: Any) -> list[Row]:
    """Notes that a child was read that was awaited under another key than its own, so retention no longer keeps it for
    this parent. ``value`` is the resolution as JSON data."""
    if not call.target.child_incarnation or value["status"] != "ok":
        return []
    _, child = kind_of(call.target.kind)
    return [Row(f"@read:{child}", "1")] if call.key != f"result:{child}" else []


def settle(what: str, resolution: Resolution, kind: Any, default: Any = MISSING) -> Any:
    """A resolution as a value or the error it means."""
    match resolution:
        case Ok(value):
            return typed.load(value, kind, what)
        case Err(code, message, _):
            raise WaitFailed(what=what, failure_code=code, failure_message=message)
        case TimedOut():
            if default is MISSING:
                raise WaitTimeout(what=what)
            return default
        case Cancelled():
            raise WaitCancelled(what=what)


def moment_ms(when: datetime) -> int:
    """A moment (a naive one is local time) in ms since 1970; raises `InvalidDuration` for one before that."""
    try:
        ms = int(when.timestamp() * 1000)
    except (AttributeError, OverflowError, ValueError, OSError) as error:
        raise InvalidDuration(value=when) from error
    if ms < 0:
        raise InvalidDuration(value=when)
    return ms
