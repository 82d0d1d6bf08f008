"""Limits: how many processes of a body, of a key of it, or of a queue run at once, and how many begin in a time.

Invariant: a limit counts runs, not processes: one that waits has no place. The numbers are those of the release whose
worker started last; which
limit a process is under was fixed when it was started.
"""

from __future__ import annotations

import re
from collections.abc import Collection
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
    """At most ``concurrency`` at once, and ``rate`` (``"100/1m"``): no more beginnings than that in any window of that
    length.

    ``burst``: the rate is a steady pace instead, of which so many may be saved up and begin at once; a window has up to
    ``burst`` - 1 more then.
    ``key``: a text with ``{argument}`` holes; each of its values has places and a rate of its own, so that one
    customer's thousand calls do not keep
    the others' waiting.
    """

    concurrency: int | None = None
    rate: str | None = None
    key: str | None = None
    burst: int | None = None

    def check(self, name: str, *, keyed: bool = True, parameters: Collection[str] | None = None) -> Limit:
        """Itself; raises `BodyInvalid` for what limits nothing or cannot be counted. ``parameters``: those that its key
        may name, None for any."""
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
            found.append("has a burst and no rate that it could be of")
        if self.burst is not None and not 1 <= self.burst <= MOST:
            found.append(f"has a burst of {self.burst!r}; it has to be 1 to {MOST}")
        if self.key is not None and not keyed:
            found.append("is a queue's, and a queue has no arguments: leave the key out")
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
        """What scripts know of it: JSON."""
        rate = self._parsed_rate()
        out: dict[str, Any] = {"c": self.concurrency} if self.concurrency is not None else {}
        if rate:
            out |= {"n": rate[0], "w": rate[1]} | ({"b": self.burst} if self.burst is not None else {})
        return to_json(out)

    def id_for(self, body: str, arguments: Any) -> str:
        """Which limit a start is under: the body's, or that of its key; raises `SelectorMiss` where an argument of the
        key is not there."""
        if self.key is None:
            return limit_id(body)
        return limit_id(body, str(select(parse_text(self.key), arguments)))


def limit_id(body: str, key: str | None = None) -> str:
    """The limit of a body (``b:<body>``), or of one key of it (``b:<body>:<key>``). A colon of the body's name is
    ``%3A``: the joint is the first one.

    Scripts list limits with blanks between them, so a key that is long or has white space is its hash, and so is one
    that looks like a hash.
    """
    own = f"b:{body.replace(':', '%3A')}"
    if key is None:
        return own
    return f"{own}:{key if _PLAIN_KEY.fullmatch(key) and not _HASH.fullmatch(key) else content_hash(key)}"


def limited(limit: str) -> str:
    """What a limit's id (without its ``b:``) is of, as people write it: ``<body>`` or ``<body>:<key>``."""
    body, colon, key = limit.partition(":")
    return body.replace("%3A", ":") + colon + key


def described(wire: dict[str, Any]) -> str:
    """A limit as a list shows it."""
    parts = [f"{wire['c']} at once"] if "c" in wire else []
    parts += [f"{wire['n']} in {format_duration(wire['w'])}"] if "n" in wire else []
    return ", ".join(parts + ([f"bursts of {wire['b']}"] if "b" in wire else []))
