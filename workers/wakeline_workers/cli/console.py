"""How a command answers: lines and tables for people, JSON for programs.

Invariant: every line that a command prints goes through `Console`, where no text of others reaches a terminal as it is.
Standard output has results alone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click
from wakeline import errors
from wakeline.shown import shown, shown_json, shown_lines

if TYPE_CHECKING:
    from wakeline.app import App

LONGEST = 4_096
"""Characters of a cell that a terminal may get; no id has as many."""


@contextmanager
def using_file(name: object) -> Generator[None]:
    """Surrounds the use of a file that the user named. Raises `FileUnusable` if the system refuses it. That nothing
    reads a pipe any more is no error of a file."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise errors.FileUnusable(path=str(name), reason=error.strerror or str(error)) from error


def has_colours(*, terminal: bool) -> bool:
    """Whether words have colours: https://no-color.org and https://force-color.org say how a user decides it."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (terminal and os.environ.get("TERM", "dumb") != "dumb")


class Console:
    """One invocation: its app, and how it answers."""

    def __init__(self) -> None:
        self.target: str | None = None
        self.as_json = False
        self.serves = False
        """Whether a worker or a clock runs, which waits for a hanging server; a person gets an error soon."""
        self._app: App | None = None
        self._frame: list[str] | None = None

    @property
    def app(self) -> App:
        """The named app. Raises `AppNotFound`, and where it serves `InstrumentNotFound`, which says what is wrong."""
        if self._app is None:
            from wakeline_workers.loading import load_app, load_for_work

            self._app = (load_for_work if self.serves else load_app)(self.target)
            from wakeline.store.connection import UrlBackend

            if not self.serves and self._app.settings.url is not None and isinstance(self._app.backend, UrlBackend):
                self._app.backend.hurry()
        return self._app

    @property
    def room(self) -> int | None:
        """The cells of a line of the terminal that shows results; None where no terminal does."""
        return get_terminal_size().columns if sys.stdout.isatty() else None

    def drawn(self, look: Callable[[], object]) -> list[str]:
        """The lines that a look would print, results and notes, for what shows them again and again."""
        lines: list[str] = []
        self._frame = lines
        try:
            look()
        finally:
            self._frame = None
        return lines

    def tell(self, drawn: Sequence[str]) -> None:
        """Prints lines that were drawn."""
        for line in drawn:
            self._print(line)

    def _print(self, line: str) -> None:
        """Every line of every result. What others have said in it was shown as escapes before."""
        if self._frame is not None:
            return self._frame.append(line)
        with using_file("standard output"):
            return click.echo(line, color=True)

    def answer(self, data: Any, *lines: str) -> None:
        """The result: one line of JSON, or lines for people."""
        if self.as_json:
            return self._print(shown_json(json.dumps(data, ensure_ascii=False)))
        for line in lines:
            self._print(shown(line))
        return None

    def give(self, data: bytes) -> None:
        """Bytes as they are. A terminal gets text alone, and that as lines; raises a usage error for other bytes."""
        if self.room is None:
            with using_file("standard output"):
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            return
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            what = "These bytes are no text, and standard output is a terminal: write them to a file with -o FILE."
            raise click.UsageError(what) from error
        self._print(shown_lines(text))

    def table(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[str]],
        data: Any,
        *,
        empty: str,
        keep: int = 1,
        ids: Collection[int] = (),
        spare: Collection[int] = (),
    ) -> None:
        """Rows in columns. Only a terminal gets headings, and the text for an empty table, and no line is wider than
        it; ``keep`` and ``ids`` say which columns are never cut, and ``spare`` which give way first
        (`tables.table`)."""
        if self.as_json:
            return self.answer(data)
        terminal = self.room is not None
        left_out = self.rows(headings, rows, headed=terminal and bool(rows), keep=keep, ids=ids, spare=spare)
        if left_out:
            self.note(f"wakeline: no room for {', '.join(left_out)}; a wider terminal or --json has all")
        if terminal and not rows:
            self.note(empty)
        return None

    def rows(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        headed: bool,
        keep: int = 1,
        ids: Collection[int] = (),
        spare: Collection[int] = (),
    ) -> tuple[str, ...]:
        """Rows in columns, as a part of what is printed. Returns the headings of columns without room."""
        from wakeline_workers.cli import tables  # the help of a command shows none

        room = self.room
        # A cell of a terminal is cut in any case, and what it shows is in its beginning.
        told = [[shown(cell if room is None else cell[:LONGEST]) for cell in row] for row in rows]
        colours = has_colours(terminal=room is not None)
        made = tables.table(headings, told, room, headed=headed, keep=keep, ids=ids, spare=spare, colours=colours)
        self.tell(made.lines)
        return made.left_out

    def cut(self, n: int, way: str = "--limit shows more", of: str = "") -> None:
        """Says that a list was cut after ``n``, and how to see the rest."""
        self.note(f"wakeline: there are more than these {n}{of and ' '}{of}; {way}")

    def note(self, text: str, level: str = "INFO") -> None:
        """A line for the user, which is never a result. A command that serves writes it like an entry of its log."""
        if self.serves:
            from wakeline_workers.said import say  # most commands end before they would have loaded this

            return say(text.removeprefix("wakeline: "), text, level)
        if self._frame is not None and not self.as_json and self.room is not None:
            return self._frame.append(shown(text))
        return click.echo(shown(text), err=True)

    def fail(self, error: Mapping[str, Any], *, say: str | None) -> None:
        """An error: a line on stderr, and with --json the result."""
        if say is not None:
            self.note(f"wakeline: {say}", "ERROR")
        if self.as_json:
            with suppress(errors.FileUnusable):  # standard error has said it
                self._print(shown_json(json.dumps({"error": error}, ensure_ascii=False)))
