"""Releases that lack what is stored, that share a name, or that know an earlier format of keys, with real workers: all
waits and is named, nothing doubles."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.e2e.shop import until
from tests.e2e.test_bad_releases import noted, worker
from tests.e2e.test_tools_redeclared import Site, site

__all__ = ["site"]

WHOLE = """
from wakeline import AsyncTurn


@app.tool
def charge(cents: int) -> int:
    note("charged")
    return cents


@app.engine(name="parked", signals={"go": bool})
def parked(ctx: Ctx) -> int:
    paid = ctx.call(charge, 100)
    ctx.wait("go")
    return paid


@app.engine(name="fresh", queue="slow", limit=Limit(concurrency=2))
def fresh(ctx: Ctx) -> str:
    return "fresh"


@app.engine(name="nightly")
def nightly(ctx: Ctx) -> None: ...


app.cron("0 3 * * *", nightly)


@app.agent("clerk")
async def clerk(turn: AsyncTurn) -> str:
    return "answered"
"""
POOR = """

@app.engine(name="other")
def other(ctx: Ctx) -> str:
    return "other"
"""
OTHER_CENTS = WHOLE.replace("ctx.call(charge, 100)", "ctx.call(charge, 101)")


def doctor(folder: Path) -> dict[str, str]:
    """What doctor finds with the code of a release: problems and warnings by their code, those of one code together."""
    asked = [sys.executable, "-m", "wakeline_workers.cli", "-A", "shop:app", "--json", "doctor"]
    done = subprocess.run(asked, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    found: dict[str, str] = {}
    for one in json.loads(done.stdout)["findings"]:
        if one["level"] in ("problem", "warning"):
            found[one["code"]] = f"{found.get(one['code'], '')} {one['message']}"
    return found


def test_what_a_release_does_not_declare_waits_and_is_named_and_what_it_has_goes_on(site: Site) -> None:
    whole, poor = site.release("v1", WHOLE), site.release("v2", POOR)
    started = whole.app.using(id="p").start(whole.parked)
    with worker(site, "v1", "-n", "1"):
        until(lambda: started.status().status == "waiting", 60)
    started.signal("go", True)
    fresh = whole.app.using(id="f").start(whole.fresh)
    whole.app.session("clerk", "one").send("hello")
    with worker(site, "v2", "-n", "1"):
        for n in range(5):
            assert poor.app.using(id=f"o{n}").start(poor.other).result(timeout=60) == "other"
        time.sleep(2)
        assert (started.status().status, fresh.status().status) == ("queued", "queued")
        found = doctor(site.folder / "v2")
        assert "no code here for engine 'parked', needed by p;" in found["code"]
        assert "no code here for engine 'fresh', needed by f;" in found["code"]
        assert "no code here for agent 'clerk', needed by" in found["code"]
        client: Any = whole.app.store.client
        assert client.exists("{shop}:schedule:nightly") == 1
        assert client.hexists("{shop}:limits", "b:fresh")
    with worker(site, "v1", "-n", "1"):
        assert (started.result(timeout=60), fresh.result(timeout=60)) == (100, "fresh")
        assert whole.app.session("clerk", "one").ask("again", timeout=30) == "answered"
    assert noted(site, "charged") == 1


def test_two_releases_with_one_name_double_nothing_and_what_waits_is_taken_up_within_its_pause(site: Site) -> None:
    whole, other = site.release("v1", WHOLE), site.release("v2", OTHER_CENTS)
    assert other.app.namespace == "shop"
    started = whole.app.using(id="p").start(whole.parked)
    with worker(site, "v1", "-n", "1", WAKELINE_RELEASE="same"):
        until(lambda: started.status().status == "waiting", 60)
    with worker(site, "v2", "-n", "1", WAKELINE_RELEASE="same"):
        started.signal("go", True)
        until(lambda: started.status().misfit is not None, 30)
    found = started.status().misfit
    # Other code under the name is told apart: it goes by the name and the hash of its code.
    assert (found.kind, found.release.partition(" (code ")[0], found.release == "same") == ("mismatch", "same", False)
    with worker(site, "v1", "-n", "1", WAKELINE_RELEASE="same"):
        assert started.result(timeout=70) == 100
    assert noted(site, "charged") == 1


def test_a_worker_that_knows_an_earlier_format_of_keys_leaves_with_what_to_do(site: Site) -> None:
    whole = site.release("v1", WHOLE)
    client: Any = whole.app.store.client
    client.hset("{shop}:meta", "format", "2")
    with worker(site, "v1", "-n", "2") as log:
        assert log.process.wait(60) == 2
    assert "Deploy the release that wrote them or a later one, or use another namespace." in log.text
    assert "Traceback" not in log.text
    assert (
        "keys have format 2, this release writes 1; deploy a release that knows 2"
        in doctor(site.folder / "v1")["format"]
    )
