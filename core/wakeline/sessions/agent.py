"""An agent: the function that runs a session's turns, one at a time, and what its turns take.

Invariant: the agent's name is the kind of its sessions and the first part of their ids.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from wakeline.arguments import check_body, own_name
from wakeline.errors import NOT_DURABLE, BodyInvalid, WrongVerb
from wakeline.names import check_agent, check_queue
from wakeline.sessions.admission import ALL_KINDS, MOST_ENTRIES, AdmissionPolicy, Arrival, EntryKind
from wakeline.typed import dump
from wakeline.values import parse_duration

MOST_ATTEMPTS = 100
LONGEST_DEBOUNCE_MS = 3_600_000
LINGER_MS = 40
"""Longer than it takes to send a burst, and shorter than a turn that calls a model."""


class Agent:
    """What `@app.agent` makes of a function."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        queue: str | None = None,
        max_entries: int = MOST_ENTRIES,
        kinds: Iterable[EntryKind] = ALL_KINDS,
        one_at_a_time: bool = False,
        on_arrival: Arrival = "next_turn",
        debounce: timedelta | float | str | None = None,
        debounce_max: timedelta | float | str | None = None,
        linger: timedelta | float | str | None = None,
        on_failure: str = "settle",
        max_attempts: int = 5,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = check_agent(own_name("agent", function, name))
        check_body(self.name, function)
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        self.queue = check_queue(queue) if queue is not None else None
        self.context: dict[str, Any] = dump(dict(context or {}), dict[str, Any], f"the context of {self.name}")
        self._check_number("max_entries", max_entries, MOST_ENTRIES)
        self._check_number("max_attempts", max_attempts, MOST_ATTEMPTS)
        self._check_choice("on_arrival", on_arrival, get_args(Arrival))
        self._check_choice("on_failure", on_failure, ("settle", "block"))
        wait_ms = parse_duration(debounce) if debounce is not None else 0
        longest_ms = parse_duration(debounce_max) if debounce_max is not None else 10 * wait_ms
        if not 0 <= wait_ms <= longest_ms <= LONGEST_DEBOUNCE_MS:
            raise BodyInvalid(
                name=self.name, reason="its debounce has to be at most its debounce_max, and that at most an hour"
            )
        linger_ms = parse_duration(linger) if linger is not None else LINGER_MS
        if not 0 <= linger_ms <= LONGEST_DEBOUNCE_MS:
            raise BodyInvalid(name=self.name, reason="its linger has to be at most an hour")
        self.policy = AdmissionPolicy(
            max_entries=1 if one_at_a_time else max_entries,
            kinds=self._kinds(kinds),
            on_arrival=on_arrival,
            debounce_ms=wait_ms,
            debounce_max_ms=longest_ms,
            linger_ms=linger_ms,
            on_failure="block" if on_failure == "block" else "settle",
            max_attempts=max_attempts,
        )

    @property
    def max_entries(self) -> int:
        """How many entries one turn takes at most."""
        return self.policy.max_entries

    def _kinds(self, kinds: Iterable[EntryKind]) -> frozenset[EntryKind]:
        given = frozenset([kinds] if isinstance(kinds, str) else kinds)
        known: frozenset[EntryKind] = frozenset(kind for kind in ALL_KINDS if kind in given)
        if not known or len(known) < len(given):
            raise BodyInvalid(
                name=self.name,
                reason=f"its kinds are {sorted(map(str, given))}, they have to be some of {', '.join(ALL_KINDS)}",
            )
        return known

    def _check_number(self, what: str, given: Any, most: int) -> None:
        if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= most:
            raise BodyInvalid(name=self.name, reason=f"its {what} is {given!r}, it has to be 1 to {most}")

    def _check_choice(self, what: str, given: Any, known: tuple[str, ...]) -> None:
        if given not in known:
            raise BodyInvalid(name=self.name, reason=f"its {what} is {given!r}, it has to be one of {', '.join(known)}")

    if not TYPE_CHECKING:  # for type checkers it cannot be called

        def __call__(self, *_: Any, **__: Any) -> NoReturn:
            """Raises `WrongVerb`: a plain call would run the function without a turn."""
            use = f"app.session({self.name!r}, key).send(…)"
            raise WrongVerb(verb=f"A plain call of the agent {self.name}", use=use, harm=NOT_DURABLE)

    def __repr__(self) -> str:
        return f"<Agent {self.name}>"
