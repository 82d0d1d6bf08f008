"""Two deployments whose WAKELINE_RELEASE is the same, with different code, by real workers: they are told apart, named,
and nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from wakeline.embedded import PrivateServer

from tests.e2e.sentinels import until
from tests.e2e.test_races import leave

CODE = """
from wakeline import App, Ctx
app = App("shop")

@app.engine(signals={"go": int})
def order(ctx: Ctx) -> int:
    return ctx.wait("go")BROKEN
"""
PROGRAM = [sys.executable, "-m", "wakeline_workers.cli"]


class Site:
    """Deployments in folders of their own, all of which say that they are release v1."""

    def __init__(self, server: PrivateServer, folder: Path) -> None:
        self.folder, self.running = folder, list[subprocess.Popen[bytes]]()
        self._server, self._namespace = server, "n" + token_hex(4)
        for name, broken in (("first", ""), ("other", " + oops")):
            (folder / name).mkdir()
            (folder / name / "order_app.py").write_text(CODE.replace("BROKEN", broken))

    def _env(self, name: str) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder / name), os.environ.get("PYTHONPATH", "")])
        given = {
            "WAKELINE_REDIS_URL": self._server.url,
            "WAKELINE_APP": "order_app:app",
            "WAKELINE_HOLD": "0",
            "PYTHONPATH": path,
        }
        return os.environ | given | {"WAKELINE_RELEASE": "v1", "WAKELINE_NAMESPACE": self._namespace}

    def worker(self, name: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen([*PROGRAM, "worker"], env=self._env(name), stderr=log)
        self.running.append(worker)
        return worker

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def command(self, *words: str) -> Any:
        command = [*PROGRAM, *words, "--json"]
        done = subprocess.run(command, env=self._env("first"), capture_output=True, text=True, timeout=60, check=False)
        return json.loads(done.stdout)

    def show(self) -> Any:
        return self.command("show", "o-1")


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path) -> Iterator[Site]:
    made = Site(server, tmp_path)
    yield made
    for worker in made.running:
        leave(worker)


def test_two_deployments_with_one_name_are_told_apart_and_the_fault_of_one_waits_for_the_other(site: Site) -> None:
    first = site.worker("first")
    site.command("start", "order", "--id", "o-1")
    until(lambda: site.show()["status"] == "waiting", "the first one parks it")
    leave(first)
    site.command("signal", "o-1", "go", "5")
    other = site.worker("other")
    until(lambda: site.show().get("misfit") is not None, "the other one cannot go on with it")
    shown = site.show()
    assert (shown["status"], shown["misfit"]["kind"]) == ("queued", "bug")
    name = shown["misfit"]["release"]
    assert name.startswith("v1 (code ")
    [line] = [line for line in site.said("other").splitlines() if "came with that name first" in line]
    assert f"WAKELINE_RELEASE is v1, and other code came with that name first: this worker goes by '{name}'" in line
    back = site.worker("first")
    until(lambda: site.show()["status"] == "completed", "the first one goes on with it")
    assert site.show()["outcome"]["value"] == 5
    found = {one["code"]: (one["level"], one["message"]) for one in site.command("doctor")["findings"]}
    assert found["release_names"] == (
        "warning",
        (
            f"deployments with different code have one name: v1 (1 worker), which had it first, and {name} (1 worker);"
            " each counts as a release of its own; give each deployment a WAKELINE_RELEASE of its own"
        ),
    )
    assert "came with that name first" not in site.said("first")
    leave(other)
    assert "release_names" not in {one["code"] for one in site.command("doctor")["findings"]}
    leave(back)
