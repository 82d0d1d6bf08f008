"""The open waits of a run: which tasks of the body wait for which slots, in which groups they resume the process, and
how they are shown.

Invariant: it lives in memory, on one event loop. The store decides what is open there. A slot that two tasks of the
body wait for is opened once, and closed when the last of them gives it up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from wakeline.effects.journal import JournalRow
from wakeline.store.fields import Slot
from wakeline.store.waits import Opened, Wait
from wakeline.values import to_json
from wakeline.waits.kinds import kind_of

SHOWN = 32
"""How many waits a parked process shows; it counts the rest."""


def earlier_slots(slots: Mapping[str, Mapping[str, str]]) -> dict[str, Slot]:
    """The slots that earlier runs opened and that are not closed, of those that a claim brought."""
    if not slots:
        return {}
    read = {slot: Slot(fields) for slot, fields in slots.items()}
    return {slot: found for slot, found in read.items() if found.group is not None and not found.is_given_up}


class OpenWaits:
    """Slots, each with a future and its waiters, and the groups that are not met yet. ``slots`` are those of earlier
    runs, as the claim brought them."""

    def __init__(self, slots: Mapping[str, Mapping[str, str]]) -> None:
        self._earlier = earlier_slots(slots)
        self._given_up: set[str] = set()
        self._answers: dict[str, asyncio.Future[str]] = {}
        self._awaited: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()
        self._opened: set[str] = set()
        self._groups: dict[str, list[str]] = {}
        self._waiters: list[list[str]] = []
        self._labels: dict[str, dict[str, Any]] = {}
        self._there: set[str] = set()
        """Slots that the store said it has, and whose rows are not made yet."""

    def __bool__(self) -> bool:
        return bool(self._groups)

    def __contains__(self, slot: str) -> bool:
        return slot in self._answers

    @property
    def slots(self) -> list[str]:
        """Every slot with a waiter."""
        return list(self._answers)

    def since(self, slot: str, now_ms: int) -> int | None:
        """Since when a body waits for a slot that is about to be waited for: since an earlier run, or now."""
        known = self._earlier.get(slot)
        return now_ms if known is None else known.opened_ms

    def enter(self, slots: Sequence[str]) -> dict[str, asyncio.Future[str]]:
        """Notes a waiter for these slots. It is called before the store answers, because a hint may overtake the
        reply."""
        loop = asyncio.get_running_loop()
        futures = {slot: self._answers.setdefault(slot, loop.create_future()) for slot in slots}
        self._waiters.append(list(futures))
        self._awaited.update(list(futures))
        self._opened.update(list(futures))
        return futures

    def leave(self, slots: Sequence[str]) -> None:
        """Notes that a waiter of these slots is gone. A slot without a waiter is forgotten."""
        self._waiters.remove(list(slots))
        self._awaited.subtract(list(slots))
        gone = {slot for slot in slots if not self._awaited[slot]}
        for slot in gone:
            del self._awaited[slot]
            self._answers.pop(slot, None)
            self._labels.pop(slot, None)
        self._groups = {
            group: left for group, ids in self._groups.items() if (left := [slot for slot in ids if slot not in gone])
        }

    @contextmanager
    def asked(self, slots: Sequence[str], abandoned: Callable[[list[str]], None]) -> Generator[None]:
        """Surrounds a task of the body that asks for these slots, from before the journal is looked at.

        If the task is cancelled meanwhile, it gives them up. ``abandoned`` gets those that are open in the store, of
        this run or an earlier one, and that no other task asks for.
        """
        self._asked.update(slots)
        given_up = False
        try:
            yield
        except asyncio.CancelledError:
            given_up = True
            raise
        finally:
            self._asked.subtract(slots)
            left = [slot for slot in slots if not self._asked[slot]]
            if given_up:
                abandoned([slot for slot in left if slot in self._opened or slot in self._earlier])
            self._opened.difference_update(left)
            for slot in left:
                self._asked.pop(slot, None)

    def known(self, slots: Sequence[str]) -> dict[str, str]:
        """The resolutions (JSON) of the slots that were resolved when the run was claimed. They need not be opened
        again."""
        answers = {slot: self._earlier[slot].resolution for slot in slots if slot in self._earlier}
        return {slot: text for slot, text in answers.items() if text is not None}

    def forget(self, slots: Sequence[str]) -> None:
        """Notes that these are given up: a later wait for one asks the store again."""
        self._given_up.update(slots)
        self._there.difference_update(slots)
        for slot in slots:
            self._earlier.pop(slot, None)

    def is_there(self, slot: str) -> bool:
        """Whether a task waits for this slot, unresolved as far as the run knows, and the store said that it has it."""
        future = self._answers.get(slot)
        return future is not None and not future.done() and slot in self._there

    def consumed(self, slot: str) -> bool:
        """Notes that the row of a slot is made, which closes it. Returns whether the store has the slot until then:
        False also for a second row, which is written when the first has closed it."""
        there = slot in self._there
        self._there.discard(slot)
        return there

    def hinted(self, slot: str, text: str) -> bool:
        """Takes a resolution (JSON) from a hint. False for a wait that was given up: its resolution may belong to
        another wait by now."""
        if slot in self._given_up:
            return False
        self.resolve(slot, text)
        return True

    def group(self, slots: Sequence[str]) -> dict[str, str]:
        """Makes a group of slots that resume the process together; returns the group of each. A slot that an earlier
        run opened keeps its group, and the others join that group."""
        kept = {
            slot: group for slot in slots if slot in self._earlier and (group := self._earlier[slot].group) is not None
        }
        joined = next(iter(kept.values()), slots[0][2:10])
        groups = {slot: kept.get(slot, joined) for slot in slots}
        for group in set(groups.values()):
            others = [slot for slot in self._groups.get(group, []) if slot not in groups]
            self._groups[group] = [
                *others,
                *(slot for slot in slots if groups[slot] == group and slot in self._answers),
            ]
        return groups

    def told(self, wait: Wait, opened: Opened) -> int | None:
        """Takes the store's answer for a slot that was to be opened; returns when it is due (ms), if it is open."""
        if wait.slot not in self:
            return None
        if opened.there:
            self._there.add(wait.slot)
        if opened.state == "open":
            due_ms = int(opened.text) if opened.text else None
            self._label(wait, due_ms)
            return due_ms
        # An existing row (this open is a late duplicate) stands for the resolution that it recorded.
        self.resolve(
            wait.slot,
            to_json(JournalRow.from_json(opened.text).outcome) if opened.state == "journaled" else opened.text,
        )
        return None

    def _label(self, wait: Wait, due_ms: int | None) -> None:
        kind, name = kind_of(wait.kind)
        label: dict[str, Any] = {"kind": kind}
        if name:
            label["name"] = name
        if wait.ordinal:
            label["ordinal"] = wait.ordinal
        if due_ms is not None:
            label["due_ms"] = due_ms
        self._labels[wait.slot] = label

    def resolve(self, slot: str, text: str) -> None:
        """Sets the resolution (JSON) of a slot; the first one counts."""
        future = self._answers.get(slot)
        if future is not None and not future.done():
            future.set_result(text)

    def fail(self, slots: Sequence[str], error: BaseException) -> None:
        """Lets the waiters of these slots raise the error."""
        for slot in slots:
            future = self._answers.get(slot)
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # who waits for several raises the first one, and asks the others no more

    @property
    def all_unresolved(self) -> bool:
        """Whether no waiter of the body can go on."""
        return all(self._unresolved(slots) for slots in self._waiters)

    @property
    def unmet_groups(self) -> list[str]:
        """The groups that are not met; each of them resumes the process."""
        return [group for group, slots in self._groups.items() if self._unresolved(slots)]

    @property
    def early(self) -> list[str]:
        """Slots that resume the process by themselves, even if the rest of their group is open, because a task waits
        for a part of the group."""
        unresolved = {slot for slot, future in self._answers.items() if not future.done()}
        rest_of: dict[str, set[str]] = {}
        for slots in self._groups.values():
            rest = unresolved.intersection(slots)
            rest_of |= dict.fromkeys(rest, rest)
        found: dict[str, None] = {}
        for slots in self._waiters:
            left = unresolved.intersection(slots)
            if any(not rest_of.get(slot, left) <= left for slot in left):
                found |= dict.fromkeys(sorted(left))
        return list(found)

    def _unresolved(self, slots: Sequence[str]) -> bool:
        return any(not self._answers[slot].done() for slot in slots)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds and names of what the process waits for, such as ``signal:go``; the first `SHOWN`."""
        labels = list(self._labels.values())[:SHOWN]
        return tuple(":".join(str(label[part]) for part in ("kind", "name") if part in label) for label in labels)

    @property
    def shown(self) -> str:
        """What the process waits for, as JSON for readers."""
        labels = list(self._labels.values())
        return to_json({"waits": labels[:SHOWN]} | ({"total": len(labels)} if len(labels) > SHOWN else {}))
