"""What a command prints, again and again: the option ``--watch`` of lists, and views that live.

Invariant: each look is the look of the command without it, and costs the same. A server that goes away ends no view.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from wakeline.clock import machine_ms
from wakeline.errors import StoreError
from wakeline.shown import moment, shown

from wakeline_workers.cli.root import Console, option

EVERY_S = 2.0
LEAST_S, MOST_S = 0.2, 3_600.0


def watched(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command that lists something the option ``--watch``."""

    @option(
        "--watch",
        is_flag=False,
        flag_value=str(EVERY_S),
        type=click.FloatRange(LEAST_S, MOST_S),
        metavar="[SECONDS]",
        help=f"Again every {EVERY_S:g} s, or so many, in place in a terminal, until q or Ctrl-C.",
    )
    @wraps(function)
    def command(*args: Any, watch: float | None, **given: Any) -> Any:
        context = click.get_current_context()
        if watch is None or context.invoked_subcommand is not None:
            return function(*args, **given)
        return repeated(context.obj, watch, context.command_path, lambda: function(*args, **given))

    return command


def repeated(console: Console, seconds: float, title: str, look: Callable[[], object]) -> int:
    """Shows what a look prints, until it is ended: in place in a terminal that can do so, and else below a line with
    the moment. Raises what the first look raises, and later all but that the server does not answer."""
    if console.room is None or console.as_json or os.environ.get("TERM", "dumb") == "dumb":
        return _below(console, seconds, look)
    return _in_place(console, seconds, title, look)


def _below(console: Console, seconds: float, look: Callable[[], object]) -> int:
    lost, first = False, True
    while True:
        try:
            lines = console.drawn(look)
        except StoreError as error:
            if first or not error.retryable:
                raise
            if not lost:
                console.note(f"wakeline: asking again: {error}")
            lost = True
        else:
            lost = first = False
            console.tell(lines if console.as_json else [moment(machine_ms()), *lines])
        time.sleep(seconds)


def _in_place(console: Console, seconds: float, title: str, look: Callable[[], object]) -> int:
    from wakeline_workers.cli.screen import taken

    lines, seen_ms, trouble = console.drawn(look), machine_ms(), ""
    with taken() as screen:
        while True:
            head = f"{title}  {moment(seen_ms)}, every {seconds:g} s, q ends"
            screen.draw([shown(head), shown(trouble), *lines])
            if not screen.wait(seconds):
                return 0
            try:
                lines, seen_ms, trouble = console.drawn(look), machine_ms(), ""
            except StoreError as error:
                if not error.retryable:
                    raise
                trouble = f"asking again: {error}"
