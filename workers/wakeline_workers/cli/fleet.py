"""Commands about the fleet: worker, clock, dev, demo, doctor."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import click
from wakeline.errors import StoreError
from wakeline.names import check_queue
from wakeline.shown import shown
from wakeline.store.keys import queue_name

from wakeline_workers.cli.root import Console, command, option
from wakeline_workers.streams import keep_output

if TYPE_CHECKING:
    from wakeline.app import App

LOOK_AGAIN_S = 0.5


def _queues(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    names = tuple(check_queue(name.strip()) for name in value.split(",") if name.strip())
    if not names:
        raise click.BadParameter("It names no queue. Leave it out to serve all of them.")
    return names


processes_option = option(
    "-n",
    "--processes",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    envvar="WAKELINE_PROCESSES",
    help="Worker processes.",
)
concurrency_option = option(
    "-c",
    "--concurrency",
    type=click.IntRange(1),
    envvar="WAKELINE_CONCURRENCY",
    help="Bodies at a time in each.  [default: 64]",
)


wait_option = option(
    "--wait/--no-wait",
    default=None,
    envvar="WAKELINE_WAIT",
    help="Wait for a server that is not there yet. [default: on a dyno]",
)


def _meet(console: Console, app: App, wait: bool | None) -> None:
    """The first contact, before anything starts. A wrong Redis, or one that refuses, is an error. If asked to, it waits
    for one that is not there yet."""
    waited = False
    while True:
        try:
            _ = app.store.secret
        except StoreError as error:
            if not error.retryable or not (app.settings.on_dyno if wait is None else wait):
                raise
            if not waited:
                console.note(f"wakeline: waiting for {app.backend.describe()}: {error}")
            waited = True
            time.sleep(LOOK_AGAIN_S)
            continue
        if waited:
            console.note(f"wakeline: {app.backend.describe()} is there")
        return


@command("worker")
@processes_option
@option(
    "-Q",
    "--queues",
    callback=_queues,
    envvar="WAKELINE_QUEUES",
    metavar="A,B",
    help="Only these queues, first come first served; without the app's name.",
)
@concurrency_option
@option("--burst", is_flag=True, envvar="WAKELINE_BURST", help="End when there is nothing left to do.")
@wait_option
@click.pass_obj
def worker(
    console: Console, processes: int, queues: tuple[str, ...], concurrency: int | None, burst: bool, wait: bool | None
) -> int:
    """Run workers under their supervisor, until SIGTERM or SIGINT."""
    from wakeline_workers import supervisor
    from wakeline_workers.cli.variables import tell_unread

    keep_output()
    console.serves = True
    tell_unread(console)
    app = console.app
    _meet(console, app, wait)
    for unknown in sorted(
        {queue_name(app.namespace, None if name == app.namespace else name) for name in queues}
        - {*app.queues, *app.queue_limits}
    ):
        name = unknown.removeprefix(f"{app.namespace}.")
        console.note(
            f"wakeline: no body of this app is named for queue {name!r}; only what is started with --queue comes there"
        )
    console.note(
        f"wakeline: {processes} worker{'' if processes == 1 else 's'} of {app.namespace} on {app.backend.describe()}"
    )
    return supervisor.run(console.target or "", processes, queues=queues, concurrency=concurrency, burst=burst)


@command("clock")
@wait_option
@click.pass_obj
def clock(console: Console, wait: bool | None) -> int:
    """Only tick, until SIGTERM or SIGINT.

    Timers, expired owners, lost doorbells, retention. Workers do this too.
    """
    from wakeline_workers import clock as ticking
    from wakeline_workers.cli.variables import tell_unread

    keep_output()
    console.serves = True
    tell_unread(console)
    app = console.app
    _meet(console, app, wait)
    console.note(f"wakeline: clock of {app.namespace} on {app.backend.describe()}")
    return ticking.run(app)


@command("dev")
@processes_option
@concurrency_option
@click.pass_obj
def dev(console: Console, processes: int, concurrency: int | None) -> int:
    """Run workers, with a server of their own if need be.

    Where no URL is set a private server is started, and stopped with the workers; its data goes with it. If something
    else ends it, it is started again on the same data.
    """
    from wakeline import embedded

    from wakeline_workers import supervisor, threads
    from wakeline_workers.cli.variables import tell_unread
    from wakeline_workers.threads import WorkerThread

    console.serves = True
    os.environ.setdefault("WAKELINE_LOG_FORMAT", "text")  # it is for a developer, also behind a pipe
    keep_output()
    tell_unread(console)
    lost = threading.Event()

    def stop() -> None:
        lost.set()
        os.kill(os.getpid(), signal.SIGTERM)

    with embedded.open_embedded() as server:
        console.note(f"wakeline: {server.describe()}")
        if server.server is not None:
            server.server.keep(console.note, stop)
        if server.url is not None:
            # Before the app is imported, because it reads its settings then, as every worker does.
            os.environ["WAKELINE_REDIS_URL"] = server.url
            # Only for a private server: the password of a configured one belongs on no screen and in no log.
            where = f"WAKELINE_REDIS_URL={server.url} " if server.private else ""
            # A user types this into a shell. So it is no entry of a log.
            click.echo(shown(f"export {where}WAKELINE_APP={console.target}"), err=True)
        app = console.app
        if server.url is None:
            app.connect(server.backend)
            with WorkerThread(app, concurrency=concurrency):
                return threads.until_stopped()
        _meet(console, app, server.private)
        code = supervisor.run(console.target or "", processes, concurrency=concurrency)
        return 69 if lost.is_set() else code


@command("demo")
@click.pass_obj
def demo(console: Console) -> int:
    """The product in a few seconds.

    Parks, kills a worker, resumes elsewhere, wakes an agent; checks every count.
    """
    from wakeline_workers import demo as story

    # With --json the result is one object, and the story goes to stderr.
    with contextlib.redirect_stdout(sys.stderr) if console.as_json else contextlib.nullcontext():
        code = story.main()
    if console.as_json:
        console.answer({"ok": code == 0})
    return code


@command("release")
@click.pass_obj
def release(console: Console) -> None:
    """Put what this release declares in force: schedules, limits, agents' turns.

    Use it in a release phase, before the first of its workers starts, or for a rollback while others still run.
    """
    from wakeline.releases import release_named
    from wakeline.verbs import triggers

    app = console.app
    declared = app.declared
    app.store.run(triggers.declare_all(declared, "named"))
    counts = {
        "limits": sum(bool(limit) for limit in declared.limits.values()),
        "schedules": len(declared.schedules),
        "agents": len(declared.agents),
    }
    told = ", ".join(f"{number} {what if number != 1 else what[:-1]}" for what, number in counts.items())
    console.answer(
        {"app": declared.app, "release": declared.release} | counts,
        f"release {release_named(declared.id)} of {declared.app} is in force: {told}",
    )


@command("doctor")
@option("--release", is_flag=True, help="For a release phase: fail only for problems that must stop a release.")
@click.pass_obj
def doctor(console: Console, release: bool) -> int:
    """Say what is wrong with Redis and the fleet.

    Prints one finding a line, each with what to do, and one line about all queues that are fine. Exits 1 if there is a
    problem.
    """
    from wakeline.observe.findings import summed_up

    from wakeline_workers.cli.variables import tell_unread

    tell_unread(console)
    found = console.app.doctor(release=release)
    console.answer(found.to_data(), *(f"{one.level:<8} {one.message}" for one in summed_up(found.findings)))
    return 0 if found.ok else 1
