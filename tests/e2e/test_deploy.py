"""The files a deploy reads say commands that work: each line of the Procfile is run as written, and ends at SIGTERM."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from wakeline import App
from wakeline.embedded import PrivateServer

ROOT = Path(__file__).parents[2]
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())


@pytest.fixture
def env(server: PrivateServer, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "notes").touch()
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": "wakeline_workers.demo_app:app",
        "WAKELINE_DEMO_NOTES": str(tmp_path / "notes"),
        "WAKELINE_NAMESPACE": f"deploy{os.getpid()}",
    }


def test_the_procfile_names_what_platforms_expect() -> None:
    assert list(PROCFILE) == ["release", "worker", "clock"]


def test_the_release_line_passes_on_a_good_server_and_stops_a_release_without_one(env: dict[str, str]) -> None:
    assert (
        subprocess.run(
            ["sh", "-c", PROCFILE["release"]], env=env, timeout=30, check=False, capture_output=True
        ).returncode
        == 0
    )
    gone = env | {"WAKELINE_REDIS_URL": "redis://127.0.0.1:1/0"}
    assert (
        subprocess.run(
            ["sh", "-c", PROCFILE["release"]], env=gone, timeout=30, check=False, capture_output=True
        ).returncode
        == 69
    )


def test_worker_and_clock_serve_until_sigterm(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAKELINE_REDIS_URL", "WAKELINE_NAMESPACE", "WAKELINE_DEMO_NOTES"):
        monkeypatch.setenv(name, env[name])
    # A process group each, as a dyno has: SIGTERM goes to every process of it, and once more.
    running = [
        subprocess.Popen(["sh", "-c", f"exec {PROCFILE[name]}"], env=env, start_new_session=True)
        for name in ("worker", "clock")
    ]
    try:
        app = App("demo")
        assert (
            app.start(app.tool(charge), 7, 100).result(timeout=15) == "order 7: 100 cents"
        )  # the worker's own tool of that name
        app.close()
        end = time.monotonic() + 15
        while not all(catches_sigterm(child.pid) for child in running):
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        for _ in range(2):
            for child in running:
                os.killpg(child.pid, signal.SIGTERM)
            time.sleep(0.1)
    assert [child.wait(25) for child in running] == [0, 0]


def charge(order: int, cents: int) -> str:
    """What the demo's app calls by this name; never run here."""
    raise AssertionError(order, cents)


def catches_sigterm(pid: int) -> bool:
    """Whether a process has its handler in place (Linux: the mask of caught signals)."""
    caught = re.search(r"^SigCgt:\s+([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_app_json_and_docker_name_files_and_commands_that_exist() -> None:
    described = json.loads((ROOT / "app.json").read_text())
    assert set(described["formation"]) <= set(PROCFILE)
    image = (ROOT / "docker" / "Dockerfile").read_text()
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", image, re.MULTILINE
    )  # what another stage made is no file of the tree
    assert all((ROOT / name).exists() for line in copied for name in line.split())
    assert 'CMD ["wakeline", "worker"' in image
    assert "dockerfile: docker/Dockerfile" in (ROOT / "docker" / "compose.yml").read_text()
