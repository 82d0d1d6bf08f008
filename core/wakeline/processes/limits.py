"""Limits: how many processes of a body, of one of its keys, or of a queue run at once, and how many begin in a time.

Invariant: a limit counts runs, so a process that waits has no place. The numbers are those of the release in force. The
limit that a process is under is fixed when it is started.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from wakeline.errors import BodyInvalid, InvalidDuration
from wakeline.processes.selectors import parse_text, select
from wakeline.values import content_hash, format_duration, parse_duration, to_json

LONGEST_KEY = 128
MOST = 1_000_000
_PLAIN_KEY = re.compile(rf"\S{{0,{LONGEST_KEY}}}")
_HASH = re.compile("[0-9a-f]{64}")
_RATE = re.compile(r"([1-9][0-9]{0,6})/(.+)")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``concurrency`` runs at once, and at most ``rate`` (``"100/1m"``) beginnings in any window of that
    length.

    ``burst`` makes the rate a steady pace, of which at most this many may be saved up and begin at once. A window then
    has up to ``burst`` - 1 more.

    ``key`` is a text with ``{argument}`` holes. Each of its values has its own places and rate, so that a thousand
    calls of one customer do not delay those of another.
    """

    concurrency: int | None = None
    rate: str | None = None
    key: str | None = None
    burst: int | None = None

    def check(self, name: str, *, keyed: bool = True, parameters: Collection[str] | None = None) -> Limit:
        """Returns itself. Raises `BodyInvalid` for a limit that limits nothing or cannot be counted. ``parameters`` are
        the names that its key may use, None for any."""
        for reason in [*self._complaints(keyed), *self._unknown(parameters)]:
            raise BodyInvalid(name=name, reason=f"its limit {reason}")
        return self

    def _complaints(self, keyed: bool) -> list[str]:
        found: list[str] = []
        if self.concurrency is None and self.rate is None:
            found.append("has neither a concurrency nor a rate")
        if self.concurrency is not None and not 1 <= self.concurrency <= MOST:
            found.append(f"has a concurrency of {self.concurrency!r}; it has to be 1 to {MOST}")
        if self.rate is not None and self._parsed_rate() is None:
            found.append(f'has the rate {self.rate!r}; a rate is a number and a time, like "100/1m"')
        if self.burst is not None and self.rate is None:
            found.append("has a burst but no rate")
        if self.burst is not None and not 1 <= self.burst <= MOST:
            found.append(f"has a burst of {self.burst!r}; it has to be 1 to {MOST}")
        if self.key is not None and not keyed:
            found.append("is the limit of a queue, and a queue has no arguments: leave the key out")
        return found

    def _unknown(self, parameters: Collection[str] | None) -> list[str]:
        holes = getattr(parse_text(self.key), "fields", {}) if self.key is not None and parameters is not None else {}
        unknown = [hole for hole in holes if hole not in (parameters or ())]
        names = ", ".join(parameters or ()) or "it has none"
        return (
            [f"has the key {self.key!r}, and {', '.join(unknown)} is none of its parameters: {names}"]
            if unknown
            else []
        )

    def _parsed_rate(self) -> tuple[int, int] | None:
        match = _RATE.fullmatch(self.rate or "")
        try:
            window = parse_duration(match[2]) if match else 0
        except InvalidDuration:
            return None
        return (int(match[1]), window) if match and window else None

    def wire(self) -> str:
        """The JSON that scripts read."""
        rate = self._parsed_rate()
        out: dict[str, Any] = {"c": self.concurrency} if self.concurrency is not None else {}
        if rate:
            out |= {"n": rate[0], "w": rate[1]} | ({"b": self.burst} if self.burst is not None else {})
        return to_json(out)

    @classmethod
    def of_wire(cls, wire: Mapping[str, Any]) -> Limit | None:
        """The limit, without its key, that `wire` gave; None for what another release keeps as something else."""
        concurrency, number, window, burst = (wire.get(name) for name in "cnwb")
        rate = f"{number}/{format_duration(window)}" if isinstance(number, int) and isinstance(window, int) else None
        counted = concurrency if isinstance(concurrency, int) else None
        return cls(counted, rate, burst=burst if isinstance(burst, int) else None) if counted or rate else None

    @property
    def described(self) -> str:
        """The limit as a list shows it: ``2 at once, 100 in 1m, bursts of 5``."""
        parts = [f"{self.concurrency} at once"] if self.concurrency is not None else []
        parts += [" in ".join(self.rate.split("/"))] if self.rate is not None else []
        return ", ".join(parts + ([f"bursts of {self.burst}"] if self.burst is not None else []))

    def id_for(self, body: str, arguments: Any) -> str:
        """The id of the limit that a start is under: the body's, or that of its key. Raises `SelectorMiss` if an
        argument of the key is missing."""
        if self.key is None:
            return limit_id(body)
        return limit_id(body, str(select(parse_text(self.key), arguments)))


def limit_id(body: str, key: str | None = None) -> str:
    """The id of the limit of a body (``b:<body>``), or of one of its keys (``b:<body>:<key>``). A colon in the body's
    name becomes ``%3A``, so the first colon behind it is the joint.

    Scripts list limits with blanks between them. So the hash stands for a key that is long, has white space, or looks
    like a hash.
    """
    own = f"b:{body.replace(':', '%3A')}"
    if key is None:
        return own
    return f"{own}:{key if _PLAIN_KEY.fullmatch(key) and not _HASH.fullmatch(key) else content_hash(key)}"


def queue_limit_id(queue: str) -> str:
    """The id of the limit of a queue."""
    return f"q:{queue}"


def limited(limit: str) -> str:
    """A limit's id (without its ``b:``) as people write it: ``<body>`` or ``<body>:<key>``."""
    body, colon, key = limit.partition(":")
    return body.replace("%3A", ":") + colon + key
