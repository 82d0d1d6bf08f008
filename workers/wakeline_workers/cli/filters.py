"""Options that say which processes a command means, and the query that they make."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from wakeline import errors
from wakeline.observe.processes import ENDED, LIVE
from wakeline.shown import shown

from wakeline_workers.cli.root import option

if TYPE_CHECKING:
    from wakeline.observe.query import ProcessQuery

OF_FILTER = ("status", "kind", "name", "labels", "session", "waiting", "parent", "beginning", "since", "until")


def filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declares the options of a filter. The function gets the `ProcessQuery` as ``which``; ``parent`` in it is as the
    user typed it."""

    @wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        from wakeline.observe.query import ProcessQuery

        by = {name: options.pop(name) for name in OF_FILTER}
        return function(*args, which=ProcessQuery(**by), **options)

    for declared in reversed((_STATUS, *_OPTIONS)):
        called = declared(called)
    return called


def filter_options() -> tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...]:
    """The options of a filter, without the status, of which each command has words of its own."""
    return _OPTIONS


def resolved(which: ProcessQuery, process_id: Callable[[str], str]) -> ProcessQuery:
    """The filter with the whole id of the parent."""
    from dataclasses import replace

    return which if which.parent is None else replace(which, parent=process_id(which.parent))


def _labels(_: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not (key and equals and value):
            raise click.BadParameter(f"{shown(one)!r} is not KEY=VALUE.", param=parameter)
        if found.setdefault(key, value) != value:
            raise click.BadParameter(f"{shown(key)} has two values, and a process has one.", param=parameter)
    return found or None


def _bound(_: click.Context, parameter: click.Parameter, given: str | None) -> datetime | timedelta | None:
    """A duration or a moment. It checks the text before anything is sent."""
    from wakeline.values import parse_duration

    if given is None:
        return None
    try:
        return timedelta(milliseconds=parse_duration(given))
    except errors.InvalidDuration:
        pass
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        why = "is no duration and no moment" if moment is None else "has no time zone"
        what = f"{shown(given)!r} {why}. Use a duration such as 2h, or a moment such as 2026-12-01T08:00Z."
        raise click.BadParameter(what, param=parameter)
    return moment


_STATUS = option("--status", default="any", show_default=True, type=click.Choice(["any", "live", *LIVE, *ENDED]))
_OPTIONS = (
    option("--kind", help="An engine's name, or tool, session_turn, external."),
    option("--name", help="The name of an engine, a tool or an agent."),
    option(
        "--label",
        "labels",
        metavar="KEY=VALUE",
        multiple=True,
        callback=_labels,
        help="Has this label. Repeat for more.",
    ),
    option("--session", help="Of this session: its turns, and what wakes it."),
    option("--waiting", metavar="SIGNAL", help="Waiting for this signal."),
    option("--parent", metavar="ID", help="Started by the body of this process."),
    option("--beginning", metavar="TEXT", help="Its id begins with this: 6 characters or more."),
    option("--since", metavar="TIME", callback=_bound, help="Has its status since then: 2h ago, or a moment."),
    option("--until", metavar="TIME", callback=_bound, help="Had its status then already."),
)
