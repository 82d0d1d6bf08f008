"""Restate: a server of its own, which calls a service over HTTP/2. Hypercorn serves it: two processes, uvloop, the
limits of Restate's guide for production.

The server has its defaults: what it is sent is in its log, flushed to disk, before it answers; it calls up to a
thousand handlers at once, and keeps their journals for a day. Sent by a hundred coroutines over aiohttp, as there is no
bulk call and the SDK's own client (httpx) takes longer for a request.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from secrets import token_hex

import aiohttp
import restate
import uvloop
from hypercorn.config import Config
from hypercorn.run import run

from benchmarks.peers import work

INGRESS, ADMIN, SERVICE = (os.environ.get(f"PEER_RESTATE_{name}", "") for name in ("INGRESS", "ADMIN", "SERVICE"))
FOREVER = 2147483647

peer = restate.Service("peer")
signals = restate.Workflow("signals")


@peer.handler()
async def nothing(ctx: restate.Context) -> None:
    """The no-op."""
    work.nothing()


@peer.handler()
async def began(ctx: restate.Context, sent: float) -> None:
    """The one whose delay is measured."""
    work.began(sent)


@peer.handler()
async def ten_steps(ctx: restate.Context) -> int:
    """Ten recorded steps, one after the other."""
    total = 0
    for n in range(10):
        total += await ctx.run_typed("one step", one_step, n=n)
    work.nothing()
    return total


@signals.main()
async def waits(ctx: restate.WorkflowContext) -> None:
    """Parks until its promise is resolved."""
    work.parks()
    await ctx.promise("go").value()
    work.nothing()


@signals.handler()
async def go(ctx: restate.WorkflowSharedContext) -> None:
    """Resolves the promise of the workflow of this key."""
    await ctx.promise("go").resolve(True)


async def one_step(n: int) -> int:
    """A step that returns its number."""
    return n


app = restate.app([peer, signals])


def serve() -> int:
    """Hypercorn with its worker processes."""
    limits = {"h2_max_concurrent_streams": FOREVER, "keep_alive_max_requests": FOREVER, "keep_alive_timeout": FOREVER}
    config = Config.from_mapping({"bind": SERVICE, "workers": work.PROCESSES, "worker_class": "uvloop", **limits})
    config.application_path = f"{__package__}.restate:app"
    return run(config)


def register(seconds: float = 20) -> None:
    """Tells the server where the service is, as soon as it is there."""
    body = json.dumps({"uri": f"http://{SERVICE}/"}).encode()
    request = urllib.request.Request(f"http://{ADMIN}/deployments", body, {"Content-Type": "application/json"})
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(request, timeout=seconds).close()
            return
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def client() -> dict[str, Callable[[int], object]]:
    """How handlers are called without waiting for them."""
    loop = asyncio.Runner(loop_factory=uvloop.new_event_loop)

    async def opened() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(f"http://{INGRESS}")

    session = loop.run(opened())
    register()

    keys: list[str] = []

    async def send(handler: str, body: float | None = None) -> None:
        empty = ["Content-Type"] if body is None else []  # its type is refused where there is no body
        async with session.post(f"/{handler}/send", json=body, skip_auto_headers=empty) as answer:
            answer.raise_for_status()

    def each(handler: str) -> object:
        left = iter(keys)
        return loop.run(work.gathered(len(keys), lambda: send(f"signals/{next(left)}/{handler}")))

    def park(n: int) -> None:
        keys[:] = [token_hex(8) for _ in range(n)]
        each("waits")

    return {
        "many": lambda n: loop.run(work.gathered(n, lambda: send("peer/nothing"))),
        "one": lambda _: loop.run(send("peer/began", time.time())),
        "steps": lambda n: loop.run(work.gathered(n, lambda: send("peer/ten_steps"))),
        "park": park,
        "signal": lambda _: each("go"),
    }


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.exit(serve())
    work.main([["-m", f"{__package__}.restate", "serve"]], client)
