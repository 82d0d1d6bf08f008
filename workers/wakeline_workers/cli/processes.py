"""Commands about processes: start, signal, cancel, retry, ps, show, events."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from wakeline.observe.events import EventView, RunFacts
from wakeline.observe.findings.finding import named
from wakeline.observe.processes import ENDED, LIVE, ProcessView, Status
from wakeline.observe.runs import place_said
from wakeline.observe.setbacks import Setback
from wakeline.shown import moment, shown
from wakeline.store.processes import FIRST
from wakeline.values import MOST, to_json
from wakeline.verbs.options import Options

from wakeline_workers.cli.files import from_file, text_of
from wakeline_workers.cli.filters import filters, resolved
from wakeline_workers.cli.lookup import complete_body, complete_process, process_id
from wakeline_workers.cli.many import Meant, or_many
from wakeline_workers.cli.root import (
    Console,
    command,
    duration,
    instant,
    next_page,
    option,
    payload,
    saying_that_none_was_given,
)
from wakeline_workers.cli.tables import beginning
from wakeline_workers.cli.waits import sentence
from wakeline_workers.cli.watching import watched

if TYPE_CHECKING:
    from wakeline.observe.query import ProcessQuery

INPUT_KINDS = ("tool", "session_turn", "external")
APART = {
    "waits",
    "because",
    "seen_ms",
    "children_count",
    "waits_count",
    "error",
    "failed_effect",
    "trace",
    "setbacks",
    "runs",
    "places_taken",
}
"""Facts that `show` puts into lines of their own, or says by others."""
SETBACKS = 4
"""How many setbacks `show` tells in lines, so that it fits a screen; --json has more of them, and the log all."""
SHOWN = 200
"""Cells of an event in a terminal; a pipe gets all of it."""


@command("start")
@click.argument("name", shell_complete=complete_body)
@click.argument("arguments", metavar="[JSON]", required=False)
@option("--id", metavar="ID", help="Its id; the same id with the same arguments is the same process.")
@option("--queue", help="The queue, without the app's name before it.")
@option("--delay", callback=duration, metavar="DURATION", help="Start it after this time.")
@option("--at", callback=instant, metavar="MOMENT", help="Start it at this moment, e.g. 2030-01-31T09:00+01:00.")
@option("--unique", metavar="KEY", help="A key that one living process at a time has.")
@option(
    "--if-running",
    type=click.Choice(["return", "reject", "replace"]),
    help="What it means that another one has the key.  [default: return]",
)
@option("--wait", callback=duration, metavar="DURATION", help="Wait this long for its result, e.g. 30s.")
@from_file
@click.pass_obj
def start(
    console: Console,
    name: str,
    arguments: str | None,
    id: str | None,
    queue: str | None,
    delay: str | None,
    at: datetime | None,
    unique: str | None,
    if_running: Any,
    wait: str | None,
    file: Path | None,
) -> None:
    """Start an engine or a tool.

    JSON is an object of named arguments, a list of them, or - for stdin.
    """
    from wakeline.verbs import starts

    app = console.app
    body = app.registry.startable(name)
    text = text_of("The argument object", arguments, file)
    given = body.signature.bind_json(payload("The argument object", "{}" if text is None else text))
    if delay is not None and at is not None:
        raise click.UsageError("--delay and --at both say when it starts; give one of them.")
    options = Options(id=id, queue=queue, delay=delay, at=at, unique=unique, if_running=if_running)
    pid = app.run("app.start", starts.start(app.caller, body, given, options))
    if wait is None:
        return console.answer({"id": pid}, pid)
    console.note(pid)
    from wakeline.client.handles import as_json

    result = app.handle(pid, as_json).result(timeout=wait)
    console.answer({"id": pid, "result": result}, to_json(result))


@command("signal")
@click.argument("words", metavar="[ID] NAME [JSON]", nargs=-1, required=True, shell_complete=complete_process)
@option("--key", help="The same key again is the same signal.")
@from_file
@or_many(["live", *LIVE])
@click.pass_obj
def signal(console: Console, words: tuple[str, ...], key: str | None, file: Path | None, meant: Meant) -> int:
    """Send a signal to a process.

    JSON is its payload, null unless given, or - for stdin. With a filter in place of the ID it goes to all of these,
    once to each under the key.
    """
    given, name, argument = _signal_of(words, meant)
    text = text_of("The payload", argument, file)
    value = payload("The payload", text if text is not None else "null")
    if meant.instead_of(given):
        one_key = key if key is not None else f"many-{secrets.token_hex(6)}"
        act = partial(console.app.many.signal, name, value, key=one_key, **meant.options(console.app))
        return meant.run(console, "signal", "signalled", act, again=f"the same command goes on with --key {one_key}")
    pid = process_id(console.app, str(given))
    with saying_that_none_was_given(text):
        sequence = console.app.handle(pid).signal(name, value, key=key)
    console.answer({"id": pid, "sequence": sequence}, f"signal {name} is event {sequence} of {pid}")
    return 0


def _signal_of(words: tuple[str, ...], meant: Meant) -> tuple[str | None, str, str | None]:
    """Id, name and payload as they were typed; no id with a filter."""
    rest = words if meant.is_given else words[1:]
    if len(rest) not in (1, 2):
        form = "NAME [JSON]" if meant.is_given else "ID NAME [JSON]"
        raise click.UsageError(f"`wakeline signal` takes {form}{', with a filter' if meant.is_given else ''}.")
    return (None if meant.is_given else words[0]), rest[0], rest[1] if len(rest) == 2 else None


@command("cancel")
@click.argument("given", metavar="[ID]", required=False, shell_complete=complete_process)
@option("--reason", default="requested by an operator", show_default=True)
@or_many(["live", *LIVE])
@click.pass_obj
def cancel(console: Console, given: str | None, reason: str, meant: Meant) -> int:
    """Ask a process to end.

    After the grace it is ended in any case. Prints its present status. For an ended process this changes nothing. With
    a filter in place of the ID it asks all of these that live.
    """
    if meant.instead_of(given):
        act = partial(console.app.many.cancel, reason=reason, **meant.options(console.app))
        return meant.run(console, "cancel", "asked to end", act)
    pid = process_id(console.app, str(given))
    status = console.app.handle(pid).cancel(reason)
    console.answer({"id": pid, "status": status}, status)
    return 0


@command("retry")
@click.argument("given", metavar="[ID]", required=False, shell_complete=complete_process)
@or_many(["ended", *ENDED])
@click.pass_obj
def retry(console: Console, given: str | None, meant: Meant) -> int:
    """Run an ended process again.

    As a process of its own with the same registration; prints its id. Asked again, it is the same one. With a filter in
    place of the ID it runs all of these again; those that failed, unless --status says otherwise.
    """
    if meant.instead_of(given):
        return meant.run(console, "retry", "run again", partial(console.app.many.retry, **meant.options(console.app)))
    ended = process_id(console.app, str(given))
    pid = console.app.handle(ended).retry().id
    console.answer({"id": pid, "retry_of": ended}, pid)
    return 0


@command("ps")
@filters
@option("--limit", default=50, show_default=True, type=click.IntRange(1, MOST))
@option("--after", metavar="CURSOR", help="Go on behind a page: the cursor that it named.")
@watched
@click.pass_obj
def ps(console: Console, which: ProcessQuery, limit: int, after: str | None) -> None:
    """List processes, newest first within each status."""
    from wakeline.verbs import looks

    app = console.app
    which = resolved(which, partial(process_id, app))
    rows = app.run("app.processes", looks.listed(which, limit=limit, after=after))
    if not rows:
        _doubt(console, which.kind)
    shown_columns = 6 if any(row.labels for row in rows) else 5
    cells = [
        (row.id, row.status, what(row), age(row.seen_ms - row.created_ms), awaited(row), labelled(row))[:shown_columns]
        for row in rows
    ]
    data = [row.to_data() for row in rows]
    headings = ("ID", "STATUS", "KIND", "AGE", "WAITING FOR, ERROR", "LABELS")[:shown_columns]
    console.table(headings, cells, data, empty="no processes", spare=(5,))
    if rows.more:
        console.cut(limit, next_page(rows))


def _doubt(console: Console, kind: str | None) -> None:
    """Says what may be mistyped where nothing was found; processes of code that left the app may have been asked
    for."""
    registry = console.app.registry
    if (
        kind is not None
        and kind not in INPUT_KINDS
        and registry.current(kind) not in {name for name, _ in registry.versions}
    ):
        console.note(f"wakeline: this app has no engine {kind!r}, and the other kinds are {', '.join(INPUT_KINDS)}")


@command("show")
@click.argument("given", metavar="ID", shell_complete=complete_process)
@click.pass_obj
def show(console: Console, given: str) -> None:
    """Show one process.

    What it is, where it stands, what it waits for, how it ended.
    """
    pid = process_id(console.app, given)
    handle = console.app.handle(pid)
    view, why = handle.view(), handle.why()
    said = list(lines_of(view))
    to_do = [one for one in why.to_do if not any(one in line for line in said)]
    console.answer(view.to_data(), *said, *(f"{'to do':<16} {one}" for one in to_do))


@command("events")
@click.argument("given", metavar="ID", shell_complete=complete_process)
@option("-f", "--follow", is_flag=True, help="Go on until the process ends.")
@option("--after", default=0, show_default=True, type=click.IntRange(0, MOST), help="Only events after this sequence.")
@click.pass_obj
def events(console: Console, given: str, follow: bool, after: int) -> None:
    """Print a process's events.

    With --json one object a line.
    """
    pid = process_id(console.app, given)
    for event in console.app.handle(pid).events(after=after, follow=follow):
        line = line_of(event)
        console.answer(event.to_data(), line if console.room is None else beginning(shown(line[: SHOWN + 1]), SHOWN))


def lines_of(view: ProcessView) -> Iterator[str]:
    """A process for people: a line for each fact, then one for each thing it waits for."""
    for name, value in view.to_data().items():
        if name not in APART and value not in (None, [], {}, False):
            yield f"{name.removesuffix('_ms'):<16} {plain(name, value)}"
    waits = [sentence(wait) for wait in view.waits]
    if view.because is not None and view.misfit is None:
        waits.append(view.because.message)
    for wait in waits:
        yield f"{'waits for':<16} {wait}"
    if view.status == "queued":
        for run in view.runs:
            yield f"{'place':<16} {place_said(run, view.seen_ms)}"
    for setback in view.setbacks[-SETBACKS:]:
        yield f"{'setback':<16} {said_of(setback)}"
    if len(view.setbacks) > SETBACKS:
        yield f"{'setback':<16} and earlier ones; `wakeline events {shlex.quote(view.id)}` has all"
    if view.failed_effect is not None:
        yield f"{'failed in':<16} {view.failed_effect.kind} {view.failed_effect.tool or view.failed_effect.name}"
    for line in (view.trace or "").splitlines():
        yield f"{'trace':<16} {line}"
    if (more := view.waits_count - FIRST) > 0:
        yield f"{'waits for':<16} {more} more of these"
    if (more := view.children_count - len(view.children)) > 0:
        yield f"{'more children':<16} {more}; `wakeline ps --parent {shlex.quote(view.id)}` lists all"


def said_of(setback: Setback) -> str:
    """What went wrong, when, and when it goes on, in a sentence."""
    match setback.kind:
        case "attempt":
            of = f" of tool {setback.tool}" if setback.tool else ""
            what = f"attempt {setback.number}{of} failed: {setback.code}: {setback.message}"
        case "loss":
            what = f"lost with its worker {setback.message}, number {setback.number} in a row"
        case "misfit":
            what = f"code that does not fit ({setback.code}): {setback.message}"
    after = f"; the next one came at {moment(setback.next_ms, exact=True)}" if setback.next_ms is not None else ""
    return f"{moment(setback.at_ms, exact=True)}  {what}{after}"


def line_of(event: EventView) -> str:
    """An event for people."""
    said = to_json(event.said) if event.run is None or event.said else ""
    parts = [f"{event.sequence:>4}", moment(event.at_ms, exact=True), f"{event.type:<26} {said}"]
    return "  ".join([*parts, *_of_run(event.run)] if event.run is not None else parts).rstrip()


def _of_run(run: RunFacts) -> list[str]:
    """The run that an event tells of, in short: which attempt, since when, by which worker, of which release."""
    named = [f"release {run.release}"] if run.release is not None else []
    return [", ".join([f"attempt {run.attempt} since {moment(run.claimed_ms, exact=True)} by {run.owner}", *named])]


def what(row: Status) -> str:
    """Kind and label in one word."""
    return f"{row.kind}:{row.label}" if row.label and row.label != row.kind else row.kind


def labelled(row: Status) -> str:
    """The labels of a process as `--label` takes them."""
    return " ".join(shlex.quote(f"{name}={value}") for name, value in row.labels.items())


def awaited(row: Status) -> str:
    """What a process waits for, or how it failed, in short."""
    if row.error is not None:
        return row.error
    return row.because.what if row.because is not None else ",".join(row.waiting_for)


def plain(name: str, value: Any) -> str:
    """A value in a line for people: times of day in UTC, texts as they are, the rest as JSON."""
    if name == "misfit":
        return f"{value['message']} (since {moment(value['since_ms'])})"
    if name.endswith("_ms"):
        return moment(value)
    if name == "queue":
        return named(value)
    return value if isinstance(value, str) else to_json(value)


def age(ms: int) -> str:
    """How long ago, in one unit."""
    seconds = max(0, ms) // 1000
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
