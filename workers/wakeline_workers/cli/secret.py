"""Commands about the namespace's secret, which makes the tokens of approvals: show its state, and rotate.

Invariant: no secret is ever shown, only its name.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click
from wakeline.shown import moment
from wakeline.store import keyring
from wakeline.values import parse_duration
from wakeline.waits.keys import secret_id

from wakeline_workers.cli.root import Console, command, duration, group, option

if TYPE_CHECKING:
    from wakeline.store.blocking import SyncStore


def _looking(console: Console) -> SyncStore:
    """A client that opens even if the secret is refused, because the command has to replace it."""
    from wakeline.store.blocking import SyncStore

    app = console.app
    return SyncStore(app.backend, replace(app.address, only_looks=True))


@group("secret")
@click.pass_context
def secret(context: click.Context) -> int:
    """Say what is known of the secret that makes tokens, or rotate it."""
    if context.invoked_subcommand is not None:
        return 0
    console: Console = context.obj
    store = _looking(console)
    ring = store.keyring
    store.close()
    if ring.refused is not None:
        console.answer(
            {"refused": ring.refused}, f"refused: {ring.refused}; make a new one with `wakeline secret rotate`"
        )
        return 1
    before = (
        {"id": secret_id(ring.previous), "until_ms": ring.until_ms}
        if ring.previous is not None and ring.until_ms is not None
        else None
    )
    lines = [f"current   {secret_id(ring.current)}"]
    if ring.previous is not None and ring.until_ms is not None:
        lines.append(f"previous  {secret_id(ring.previous)}  good until {moment(ring.until_ms)}")
    console.answer({"current": secret_id(ring.current), "previous": before}, *lines)
    return 0


@command("rotate", of=secret)
@option(
    "--keep",
    default="7d",
    show_default=True,
    callback=duration,
    help="How long earlier tokens stay good; 0s makes them void at once.",
)
@click.pass_obj
def rotate(console: Console, keep: str) -> None:
    """Make tokens with a new secret from now on.

    Workers use it within half a minute. Rotate only once all of them run this release, because the release before reads
    no tokens of a rotated secret.
    """
    store = _looking(console)
    done = store.execute(keyring.rotate(console.app.namespace, parse_duration(keep)))
    store.close()
    before = (
        f"those made before stay good until {moment(done.until_ms)}"
        if done.until_ms is not None
        else "those made before are void"
    )
    console.answer(asdict(done), f"tokens are made with secret {done.id} from now on; {before}")
