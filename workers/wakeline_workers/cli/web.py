"""The command that serves the app over HTTP: web."""

from __future__ import annotations

from importlib.util import find_spec

import click
from wakeline.errors import ExtraMissing

from wakeline_workers.cli.root import Console, command, option
from wakeline_workers.streams import keep_output


@command("web")
@option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to serve at. Any but a loopback address needs a way to tell who asks.",
)
@option(
    "--port",
    default=8377,
    show_default=True,
    type=click.IntRange(0, 65_535),
    envvar=["WAKELINE_WEB_PORT", "PORT"],
    help="The port; 0 takes a free one.",
)
@option("--readonly", is_flag=True, help="Without what changes something.")
@click.pass_obj
def web(console: Console, host: str, port: int, readonly: bool) -> None:
    """Serve the app over HTTP, until SIGTERM or SIGINT.

    The API is under /v1, and /v1/openapi.json describes it. At a loopback address it is open to all of this machine,
    unless WAKELINE_WEB_TOKENS, WAKELINE_WEB_USERS or WAKELINE_WEB_USER_HEADER say who may use it.
    """
    if any(find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise ExtraMissing(what="`wakeline web`", extra="web", instead="use the other commands, which do without")
    from wakeline.web.serving import serve

    keep_output()
    console.serves = True
    app = console.app
    serve(
        app,
        host,
        port,
        readonly=readonly,
        announce=lambda url: console.note(f"wakeline: {app.namespace} at {url} on {app.backend.describe()}"),
    )
