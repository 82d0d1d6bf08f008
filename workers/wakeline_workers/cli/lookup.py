"""Ids as people type them: whole, or their beginning.

Invariant: an id that exists means itself, even if other ids begin with it, and costs no search.
"""

from __future__ import annotations

import heapq
import shlex
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click
from wakeline import errors
from wakeline.observe.processes import ENDED, LIVE
from wakeline.shown import shown
from wakeline.store import processes

from wakeline_workers.cli.root import Console

if TYPE_CHECKING:
    from wakeline.app import App

SHORTEST = 6
SEARCHED = 10_000
PAGE = 1_000
NAMED = 10
"""How many candidates an error names; more would not help."""


def process_id(app: App, given: str) -> str:
    """The id that the user means; raises `ProcessNotFound`, `ProcessNoLongerRetained`, `AmbiguousId`."""
    whole = app.handle(given).id
    try:
        app.store.execute(processes.read(whole, brief=True))
    except errors.ProcessNotFound:
        _refuse_session(app, given)
        if len(given) < SHORTEST:
            raise
        found = app.processes(beginning=given, limit=NAMED)
        if not found:
            raise
        if len(found) > 1:
            told = [f"{one.id} ({one.status} {one.label or one.kind})" for one in found]
            more = ["and more"] if found.more else []
            raise errors.AmbiguousId(prefix=given, candidates=[*told, *more]) from None
        return found[0].id
    return whole


def _refuse_session(app: App, given: str) -> None:
    """Says what to type where the address of a session stands for the id of a process."""
    if "/" not in given:
        return
    try:
        app.session(*given.split("/", 1)).inspect()
    except errors.WakelineError:
        return
    ways = " and ".join(f"`wakeline {verb} {shlex.quote(given)}`" for verb in ("why", "session", "wakes"))
    raise click.UsageError(f"{shown(given)!r} is a session, and no process: {ways} tell of it.")


def latest_ids(app: App) -> Iterator[str]:
    """Ids of the latest processes of any status, latest first."""
    seen: set[str] = set()
    for _, pid in islice(heapq.merge(*(_ids_of(app, status) for status in LIVE + ENDED), reverse=True), SEARCHED):
        # A process that changes its status during the search is found twice.
        if pid not in seen:
            seen.add(pid)
            yield pid


def _ids_of(app: App, status: str) -> Iterator[tuple[int, str]]:
    offset = 0
    while page := app.store.execute(processes.list_ids(status, offset=offset, limit=PAGE)):
        yield from ((at, pid) for pid, at in page)
        if len(page) < PAGE:
            return
        offset += PAGE


def complete_process(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """For completion in the shell: the latest ids with this beginning."""
    try:
        return list(
            islice((pid for pid in latest_ids(context.ensure_object(Console).app) if pid.startswith(incomplete)), 50)
        )
    except errors.WakelineError:
        return []


def complete_body(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """For completion in the shell: names of bodies that can be started."""
    try:
        registry = context.ensure_object(Console).app.registry
    except errors.WakelineError:
        return []
    return sorted(name for name in [*registry.engines, *registry.tools] if name.startswith(incomplete))
