"""The verb for many entries: all that failed or were undeliverable, of all sessions or of those of an agent, again.

Invariant: those that came first are offered first. As the verbs for many processes it acts on no more than it counted.
"""

from __future__ import annotations

from collections.abc import Callable

from wakeline.errors import InvalidArguments
from wakeline.names import check_name, split_session_id
from wakeline.observe.entries import EntryView, entry_of
from wakeline.observe.many import ManyReport
from wakeline.store import entries
from wakeline.store.calls import Program
from wakeline.verbs import inbox
from wakeline.verbs.abreast import abreast
from wakeline.verbs.choosing import AT_ONCE, FILTERS, ManyOptions, Wanted, moment
from wakeline.verbs.many import Tally

STATES = ("undeliverable", "failed", "blocked")


def redrive(state: str | None, agent: str | None, options: ManyOptions) -> Program[ManyReport]:
    """Offer again all entries of a state (all three, unless given), of an agent or of all."""
    asked = Wanted.of(options)
    if state is not None and state not in STATES:
        raise InvalidArguments(name="redrive", reason=f"state is one of {', '.join(STATES)}; not {state!r}")
    if foreign := [name for name in (*FILTERS, "older_than") if getattr(asked, name) is not None]:
        raise InvalidArguments(
            name="redrive", reason=f"{foreign[0]} is about processes; entries have a state and an agent"
        )
    if agent is not None:
        check_name(agent, "agent")
    asked.check_filtered("redrive", state is not None or agent is not None)
    until_ms = yield from moment()

    def is_meant(one: EntryView) -> bool:
        return (
            state in (None, one.state)
            and agent in (None, split_session_id(one.session_id)[0])
            and (one.ended_ms or 0) <= until_ms
        )

    tally = Tally(asked)
    length = yield from _seen(lambda one: tally.count([address_of(one)]) if is_meant(one) else None)
    tally.check("redrive")
    while not asked.dry_run and tally.room > 0:
        before = tally.done
        yield from _offered_again(tally, length, is_meant)
        if tally.done == before or tally.room == 0:
            break
        length = yield from _seen(lambda one: None)  # what came meanwhile has moved the others
    return tally.report()


def _seen(look: Callable[[EntryView], object]) -> Program[int]:
    """Looks at all entries that came to no good end; how many they are."""
    length, behind = 0, None
    while True:
        page, behind = yield entries.undeliverable(entries.MOST, behind=behind, seen=length)
        length += len(page)
        for one in page:
            look(entry_of(one))
        if behind is None:
            return length


def address_of(one: EntryView) -> str:
    """``<agent>/<key>#<n>``."""
    return f"{one.session_id}#{one.n}"


def _offered_again(tally: Tally, length: int, is_meant: Callable[[EntryView], bool]) -> Program[None]:
    """One walk from the end of the list, where those are that came first. What is offered again leaves the list, and
    moves none of those before it."""
    while length > 0 and tally.room > 0:
        first = max(0, length - AT_ONCE)
        page, _ = yield entries.undeliverable(length - first, seen=first)
        length = first
        found = [one for one in map(entry_of, reversed(page)) if is_meant(one) and address_of(one) not in tally.refused]
        found = found[: tally.room]
        outcomes = yield from abreast([_again(one) for one in found])
        tally.take([address_of(one) for one in found], outcomes)


def _again(one: EntryView) -> Program[bool]:
    yield from inbox.redrive(one.session_id, one.n)
    return True
