"""The root command, and what all commands share: the app, the output, and exit codes for errors.

Invariant: stdout carries only results (with ``--json`` only JSON, also for errors), and all else goes to stderr. Exit
codes are 0 ok, 1 failed, 2 usage, 3 not found, 4 timed out waiting, 5 conflict, 69 Redis is unreachable or takes no
writes, 130 interrupted, 141 the reader of the output is gone. The help of the root and the completion of a command's
name import no command. A command loads what it needs when it is chosen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import get_completion_class
from wakeline import errors
from wakeline.shown import shown, shown_lines

from wakeline_workers.cli.console import Console as Console
from wakeline_workers.cli.console import using_file as using_file

if TYPE_CHECKING:
    from datetime import datetime

    from wakeline.pages import Page

PROGRAMS = ("wakeline", "wl")
PREFIX = "WAKELINE"
"""What the variables of options begin with."""
INTERRUPTED = 130
UNREAD = 141
"""Nothing reads what is printed any more. It is what a shell says of a program that SIGPIPE ended."""
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


@contextmanager
def leaving_with_its_reader() -> Generator[None]:
    """Surrounds what prints. Once the reader of a pipe is gone, the command ends without a word."""
    try:
        yield
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:  # what it still holds would be written, and complained of, when Python ends
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, stream.fileno())
                os.close(nothing)
        raise click.exceptions.Exit(UNREAD) from None


def exit_code(error: errors.WakelineError) -> int:
    """The exit code for an error."""
    return next((code for kinds, code in CODES if isinstance(error, kinds)), 1)


class Later(click.Command):
    """A command in the lists of the root whose module is not imported yet."""

    def __init__(self, name: str, line: str, module: str) -> None:
        super().__init__(name, help=line)
        self.module = module


class Root(click.Group):
    """Turns what a command returns or raises into an exit code, and imports a command's module once the command is
    chosen."""

    interrupted: Callable[[], None] = staticmethod(lambda: None)
    """Called at a Ctrl-C that ends the command, before what it held is thrown away."""

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
        extra |= {"standalone_mode": False, "obj": Console()}
        try:
            with leaving_with_its_reader():
                code = self._code(given, prog_name, complete_var, extra)
        except click.exceptions.Exit as left:
            code = left.exit_code
        sys.exit(code)

    def _code(self, given: list[str], prog_name: str | None, complete_var: str | None, extra: Mapping[str, Any]) -> int:
        console: Console = extra["obj"]
        try:
            result = super().main(given, prog_name, complete_var, **extra)
        except errors.WakelineError as error:
            console.fail(error.to_json(), say=str(error))
            return exit_code(error)
        except click.Abort:
            self.interrupted()
            return INTERRUPTED
        except click.ClickException as error:
            vars(error).update(message=shown_lines(error.message))
            error.show()
            console.as_json = console.as_json or "--json" in given
            console.fail(
                {"code": "usage", "message": error.format_message(), "retryable": False, "fields": {}}, say=None
            )
            return error.exit_code
        return result if isinstance(result, int) else 0

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with leaving_with_its_reader():  # where it prints help
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with leaving_with_its_reader():
            return super().invoke(ctx)


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


def instant(_: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """A callback for options that take a moment with its zone. It reads the text before anything is sent."""
    if value is None:
        return None
    from datetime import datetime

    from wakeline.verbs.options import aware_ms

    try:
        found = datetime.fromisoformat(value.strip())
        aware_ms(found)
    except (ValueError, errors.InvalidMoment) as error:
        what = (
            f"{shown(value)!r} is not a moment with a time zone. "
            "Write 2030-01-31T09:00+01:00, or 2030-01-31T08:00Z for UTC."
        )
        raise click.BadParameter(what, param=parameter) from error
    return found


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
