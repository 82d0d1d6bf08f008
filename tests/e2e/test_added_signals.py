"""A real worker of a later release, and a process that an earlier one started and parked: signals that it adds, and
that it renames."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

from wakeline.embedded import PrivateServer

from tests.e2e.sentinels import until
from tests.e2e.test_races import leave

EARLIER = """
from wakeline import App, Ctx
app = App("releases")

@app.engine(signals={"go": bool})
def order(ctx: Ctx) -> str:
    ctx.wait("go")
    return "the earlier one"
"""
LATER = """
from wakeline import App, Ctx
app = App("releases")

@app.engine(signals={"go": bool, "more": int})
def order(ctx: Ctx) -> str:
    ctx.wait("go")
    return f"the later one, with {ctx.wait('more')}"
"""


RENAMED = """
from wakeline import App, Ctx, Signal
app = App("releases")

@app.engine(signals={"start": Signal(bool, was=["go"]), "more": int})
def order(ctx: Ctx) -> str:
    ctx.wait("start")
    return f"the later one, with {ctx.wait('more')}"
"""


class Site:
    """Two releases in folders of their own, with the programs that run them."""

    def __init__(self, server: PrivateServer, folder: Path, later: str) -> None:
        self._server, self._folder, self._namespace = server, folder, "r" + token_hex(4)
        for release, source in (("earlier", EARLIER), ("later", later)):
            (folder / release).mkdir()
            (folder / release / "order_app.py").write_text(source)

    def _at(self, release: str) -> dict[str, object]:
        path = os.pathsep.join([str(self._folder / release), os.environ.get("PYTHONPATH", "")])
        given = {
            "WAKELINE_REDIS_URL": self._server.url,
            "WAKELINE_APP": "order_app:app",
            "WAKELINE_HOLD": "0",
            "PYTHONPATH": path,
        }
        return {"cwd": self._folder / release, "env": os.environ | given | {"WAKELINE_NAMESPACE": self._namespace}}

    def worker(self, release: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker"], **self._at(release))  # type: ignore[call-overload,no-any-return]

    def command(self, release: str, *words: str) -> str:
        program = [sys.executable, "-m", "wakeline_workers.cli"]
        done = subprocess.run(
            [*program, *words], capture_output=True, text=True, timeout=60, check=False, **self._at(release)
        )  # type: ignore[call-overload]
        return str(done.stdout + done.stderr)

    def waits_for(self, name: str) -> Callable[[], bool]:
        return lambda: name in self.command("earlier", "waits")

    def ended(self, process_id: str) -> Callable[[], bool]:
        return lambda: json.loads(self.command("later", "show", process_id, "--json"))["status"] == "completed"


def test_a_signal_that_a_release_adds_reaches_a_process_of_the_one_before_by_the_command_line(
    server: PrivateServer, tmp_path: Path
) -> None:
    site = Site(server, tmp_path, LATER)
    running = site.worker("earlier")
    try:
        site.command("earlier", "start", "order", "--id", "o-1")
        until(site.waits_for("go"), "the earlier release waits")
        leave(running)
        running = site.worker("later")
        assert "does not declare 'signal.more'" in site.command("earlier", "signal", "o-1", "more", "7")
        site.command("later", "signal", "o-1", "more", "7", "--key", "early")
        site.command("earlier", "signal", "o-1", "go", "true")
        until(site.ended("o-1"), "the later release ends it")
        assert "the later one, with 7" in site.command("later", "show", "o-1", "--json")
    finally:
        leave(running)


def test_a_signal_that_a_release_renames_reaches_processes_of_both_by_the_command_line_of_both(
    server: PrivateServer, tmp_path: Path
) -> None:
    site = Site(server, tmp_path, RENAMED)
    running = site.worker("earlier")
    try:
        for process_id in ("new-name", "old-name"):
            site.command("earlier", "start", "order", "--id", process_id)
        until(lambda: site.command("earlier", "waits").count("go") == 2, "the earlier release waits")
        site.command("later", "signal", "new-name", "start", "true")
        until(
            lambda: "the earlier one" in site.command("later", "show", "new-name", "--json"), "its own release ends it"
        )
        leave(running)
        running = site.worker("later")
        site.command("later", "start", "order", "--id", "of-the-later")
        until(site.waits_for("start"), "the later release waits under the new name")
        for process_id in ("old-name", "of-the-later"):
            site.command("earlier", "signal", process_id, "go", "true")
            site.command("later", "signal", process_id, "more", "7")
            until(site.ended(process_id), "the later release ends it")
            assert "the later one, with 7" in site.command("later", "show", process_id, "--json")
    finally:
        leave(running)
