"""A real worker of a later release, and a process that an earlier one started and parked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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


def test_a_signal_that_a_release_adds_reaches_a_process_of_the_one_before_by_the_command_line(server: PrivateServer, tmp_path: Path) -> None:
    def at(release: str) -> dict[str, object]:
        path = os.pathsep.join([str(tmp_path / release), os.environ.get("PYTHONPATH", "")])
        given = {"WAKELINE_REDIS_URL": server.url, "WAKELINE_APP": "order_app:app", "WAKELINE_HOLD": "0", "PYTHONPATH": path}
        return {"cwd": tmp_path / release, "env": os.environ | given | {"WAKELINE_NAMESPACE": f"releases{os.getpid()}"}}

    def worker(release: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "wakeline_workers.cli", "worker"], **at(release))  # type: ignore[call-overload,no-any-return]

    def command(release: str, *words: str) -> str:
        done = subprocess.run([sys.executable, "-m", "wakeline_workers.cli", *words], capture_output=True, text=True, timeout=60, check=False, **at(release))  # type: ignore[call-overload]
        return str(done.stdout + done.stderr)

    def waits_for(name: str) -> Callable[[], bool]:
        return lambda: name in command("earlier", "waits")

    for release, source in (("earlier", EARLIER), ("later", LATER)):
        (tmp_path / release).mkdir()
        (tmp_path / release / "order_app.py").write_text(source)
    running = worker("earlier")
    try:
        command("earlier", "start", "order", "--id", "o-1")
        until(waits_for("go"), "the earlier release waits")
        leave(running)
        running = worker("later")
        assert "does not declare 'signal.more'" in command("earlier", "signal", "o-1", "more", "7")
        command("later", "signal", "o-1", "more", "7", "--key", "early")
        command("earlier", "signal", "o-1", "go", "true")
        until(lambda: json.loads(command("later", "show", "o-1", "--json"))["status"] == "completed", "the later release ends it")
        assert "the later one, with 7" in command("later", "show", "o-1", "--json")
    finally:
        leave(running)
