"""Which processes a verb for many means: their ids and places, page by page, without what is stored of each.

Invariant: a page has what a list of the same filter has, in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wakeline.fixed import fixed
from wakeline.store import processes
from wakeline.store.calls import Call, Reply
from wakeline.values import number


@fixed
class Choice:
    """One process: its status, its time in the list of that status, when it was registered, and whether it was asked to
    end."""

    process_id: str
    status: str
    at: str
    created_ms: int
    asked_to_end: bool


@dataclass(frozen=True, slots=True)
class ChoicePage:
    """One page. The next one begins at ``score`` and ``member`` ('' if there is none)."""

    rows: tuple[Choice, ...]
    score: str
    member: str
    now_ms: int
    behind: str
    stale: Sequence[Sequence[str]]


def page(status: str, *, limit: int, score: str = "+inf", member: str = "", **by: Any) -> Call[ChoicePage]:
    """A page of one status, newest first; ``by`` as `processes.list_page` takes it."""
    listing = processes.list_page([status], limit=limit, score=score, member=member, **by)

    def decode(reply: Reply) -> ChoicePage:
        rows = tuple(
            Choice(pid, status, str(at), number(created), asked == "1") for pid, status, at, created, asked in reply[0]
        )
        return ChoicePage(rows, reply[1], reply[2], int(reply[4]), reply[5], reply[6])

    return Call(listing.script, {**listing.args, "bare": True}, decode, about=listing.about)


@dataclass(frozen=True, slots=True)
class CountPage:
    """How many were found. The search goes on at ``score`` and ``member`` ('' if it is over), after ``done`` of the
    statuses."""

    found: int
    score: str
    member: str
    done: int


def count(statuses: Sequence[str], *, limit: int, score: str = "+inf", member: str = "", **by: Any) -> Call[CountPage]:
    """How many processes of some statuses are meant, a part of them in each call; ``by`` as `processes.list_page` takes
    it."""
    listing = processes.list_page(statuses, limit=limit, score=score, member=member, **by)
    return Call(
        listing.script,
        {**listing.args, "bare": True},
        lambda reply: CountPage(len(reply[0]), reply[1], reply[2], int(reply[3])),
        about=listing.about,
    )
