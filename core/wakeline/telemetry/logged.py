"""What instruments add to the log entries of a process, such as the ids of a trace.

Invariant: log entries know no instrument, and no instrument knows log entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

Teller = Callable[[], Mapping[str, str]]
_tellers: list[Teller] = []


def tell_entries(teller: Teller) -> None:
    """From now on entries of this OS process have what this gives where they are written. It is told once, and raises
    nothing."""
    if teller not in _tellers:
        _tellers.append(teller)


def of_entry() -> Iterator[tuple[str, str]]:
    """What is added to an entry that is written now."""
    for teller in _tellers:
        yield from teller().items()
