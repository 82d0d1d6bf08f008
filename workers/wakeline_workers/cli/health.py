"""The command for probes of a platform: health.

Invariant: it ends within its time, even if the server or the way to it hangs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import click
from wakeline import errors
from wakeline.observe.health import HealthView

from wakeline_workers.cli.root import Console, command, duration, exit_code, option

T = TypeVar("T")
UNREACHABLE = 69


@command("health")
@option("--workers", is_flag=True, help="Fail also if no worker takes from one of the app's queues.")
@option(
    "--timeout",
    default="1s",
    show_default=True,
    callback=duration,
    metavar="DURATION",
    help="How long Redis may take to answer all of it.",
)
@click.pass_obj
def health(console: Console, workers: bool, timeout: str) -> int:
    """Say in one line whether the fleet can work, for a probe.

    Redis answers, takes writes and runs scripts, and something ticks. Exits 1 if something is wrong, and 69 if Redis
    does not answer or takes no writes.
    """
    from wakeline.values import parse_duration
    from wakeline.verbs import fleet

    app = console.app
    where, lease_ms = app.backend.describe(), app.settings.lease_ms

    def look() -> HealthView:
        return app.run("wakeline health", fleet.health(app.queues, where, lease_ms=lease_ms, workers=workers))

    try:
        found = within(parse_duration(timeout) / 1000, look)
    except errors.WakelineError as error:
        if (code := exit_code(error)) == UNREACHABLE:
            raise
        said = f"unhealthy: {error}"
        console.answer({"ok": False, "message": said, "problems": [str(error)], "error": error.to_json()}, said)
        return min(code, 1)
    console.answer(found.to_data(), found.message)
    return 0 if found.ok else 1


def within(seconds: float, look: Callable[[], T]) -> T:
    """What a look finds. A name server or a socket may hang for longer than a client's own limits, so the look has a
    thread that nothing waits for; raises `RedisUnavailable` once its time is over."""
    found: list[T] = []
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            found.append(look())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
            raised.append(error)

    asking = threading.Thread(target=ask, name="wakeline-health", daemon=True)
    asking.start()
    asking.join(seconds)
    if raised:
        raise raised[0]
    if not found:
        raise errors.RedisUnavailable(reason=f"no answer within {seconds:g} s")
    return found[0]
