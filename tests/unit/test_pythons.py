"""The pythons that `dev.py` finds: a test run with the newest one says which it was, and why there was none."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HERE = (*sys.version_info[:3],)


@pytest.fixture
def dev() -> Any:
    found = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def python(path: Path, says: str) -> Path:
    """A program that says this of itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def told(version: str, kind: str = "final") -> str:
    return f"echo cpython {version.replace('.', ' ')} {kind}"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on its PATH, and an empty pyenv."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def test_pythons_on_the_path_and_of_pyenv_are_found(dev: Any, machine: Path) -> None:
    on_path = python(machine / "bin/python3.13", told("3.13.2"))
    of_pyenv = python(machine / "pyenv/versions/3.14.0/bin/python3", told("3.14.0"))
    assert dev.pythons() == {HERE: Path(sys.executable), (3, 13, 2): on_path, (3, 14, 0): of_pyenv}


@pytest.mark.parametrize(
    "says",
    [
        "echo python3.14 is not switched on >&2; exit 127",
        told("3.15.0", "alpha"),
        "echo pypy 3 14 0 final",
        told("3.10.13"),
        "echo",
    ],
)
def test_what_is_no_released_cpython_from_3_11_on_is_not_counted(dev: Any, machine: Path, says: str) -> None:
    python(machine / "bin/python3.14", says)
    assert dev.pythons() == {HERE: Path(sys.executable)}


@pytest.mark.parametrize(
    ("others", "newest"),
    [([], None), ([(3, 11, 9)], None), ([(3, 12, 1), (3, 13, 0)], (3, 13, 0)), ([(3, 10, 1)], None)],
)
def test_the_newest_is_of_a_later_minor_release(dev: Any, others: list[Any], newest: Any) -> None:
    assert dev.newer_than((3, 11, 7), dict.fromkeys([(3, 11, 7), *others], Path("python3"))) == newest


def test_without_a_newer_one_it_says_so(
    dev: Any, machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert dev.newest([]) == 0
    shown = ".".join(map(str, HERE))
    assert capfd.readouterr().out.splitlines() == [
        f"pythons: {shown} ({sys.executable})",
        f"none is newer than {shown}, which runs all tests",
    ]


def test_one_whose_packages_cannot_be_had_is_named_and_not_passed_over(
    dev: Any, machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    python(machine / "bin/python3.39", told("3.39.0"))

    def fails(*_: object) -> None:
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(dev, "set_up", fails)
    assert dev.newest([]) == 0
    assert "NOT tested with python 3.39.0: its packages cannot be installed" in capfd.readouterr().out
