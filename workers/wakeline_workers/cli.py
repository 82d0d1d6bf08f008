"""The command line. JSON goes to stdout with ``--json``; errors to stderr, one line with what to do.

Invariant: exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 timed out, 5 conflict, 69 Redis unreachable.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Any

import click
from wakeline import errors
from wakeline.app import App
from wakeline.runtime.service import json_arguments
from wakeline.store import fleet, sessions
from wakeline.values import parse_duration

from wakeline_workers import demo as demo_story
from wakeline_workers import supervisor
from wakeline_workers.loading import load_app

EXIT: tuple[tuple[type[errors.WakelineError], int], ...] = (
    (errors.RedisUnavailable, 69),
    (errors.ProcessNotFound, 3),
    (errors.ProcessNoLongerRetained, 3),
    (errors.SessionNotFound, 3),
    (errors.WaitTimeout, 4),
    (errors.ProcessConflict, 5),
    (errors.ReplayConflict, 5),
    (errors.ConfigurationError, 2),
    (errors.InputError, 2),
)


@click.group()
@click.option("-A", "--app", "target", envvar="WAKELINE_APP", help="module:attribute of the app")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout")
@click.pass_context
def cli(context: click.Context, target: str | None, as_json: bool) -> None:
    """Durable processes on Redis and RQ."""
    context.obj = (target, as_json)


def _app(context: click.Context) -> App:
    return load_app(context.obj[0])


def _show(context: click.Context, data: Any, text: str) -> None:
    click.echo(json.dumps(data) if context.obj[1] else text)


def _payload(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise errors.InvalidPayload(what="the payload", reason=f"not JSON: {error}") from error


@cli.command()
@click.option("-n", "processes", default=1, show_default=True, help="worker processes")
@click.pass_context
def worker(context: click.Context, processes: int) -> None:
    """Run workers under their supervisor."""
    app = _app(context)
    _ = app.store.secret  # a wrong or refused Redis is said before anything is started
    target = context.obj[0]
    sys.exit(supervisor.run(target, processes))


@cli.command()
def demo() -> None:
    """The product in a few seconds."""
    sys.exit(demo_story.main())


@cli.command()
@click.argument("name")
@click.argument("arguments", default="{}")
@click.option("--id", "process_id")
@click.option("--wait", "patience", help="wait this long for the result, e.g. 30s")
@click.pass_context
def start(context: click.Context, name: str, arguments: str, process_id: str | None, patience: str | None) -> None:
    """Start an engine or tool by name with JSON arguments."""
    app = _app(context)
    body = app.registry.startable(name)
    handle = app.using(id=process_id).start(body, **json_arguments(body, arguments))
    if patience is None:
        return _show(context, {"id": handle.id}, handle.id)
    result = body.signature.dump_result(handle.result(timeout=parse_duration(patience) / 1000))
    _show(context, {"id": handle.id, "result": result}, json.dumps(result))


@cli.command()
@click.argument("process_id")
@click.argument("name")
@click.argument("payload", default="null")
@click.option("--key", help="idempotency key")
@click.pass_context
def signal(context: click.Context, process_id: str, name: str, payload: str, key: str | None) -> None:
    """Send a signal with a JSON payload."""
    sequence = _app(context).handle(process_id).signal(name, _payload(payload), key=key)
    _show(context, {"sequence": sequence}, f"signal {name} is event {sequence}")


@cli.command()
@click.argument("process_id")
@click.option("--reason", default="requested by an operator")
@click.pass_context
def cancel(context: click.Context, process_id: str, reason: str) -> None:
    """Ask a process to end."""
    status = _app(context).handle(process_id).cancel(reason)
    _show(context, {"status": status}, status)


@cli.command()
@click.argument("token")
@click.argument("value", default="null")
@click.pass_context
def resolve(context: click.Context, token: str, value: str) -> None:
    """Resolve a bearer token with a JSON value."""
    first = _app(context).resolve(token, _payload(value))
    _show(context, {"accepted": first}, "accepted" if first else "resolved before; unchanged")


@cli.command()
@click.option("--status", default="any", type=click.Choice(["any", "live", "queued", "running", "waiting", "completed", "failed", "cancelled", "abandoned"]))
@click.option("--limit", default=50, show_default=True)
@click.pass_context
def ps(context: click.Context, status: str, limit: int) -> None:
    """List processes, newest first."""
    rows = _app(context).processes(status, limit=limit)
    now = time.time() * 1000
    lines = [f"{r.id:<40} {r.status:<10} {r.kind:<20} {(now - r.created_ms) / 1000:>8.0f}s  {','.join(r.waiting_for)}" for r in rows]
    _show(context, [asdict(r) for r in rows], "\n".join(lines))


@cli.command()
@click.argument("process_id")
@click.option("-f", "--follow", is_flag=True)
@click.option("--after", default=0)
@click.pass_context
def events(context: click.Context, process_id: str, follow: bool, after: int) -> None:
    """Print a process's events; -f goes on until its end."""
    for event in _app(context).handle(process_id).events(after=after, follow=follow):
        _show(context, asdict(event), f"{event.sequence:>4}  {event.type:<28} {event.payload[:200]}")


@cli.command("show")
@click.argument("process_id")
@click.pass_context
def show_process(context: click.Context, process_id: str) -> None:
    """Show one process."""
    status = asdict(_app(context).handle(process_id).status())
    _show(context, status, "\n".join(f"{name:<12} {value}" for name, value in status.items()))


@cli.command()
@click.argument("session")
@click.argument("text")
@click.option("--key", help="idempotency key")
@click.pass_context
def send(context: click.Context, session: str, text: str, key: str | None) -> None:
    """Put input into a session's inbox (session: agent/key)."""
    agent, _, name = session.partition("/")
    entry = _app(context).session(agent, name).send(text, key=key)
    _show(context, {"entry": entry}, f"entry {entry}")


@cli.command("sessions")
@click.pass_context
def list_sessions(context: click.Context) -> None:
    """List sessions by last activity."""
    rows = _app(context).store.execute(sessions.list_sessions())
    _show(context, [{"id": r[0], "pending": r[2]} for r in rows], "\n".join(f"{r[0]:<40} {r[2]} pending" for r in rows))


@cli.command()
@click.argument("session")
@click.pass_context
def wakes(context: click.Context, session: str) -> None:
    """Show a session's latest inbox entries and what became of them."""
    agent, _, name = session.partition("/")
    view = _app(context).session(agent, name).view(count=0)
    _show(context, [asdict(e) for e in view.entries], "\n".join(f"{e.n:>4}  {e.state:<60} {e.body[:120]}" for e in view.entries))


@cli.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """Say what Redis and the fleet look like; exit 1 when nobody would do the work."""
    app = _app(context)
    view = app.store.execute(fleet.read_fleet(app.queues))
    alive = [owner for owner, expiry, _ in view.owners if expiry > view.now_ms]
    _show(context, asdict(view) | {"alive": alive}, f"{app.backend.describe()}  counts {view.counts}  workers alive {len(alive)}  queues {view.queues}")
    if view.stuck:
        click.echo(f"doorbells nobody answers: {view.stuck}; a stock worker needs -S json and WAKELINE_APP", err=True)
    if view.stuck or (view.counts["queued"] and not alive):
        sys.exit(1)


def main() -> None:
    """Entry point: typed errors become one line and an exit code."""
    try:
        cli(standalone_mode=True)
    except errors.WakelineError as error:
        click.echo(f"wakeline: {error}", err=True)
        sys.exit(next((code for kind, code in EXIT if isinstance(error, kind)), 1))


if __name__ == "__main__":
    main()
