"""The root command, and what all commands share: the app, the output, and exit codes for errors.

Invariant: stdout carries only results (with ``--json`` only JSON, also for errors), and all else goes to stderr. Exit
codes are 0 ok, 1 failed, 2 usage, 3 not found, 4 timed out waiting, 5 conflict, 69 Redis is unreachable or takes no
writes, 130 interrupted. The help of the root and the completion of a command's name import no command. A command loads
what it needs when it is chosen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, NoReturn
from unicodedata import category, combining, east_asian_width

import click
from click.shell_completion import get_completion_class
from wakeline import errors
from wakeline.shown import shown, shown_json, shown_lines

if TYPE_CHECKING:
    from wakeline.app import App
    from wakeline.pages import Page

PROGRAMS = ("wakeline", "wl")
PREFIX = "WAKELINE"
"""What the variables of options begin with."""
INTERRUPTED = 130
CODES: tuple[tuple[tuple[type[errors.WakelineError], ...], int], ...] = (
    ((errors.ApprovalAnswered, errors.TokenUsed), 5),
    (
        (
            errors.ProcessNotFound,
            errors.ProcessNoLongerRetained,
            errors.SessionNotFound,
            errors.EntryNotFound,
            errors.EventNotFound,
            errors.AwaitEventUnknownOrRevoked,
            errors.ApprovalNotOpen,
            errors.SubscriptionNotFound,
            errors.AttachmentNotFound,
        ),
        3,
    ),
    ((errors.WaitTimeout,), 4),
    (
        (
            errors.ProcessConflict,
            errors.ReplayConflict,
            errors.ProcessAlreadyTerminal,
            errors.ProcessNotEnded,
            errors.OccurrenceConflict,
            errors.SubscriptionChanged,
            errors.AlreadyRunning,
            errors.CountMoved,
            errors.RotationOverlaps,
        ),
        5,
    ),
    ((errors.RedisUnavailable, errors.StoreOutOfMemory, errors.TlsFailed), 69),
    ((errors.ConfigurationError, errors.InputError, errors.RedisRefused, errors.UnknownAgent), 2),
    ((errors.UndeclaredEvent, errors.PayloadSchemaMismatch, errors.ForeignCursor), 2),
)
"""All other errors have code 1: the request was correct and did not succeed."""

option = partial(click.option, show_envvar=True)


def exit_code(error: errors.WakelineError) -> int:
    """The exit code for an error."""
    return next((code for kinds, code in CODES if isinstance(error, kinds)), 1)


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


def _print(line: str) -> None:
    with using_file("standard output"):
        click.echo(line)


def columns(text: str) -> int:
    """How many columns of a terminal a text takes. A wide character takes two, and a combining one takes none."""
    return sum(
        0 if combining(one) or category(one) in ("Mn", "Me", "Cf") else 2 if east_asian_width(one) in "WF" else 1
        for one in text
    )


def beginning(text: str, room: int) -> str:
    """As much of a text as fits into so many columns of a terminal."""
    if columns(text) <= room:
        return text
    while text and columns(text) >= room:
        text = text[:-1]
    return f"{text}…" if room > 0 else ""


class Console:
    """One invocation: its app, and how it answers."""

    def __init__(self) -> None:
        self.target: str | None = None
        self.as_json = False
        self.serves = False
        """Whether a worker or a clock runs, which waits for a hanging server; a person gets an error soon."""
        self._app: App | None = None

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

    def answer(self, data: Any, *lines: str) -> None:
        """The result: one line of JSON, or lines for people."""
        if self.as_json:
            _print(shown_json(json.dumps(data, ensure_ascii=False)))
            return
        for line in lines:
            _print(shown(line))

    def table(
        self, headings: Sequence[str], rows: Sequence[Sequence[str]], data: Any, *, empty: str, fits: bool = False
    ) -> None:
        """Rows in columns. Only a terminal gets headings, and the text for an empty table. ``fits``: it gets the last
        column as far as its lines have room."""
        if self.as_json:
            return self.answer(data)
        terminal = sys.stdout.isatty()
        told = [[shown(cell) for cell in row] for row in ([headings, *rows] if rows and terminal else rows)]
        widths = [max(columns(row[i]) for row in told) for i in range(len(headings))] if told else []
        room = get_terminal_size().columns - sum(widths[:-1]) - 2 * len(widths[:-1]) if fits and terminal else None
        for *row, last in told:
            cells = [cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=False)]
            _print("  ".join([*cells, last if room is None else beginning(last, room)]).rstrip())
        if terminal and not rows:
            self.note(empty)

    def cut(self, n: int, way: str = "--limit shows more", of: str = "") -> None:
        """Says that a list was cut after ``n``, and how to see the rest."""
        self.note(f"wakeline: there are more than these {n}{of and ' '}{of}; {way}")

    def note(self, text: str, level: str = "INFO") -> None:
        """A line for the user, which is never a result. A command that serves writes it like an entry of its log."""
        if self.serves:
            from wakeline_workers.said import say  # most commands end before they would have loaded this

            return say(text.removeprefix("wakeline: "), text, level)
        click.echo(shown(text), err=True)

    def fail(self, error: Mapping[str, Any], *, say: str | None) -> None:
        """An error: a line on stderr, and with --json the result."""
        if say is not None:
            self.note(f"wakeline: {say}", "ERROR")
        if self.as_json:
            with suppress(errors.FileUnusable):  # standard error has said it
                _print(shown_json(json.dumps({"error": error}, ensure_ascii=False)))


class Later(click.Command):
    """A command in the lists of the root whose module is not imported yet."""

    def __init__(self, name: str, line: str, module: str) -> None:
        super().__init__(name, help=line)
        self.module = module


class Root(click.Group):
    """Turns what a command returns or raises into an exit code, and imports a command's module once the command is
    chosen."""

    def expect(self, module: str, commands: Mapping[str, str]) -> None:
        """Lists commands, each with its line of help; ``module`` declares them when it is imported."""
        for name, line in commands.items():
            self.add_command(Later(name, line, module))

    def chosen(self, name: str) -> click.Command:
        """The command itself. Its module is imported, and its declaration replaces the listed one."""
        if isinstance(later := self.commands[name], Later):
            import_module(later.module)
            if self.commands[name] is later:
                raise LookupError(f"{later.module} declares no command {name!r}")
        return self.commands[name]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, found, rest = super().resolve_command(ctx, args)
        return name, self.chosen(name) if isinstance(found, Later) and name is not None else found, rest

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        **extra: Any,
    ) -> NoReturn:
        given = list(sys.argv[1:] if args is None else args)
        console = Console()
        extra |= {"standalone_mode": False, "obj": console}
        try:
            result = super().main(given, prog_name, complete_var, **extra)
        except errors.WakelineError as error:
            console.fail(error.to_json(), say=str(error))
            sys.exit(exit_code(error))
        except click.Abort:
            sys.exit(INTERRUPTED)
        except click.ClickException as error:
            vars(error).update(message=shown_lines(error.message))
            error.show()
            console.as_json = console.as_json or "--json" in given
            console.fail(
                {"code": "usage", "message": error.format_message(), "retryable": False, "fields": {}}, say=None
            )
            sys.exit(error.exit_code)
        sys.exit(result if isinstance(result, int) else 0)


def _set_target(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        context.ensure_object(Console).target = value


def _set_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Console).as_json = True


def _shared(**more: Any) -> Callable[[Any], Any]:
    def declare(function: Any) -> Any:
        app = click.option(
            "-A", "--app", metavar="MODULE:APP", help="The app.", expose_value=False, callback=_set_target, **more
        )
        as_json = click.option(
            "--json", is_flag=True, help="JSON on stdout.", expose_value=False, callback=_set_json, **more
        )
        return app(as_json(function))

    return declare


@click.group(
    cls=Root,
    context_settings={
        "auto_envvar_prefix": PREFIX,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 120,
    },
)
@_shared(show_envvar=True)
def cli() -> None:
    """Durable processes on Redis and RQ.

    -A and --json may stand before or after the command's name. Every option can be given by the variable that its help
    names.
    """


def command(name: str, *, of: click.Group = cli) -> Callable[[Callable[..., Any]], click.Command]:
    """Declares a command (of the root, unless given) with the options that all commands share. The function returns the
    exit code."""

    def declare(function: Callable[..., Any]) -> click.Command:
        # Their variables belong to the root; a second set per command would be noise.
        return of.command(name)(_shared(allow_from_autoenv=False)(function))

    return declare


def group(name: str) -> Callable[[Callable[..., Any]], click.Group]:
    """Declares a command with subcommands. Without one of them its function runs."""

    def declare(function: Callable[..., Any]) -> click.Group:
        made = cli.group(name, invoke_without_command=True)(_shared(allow_from_autoenv=False)(function))
        assert isinstance(made, click.Group)
        return made

    return declare


def duration(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A callback for options that take a duration. It checks the text before anything is sent."""
    if value is not None:
        from wakeline.values import parse_duration

        try:
            parse_duration(value)
        except errors.InvalidDuration as error:
            what = f"{shown(value)!r} is not a duration. Use seconds, or a text such as '1d12h', '30s', '250ms'."
            raise click.BadParameter(what, param=parameter) from error
    return value


def payload(what: str, text: str) -> Any:
    """The JSON value of an argument, ``-`` for stdin; raises `InvalidPayload`."""
    from wakeline.values import from_json

    if text == "-":
        text = sys.stdin.read()
    try:
        return from_json(text, what)
    except errors.InvalidPayload as error:
        hint = "" if text[:1] in '{["' else "; a text needs quotes of its own, as in '\"yes\"'"
        raise errors.InvalidPayload(what=what, reason=f"{error.reason}{hint}") from error


@contextmanager
def saying_that_none_was_given(text: str | None) -> Generator[None]:
    """Surrounds the use of an optional argument. Where null is refused, the error says that it was left out."""
    try:
        yield
    except errors.PayloadSchemaMismatch as mismatch:
        if text is not None:
            raise
        raise mismatch.changed(reason=f"no JSON was given, which means null, and {mismatch.reason}") from mismatch


def next_page(page: Page[Any]) -> str:
    """How to see what follows a page."""
    from wakeline.sessions.addresses import argument

    return f"--after {argument(page.next or '')} shows the next"


@command("version")
@click.pass_obj
def show_version(console: Console) -> None:
    """Print what is installed."""
    import platform
    from importlib.metadata import version as installed

    from wakeline.store.address import FORMAT

    found = {
        "wakeline": installed("wakeline"),
        "python": platform.python_version(),
        "redis": installed("redis"),
        "rq": installed("rq"),
        "format": FORMAT,
    }
    console.answer(found, " ".join(f"{name} {number}" for name, number in found.items()))


@command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a shell's completion script.

    For example: eval "$(wakeline completion bash)"
    """
    kind = get_completion_class(shell)
    assert kind is not None
    for program in PROGRAMS:
        click.echo(kind(cli, {}, program, f"_{program.upper()}_COMPLETE").source())
