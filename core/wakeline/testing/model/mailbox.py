"""The mailbox rule of signals.

Invariant: a name never has both an open wait and a kept signal. At most one wait takes a signal, in the order of
sequence numbers, and no signal is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wakeline.errors import MailboxFull, ReplayConflict
from wakeline.waits.mailbox import MAILBOX_LIMIT


@dataclass(frozen=True, slots=True)
class SentSignal:
    """A signal as recorded: its event's sequence, its name, the sender's id, its content."""

    sequence: int
    name: str
    signal_id: str
    payload: str = ""


@dataclass(slots=True)
class Mailbox:
    """The signals and waits of one process; a wait is any text that is used once."""

    process_id: str = "p_model"
    limit: int = MAILBOX_LIMIT
    sent: list[SentSignal] = field(default_factory=list[SentSignal])
    kept: list[SentSignal] = field(default_factory=list[SentSignal])
    open_waits: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    resolved: dict[str, SentSignal] = field(default_factory=dict[str, SentSignal])
    consumed: dict[str, SentSignal] = field(default_factory=dict[str, SentSignal])
    closed: set[str] = field(default_factory=set[str])

    def deliver(self, name: str, signal_id: str, payload: str = "") -> int:
        """Records a signal, and gives it to the oldest open wait of its name, or keeps it. Returns its sequence.

        The same id and content again returns the first sequence and resolves nothing. Raises `ReplayConflict`,
        `MailboxFull`.
        """
        for earlier in self.sent:
            if (earlier.name, earlier.signal_id) == (name, signal_id):
                if earlier.payload != payload:
                    raise ReplayConflict(process_id=self.process_id, replay_key=signal_id)
                return earlier.sequence
        signal = SentSignal(len(self.sent) + 1, name, signal_id, payload)
        if self._waiting(name) is None and len(self.kept) >= self.limit:
            raise MailboxFull(process_id=self.process_id, limit=self.limit)
        self.sent.append(signal)
        self._place(signal)
        return signal.sequence

    def open(self, wait: str, name: str) -> SentSignal | None:
        """Opens a wait; returns the signal that it takes at once: the oldest kept one of its name.

        A second open of an open, resolved or consumed wait changes nothing. A wait that was given up takes nothing.
        """
        if wait in self.resolved or wait in self.consumed:
            return self.resolved.get(wait) or self.consumed.get(wait)
        if wait in self.closed or (wait, name) in self.open_waits:
            return None
        self.open_waits.append((wait, name))
        oldest = next((signal for signal in self.kept if signal.name == name), None)
        if oldest:
            self.kept.remove(oldest)
            self._place(oldest)
        return oldest

    def consume(self, wait: str) -> SentSignal:
        """Records the signal that resolved a wait; from here on no other wait can get it."""
        self.consumed[wait] = self.resolved.pop(wait)
        return self.consumed[wait]

    def give_up(self, wait: str) -> None:
        """Ends a wait without a value. A signal that resolved it and is not recorded goes back to the head."""
        self.closed.add(wait)
        self.open_waits = [(other, name) for other, name in self.open_waits if other != wait]
        if (signal := self.resolved.pop(wait, None)) is not None:
            self._place(signal)

    def _waiting(self, name: str) -> str | None:
        return next((wait for wait, of in self.open_waits if of == name), None)

    def _place(self, signal: SentSignal) -> None:
        wait = self._waiting(signal.name)
        if wait is None:
            # Sorted, and not just put first: two waits that are given up in any order leave their signals in the order
            # of sending.
            self.kept = sorted([*self.kept, signal], key=lambda kept: kept.sequence)
        else:
            self.open_waits.remove((wait, signal.name))
            self.resolved[wait] = signal
