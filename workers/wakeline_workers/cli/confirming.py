"""What commands for many processes share: they count, show what they mean, ask, and say how far they are.

Invariant: without a person who types the number, or an option that stands for that, nothing is done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import click
from wakeline.observe.findings.finding import count
from wakeline.observe.many import ManyReport

from wakeline_workers.cli.root import Console, option

F = TypeVar("F", bound=Callable[..., Any])
NOT_CONFIRMED = 1


class NotConfirmed(click.ClickException):
    """The operator typed something else than the number."""

    exit_code = NOT_CONFIRMED


def confirmed_options(function: F) -> F:
    """The options of a command for many."""
    for declare in (
        option("--dry-run", is_flag=True, help="Only count, and show some of them."),
        option("--expect", metavar="N", type=click.IntRange(0), help="Go on without asking if at most N match."),
        option("--yes", is_flag=True, help="Go on without asking."),
        option("--all", "everything", is_flag=True, help="Without any filter."),
    ):
        function = declare(function)
    return function


class Bulk:
    """One command for many, from its count to its report. ``verb`` is the command, and ``done`` what it did, as in "3
    were pruned"."""

    def __init__(
        self,
        console: Console,
        verb: str,
        done: str,
        *,
        yes: bool,
        expect: int | None,
        dry_run: bool,
        noun: str = "process",
    ) -> None:
        self._console, self._verb, self._done, self._noun = console, verb, done, noun
        self._yes, self._expect, self._dry_run = yes, expect, dry_run
        self._last: ManyReport | None = None

    def run(self, act: Callable[..., ManyReport], again: str = "the same command goes on") -> int:
        """Counts, asks, acts. ``act`` takes ``expect``, ``dry_run`` and ``progress``. Returns the exit code."""
        if not (self._yes or self._dry_run or self._expect is not None or sys.stdin.isatty()):
            raise click.UsageError(
                f"`wakeline {self._verb}` for many asks first, and there is no terminal to ask at. Give --yes, --expect"
                " N, or --dry-run."
            )
        found = act(expect=self._expect, dry_run=True)
        if found.matched == 0 or self._dry_run:
            self._answer(found, self._counted(found))
            return 0
        self._show(found)
        self._confirm(found.matched)
        try:
            # As many as were seen: what came meanwhile was not confirmed.
            self._last = act(expect=found.matched if self._expect is None else self._expect, progress=self._tell)
        except BaseException:
            self._say_how_far(again)
            raise
        self._answer(self._last, self._told(self._last))
        return 1 if self._last.refused else 0

    def _answer(self, report: ManyReport, *lines: str) -> None:
        told = [f"{one.id}: {one.code}: {one.message}" for one in report.refusals]
        if report.refused > len(report.refusals):
            told.append(f"and {report.refused - len(report.refusals)} more")
        self._console.answer(report.to_data(), *lines, *told)

    @staticmethod
    def _counted(report: ManyReport) -> str:
        if report.matched == 0:
            return "nothing matches"
        more = ", …" if report.matched > len(report.examples) else ""
        return f"{report.matched} match: {', '.join(report.examples)}{more}"

    def _told(self, report: ManyReport) -> str:
        parts = [f"{report.done} {self._done}"]
        parts += [f"{report.unchanged} had it before"] if report.unchanged else []
        parts += [f"{report.refused} refused"] if report.refused else []
        return f"{', '.join(parts)}, of {report.matched}"

    def _show(self, report: ManyReport) -> None:
        self._console.note(f"wakeline: {self._verb}: {self._counted(report)}")

    def _confirm(self, found: int) -> None:
        if self._yes or self._expect is not None:
            return
        given = click.prompt(
            f"{count(found, self._noun)}: type {found} to go on",
            default="",
            show_default=False,
            err=True,
        )
        if given.strip() != str(found):
            raise NotConfirmed(f"nothing was done: {found} was to be typed")

    def _tell(self, report: ManyReport) -> None:
        self._last = report
        with suppress(OSError):  # that no one reads how far it is does not end it
            acted = report.done + report.unchanged + report.refused
            self._console.note(f"wakeline: {acted} of {report.matched}")

    def _say_how_far(self, again: str) -> None:
        with suppress(OSError):
            what = "before it began" if self._last is None else f"after {self._told(self._last)}"
            self._console.note(f"wakeline: {self._verb} ended {what}; {again}", "ERROR")
