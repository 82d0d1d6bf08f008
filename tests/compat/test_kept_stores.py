"""Stores that releases left behind: this one lists, reads and finishes them, and nothing of them is lost, doubled or
left over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wakeline import App, Handle
from wakeline.errors import ProcessCancelled, ProcessFailed
from wakeline.observe.processes import ENDED, LIVE
from wakeline.store import fleet, processes
from wakeline.store.connection import Backend
from wakeline.store.formats import SHAPES

from tests.compat.kept import STORES, dump, fill, restore, shop_of, world_of
from tests.lua.world import START_MS, World
from tests.races.conftest import backend, lua_server
from tests.races.workers import work

__all__ = ["backend", "lua_server"]
RELEASES = sorted(STORES.glob("*.json"))
STEP_MS = 6_000
ORDER = {"doubled": 42, "failed": "ValueError: 21 is no good", "noted": "NOTED", "tags": ["a", "b"], "moment": True}
ENDS: dict[str, Any] = {
    "holds": 2,
    "held": 3,
    "parked": ORDER | {"seen": 1},
    "signalled": ORDER | {"seen": 9},
    "Zoë/日本 #1": ORDER | {"seen": 2},
    "in an environment": "rested",
    "unique": "rested",
    "family": [2, 4, 11],
    "asks": True,
    "measures": 140,
    "counts": 3,
    "ci-1": {"ok": True},
    "ended": 8,
}


@pytest.fixture(params=RELEASES, ids=lambda path: path.stem)
def kept(request: pytest.FixtureRequest, backend: Backend) -> Iterator[tuple[World, App, dict[str, Any]]]:
    """A kept store, an hour later on another server, and this release's app on it."""
    path: Path = request.param
    stored = json.loads(path.read_text(encoding="utf-8"))
    restore(backend, stored["store"])
    world = world_of(backend, stored["facts"]["now_ms"] + 60_000)
    yield world, shop_of(world), stored["facts"]
    world.store.close()


def serve(world: World, app: App, rounds: int = 1) -> None:
    """Workers run what there is, and time goes on."""
    for _ in range(rounds):
        world.tick()
        work(world, app)
        world.pass_ms(STEP_MS)


def test_a_kept_store_is_listed_before_anything_runs(kept: tuple[World, App, dict[str, Any]]) -> None:
    world, app, facts = kept
    listed = {row.id: (row.status, row.kind, row.unread) for row in app.processes(limit=1000)}
    assert {row[2] for row in listed.values()} == {None}
    assert {
        pid: listed[pid][:2] for pid in ("parked", "holds", "held", "asks", "ended", "failed", "ci-1", facts["pushed"])
    } == {
        "parked": ("waiting", "order"),
        "holds": ("running", "tool"),
        "held": ("queued", "tool"),
        "asks": ("waiting", "asks"),
        "ended": ("completed", "tool"),
        "failed": ("failed", "tool"),
        "ci-1": ("running", "external"),
        facts["pushed"]: ("queued", "build"),
    }
    told = [event.type for event in app.handle("parked").events() if event.type != "process.attempt_failed"]
    assert told == ["process.started", "measured", "process.waiting"]
    desk = app.session("clerk", "zoe@example.com")
    assert (desk.inspect().status, desk.state(), desk.history()[0].content) == ("active", {"turns": 2}, "first")
    assert [view.subscription.name for view in app.trigger("github.push").subscriptions()] == ["builds"]
    view = world.do(fleet.read_fleet(app.queues))
    assert (view.format, [row.unread for row in view.queued if row.unread]) == ("1", [])
    assert app.attachments.get(facts["picture"])[:8] == b"\x89PNG\r\n\x00\x01"


def test_filters_of_a_kept_store_find_what_they_found_before_anything_was_entered(
    kept: tuple[World, App, dict[str, Any]],
) -> None:
    world, app, facts = kept
    filters = (
        {"kind": "order"},
        {"kind": "tool"},
        {"kind": "external"},
        {"kind": "session_turn"},
        {"session": "clerk/zoe@example.com"},
        {"waiting": "go"},
    )

    def found() -> list[set[str]]:
        return [{row.id for row in app.processes("any", limit=1000, **by)} for by in filters]

    before = found()
    assert "parked" in before[0] & before[4] & before[5]
    assert "ci-1" in before[2] & before[4]
    for status in LIVE + ENDED:
        for letter in "kspw":
            assert world.do(processes.index(status, letter)) is False
    assert len(world.redis.keys(world.key("by:*"))) >= 10
    assert found() == before
    finish(*kept)
    ended = [world.redis.hget(world.key(f"proc:{pid}"), "ix") for pid in ("parked", "ci-1", facts["pushed"])]
    assert ended == [None] * 3


def test_a_kept_store_is_finished(kept: tuple[World, App, dict[str, Any]]) -> None:
    finish(*kept)


def test_an_approval_that_a_release_left_open_is_listed_by_ticks_and_can_be_answered_from_the_list(
    kept: tuple[World, App, dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    world, app, facts = kept
    path: Path = request.node.callspec.params["kept"]
    # The first store is from before there was such a list.
    assert [view.process_id for view in app.approvals()] == ([] if path.stem == "0.1.0" else ["asks"])
    for _ in range(12):
        world.tick()
    [view] = app.approvals()
    assert (view.process_id, view.name, view.question, view.label) == ("asks", "deploy", None, None)
    assert (view.schema, view.options) == ({"type": "boolean"}, [True, False])
    assert app.answer(view, True)
    assert app.approvals() == []
    assert app.resolve(facts["token"], False) is False
    serve(world, app, 3)
    assert app.handle("asks").result(timeout=1) is True


def test_what_the_release_after_wrote_is_left_as_it_is_and_finished_when_that_is_back(
    kept: tuple[World, App, dict[str, Any]],
) -> None:
    """A rollback and its end: the same store as a later release would leave it, with a field that this one does not
    know in every registration."""
    world, app, facts = kept
    live = [row.id for row in app.processes("live", limit=1000)]
    specs = {pid: world.redis.get(world.key(f"spec:{pid}")) for pid in live}
    later = {pid: text[:-1] + ',"later":{"a":[1]}}' for pid, text in specs.items()}
    for pid, text in later.items():
        world.redis.set(world.key(f"spec:{pid}"), text)
    journals = {pid: world.journal(pid) for pid in live}
    serve(world, app, 4)
    assert {pid: world.redis.get(world.key(f"spec:{pid}")) for pid in live} == later
    assert {pid: world.journal(pid) for pid in live} == journals
    listed = {row.id: row for row in app.processes(limit=1000)}
    assert {listed[pid].unread for pid in live} == {"it has fields that this release does not know: later"}
    assert {row.status for row in listed.values()} == {
        "queued",
        "waiting",
        "running",
        "completed",
        "failed",
        "cancelled",
    }
    app.handle("parked").signal("go", 1)
    assert {world.field(name, pid) for name in ("at",) for pid in live} == {None}
    for pid, text in specs.items():
        world.redis.set(world.key(f"spec:{pid}"), text)
    finish(world, app, facts, signalled=True)


def finish(world: World, app: App, facts: dict[str, Any], *, signalled: bool = False) -> None:
    """This release runs what there is to its end."""
    serve(world, app, 3)
    if not signalled:
        app.handle("parked").signal("go", 1)
    app.handle("Zoë/日本 #1").signal("go", 2)
    assert (app.resolve(facts["token"], True), app.resolve(facts["token"], False)) == (True, False)
    app.external("ci", id="ci-1", wake=app.session("clerk", "zoe@example.com"), metadata={"build": 17}).finish(
        {"ok": True}
    )
    serve(world, app, 3)
    world.pass_ms(3_600_000)
    serve(world, app, 3)
    assert {pid: app.handle(pid).result(timeout=1) for pid in ENDS} == ENDS
    assert app.handle(facts["pushed"]).result(timeout=1) == "built shop"
    assert failure_of(app.handle("failed")) == "4 is no good"
    with pytest.raises(ProcessCancelled):
        app.handle("cancelled").result(timeout=1)
    # A repetition is known as one, in every form that says so.
    assert app.using(id="ended").start(app.registry.tools["double"], 4).id == "ended"
    assert app.trigger("github.push").emit({"repo": "shop"}, key="push-1").started == (facts["pushed"],)
    desk = app.session("clerk", "zoe@example.com")
    last = desk.send("last", key="k")
    assert (desk.why(last).endswith("read it and ended"), desk.inspect().status) == (True, "idle")
    heard = [entry.event_type for entry in desk.wakes() if entry.process_id == "parked"]
    assert heard == ["measured", "process.completed"]
    assert {row.status for row in app.processes(limit=1000)} == {"completed", "failed", "cancelled"}
    assert world.redis.smembers(world.key("holds:b:scarce")) == set()


def failure_of(handle: Handle[Any]) -> str:
    with pytest.raises(ProcessFailed) as failed:
        handle.result(timeout=1)
    return failed.value.failure_message


def shape_of(value: Any) -> Any:
    """Where a value has which fields: what a reader goes by, without what it holds."""
    if isinstance(value, str) and value[:1] in "{[":
        try:
            value = json.loads(value)
        except ValueError:
            return "text"
    if isinstance(value, dict):
        # Groups of waits are called by random letters.
        return {
            "o:" if name.startswith("o:") else name: shape_of(inner)
            for name, inner in sorted(value.items())
            if not name.isdigit()
        }
    return type(value).__name__


def test_what_is_written_has_the_fields_of_the_table(backend: Backend) -> None:
    world = world_of(backend, START_MS)
    fill(world)
    listed = {shape.name: set(shape.fields) for shape in SHAPES}
    found: dict[str, set[str]] = {}
    for key, one in dump(world).items():
        match key.removeprefix(world.key("")).partition(":")[0]:
            case "journal":
                found.setdefault("journal row", set()).update(
                    *(json.loads(text) for name, text in one["holds"].items() if not name.startswith("@"))
                )
            case "wakes":
                found.setdefault("inbox entry", set()).update(
                    *(json.loads(text) for name, text in one["holds"].items() if name.isdigit())
                )
            case "hist":
                found.setdefault("message", set()).update(*(json.loads(fields["m"]) for _, fields in one["holds"]))
            case "events":
                found.setdefault("event", set()).update(*(fields for _, fields in one["holds"]))
                found.setdefault("meaning of an event", set()).update(
                    *(json.loads(fields["s"]) for _, fields in one["holds"] if "s" in fields)
                )
            case _:
                pass
    assert {name: fields - listed[name] for name, fields in found.items()} == {name: set() for name in found}
    assert set(found) == {"journal row", "inbox entry", "message", "event", "meaning of an event"}
    world.store.close()


def test_this_release_leaves_what_it_kept(backend: Backend) -> None:
    """What this release writes has the fields of what it kept: a shape that changed needs a number and a store of its
    own (docs/formats.md)."""
    world = world_of(backend, START_MS)
    fill(world)
    now, then = dump(world), json.loads(RELEASES[-1].read_text(encoding="utf-8"))["store"]
    for pid in ("parked", "family", "measures", "holds", "ci-1"):
        for family in ("proc", "spec"):
            key = world.key(f"{family}:{pid}")
            assert shape_of(now[key]["holds"]) == shape_of(then[key]["holds"]), (
                f"{key}: write a store for this release, and see docs/formats.md"
            )
        rows = [
            sorted(json.loads(text))
            for key, text in now.get(world.key(f"journal:{pid}"), {"holds": {}})["holds"].items()
            if not key.startswith("@")
        ]
        kept = [
            sorted(json.loads(text))
            for key, text in then.get(world.key(f"journal:{pid}"), {"holds": {}})["holds"].items()
            if not key.startswith("@")
        ]
        assert sorted(rows) == sorted(kept)
    for key in ("sess:clerk/zoe@example.com", "schedule:daily", "subs:github.push", "limits", "agents"):
        assert sorted(shape_of(now[world.key(key)]["holds"])) == sorted(shape_of(then[world.key(key)]["holds"])), key
    world.store.close()
