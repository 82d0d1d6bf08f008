"""Commands of one process that take a filter in place of its id.

Invariant: an id and a filter exclude each other, and options about many are refused beside an id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from wakeline.observe.many import ManyReport

from wakeline_workers.cli.confirming import Bulk, confirmed_options
from wakeline_workers.cli.filters import OF_FILTER, filter_options
from wakeline_workers.cli.lookup import process_id
from wakeline_workers.cli.root import Console, duration, option

if TYPE_CHECKING:
    from wakeline.app import App

CONFIRMED = ("everything", "yes", "expect", "dry_run")


@dataclass(frozen=True, slots=True)
class Meant:
    """What a command for many was given: the filter, and how it is confirmed."""

    by: dict[str, Any]
    everything: bool
    yes: bool
    expect: int | None
    dry_run: bool

    @property
    def is_given(self) -> bool:
        """Whether many are meant."""
        return bool(self.by) or self.everything

    def instead_of(self, given: str | None, what: str = "ID") -> bool:
        """Whether many are meant and not one. Raises `click.UsageError` for neither, and for both."""
        if given is not None and (self.is_given or self.yes or self.dry_run or self.expect is not None):
            raise click.UsageError(f"Give {what} for one, or a filter for many. Options about many go with a filter.")
        if given is None and not self.is_given:
            raise click.UsageError(
                f"Missing argument '{what}', or a filter for many, such as --status. --all means all, without a filter."
            )
        return given is None

    def options(self, app: App) -> dict[str, Any]:
        """The options of a verb for many. The beginning of a parent's id stands for all of it."""
        whole = {"parent": process_id(app, self.by["parent"])} if "parent" in self.by else {}
        return self.by | whole | {"everything": self.everything}

    def run(
        self,
        console: Console,
        verb: str,
        done: str,
        act: Callable[..., ManyReport],
        *,
        noun: str = "process",
        again: str = "the same command goes on",
    ) -> int:
        """Counts, asks, acts and reports; returns the exit code."""
        bulk = Bulk(console, verb, done, yes=self.yes, expect=self.expect, dry_run=self.dry_run, noun=noun)
        return bulk.run(act, again)


def or_many(statuses: Sequence[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares the options of a filter beside those of one process. The function gets them as ``meant``."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def called(*args: Any, **options: Any) -> Any:
            by = {name: options.pop(name) for name in (*OF_FILTER, "older_than")}
            confirmed = {name: options.pop(name) for name in CONFIRMED}
            meant = Meant({name: value for name, value in by.items() if value is not None}, **confirmed)
            return function(*args, meant=meant, **options)

        made: Callable[..., Any] = confirmed_options(called)
        older_than = option("--older-than", callback=duration, metavar="DURATION", help="Has its status for longer.")
        status = option("--status", type=click.Choice(statuses), help="In place of an id: all of this status.")
        for declared in (older_than, *reversed(filter_options()), status):
            made = declared(made)
        return made

    return declare
