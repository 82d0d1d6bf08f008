"""How a run numbers what its body does: equal calls by their repetition, the waits for one signal by their ordinal.

Invariant: the same body does the same again, so it numbers the same again. A replay finds its records by these numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager

from wakeline.effects.envelope import Envelope, envelope_hash, replay_key
from wakeline.errors import EffectRepeated


class Numbering:
    """Counts of one run, from 1."""

    def __init__(self) -> None:
        self._repetitions: defaultdict[str, int] = defaultdict(int)
        self._ordinals: defaultdict[str, int] = defaultdict(int)
        self._own_keys: set[str] = set()

    def repetition(self, stem: str) -> int:
        """How many times the run has issued a call of this name with these arguments."""
        self._repetitions[stem] += 1
        return self._repetitions[stem]

    def upcoming(self, envelope: Envelope) -> str:
        """What `key_of` would return, without counting."""
        stem = replay_key(envelope.name, envelope_hash(envelope), 0)
        return replay_key(envelope.name, envelope_hash(envelope), self._repetitions.get(stem, 0) + 1)

    def key_of(self, envelope: Envelope, digest: str | None = None) -> str:
        """The replay key of the body's next call of this envelope: name, argument hash (``digest``, if it is known),
        repetition."""
        digest = digest or envelope_hash(envelope)
        return replay_key(envelope.name, digest, self.repetition(replay_key(envelope.name, digest, 0)))

    def ordinal(self, name: str) -> int:
        """The number of the next wait for a signal name."""
        self._ordinals[name] += 1
        return self._ordinals[name]

    def reserve_ordinal(self, name: str, ordinal: int) -> None:
        """Reserves a number that the caller chose for a wait; other waits get the numbers after it."""
        self._ordinals[name] = max(self._ordinals[name], ordinal)

    @contextmanager
    def one_of_its_key(self, process_id: str, key: str) -> Generator[None]:
        """An effect whose caller chose the key, or could have. No other effect may have the key, unless this one fails.
        Raises `EffectRepeated`."""
        if key in self._own_keys:
            raise EffectRepeated(process_id=process_id, replay_key=key)
        self._own_keys.add(key)
        try:
            yield
        except BaseException:
            self._own_keys.discard(key)
            raise
