"""Typing as users meet it: small programs of theirs, under `mypy --strict` and pyright strict.

Invariant: a line marked ``# WRONG: why`` is reported by both checkers, and no other line is.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "typed"
NAMES = ("agents.py", "bodies.py", "clients.py")
Line = tuple[str, int]


def marked() -> set[Line]:
    """File and number of every line that says it is wrong."""
    return {
        (name, n)
        for name in NAMES
        for n, line in enumerate((PROGRAMS / name).read_text(encoding="utf-8").splitlines(), 1)
        if "# WRONG: " in line
    }


def mypy(folder: Path) -> dict[Line, str]:
    """What `mypy --strict` reports, by line; as a user runs it, without any configuration of ours."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--no-error-summary",
        f"--cache-dir={folder}/cache",
        *NAMES,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^(\S+?\.py):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    return {(name, int(n)): message for name, n, message in found}


def pyright(folder: Path) -> dict[Line, str]:
    """What pyright reports in strict mode, by line."""
    (folder / "pyrightconfig.json").write_text(json.dumps({"strict": ["."], "pythonVersion": "3.11"}), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "-p", str(folder), "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(NAMES)
    return {(Path(d["file"]).name, d["range"]["start"]["line"] + 1): d["message"] for d in report["generalDiagnostics"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        shutil.copy(PROGRAMS / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("check", [mypy, pyright], ids=["mypy", "pyright"])
def test_every_wrong_use_is_reported_on_its_line_and_nothing_else_is(
    folder: Path, check: Callable[[Path], dict[Line, str]]
) -> None:
    wrong = marked()
    reported = check(folder)
    assert {line: reported[line] for line in reported.keys() - wrong} == {}
    assert wrong - reported.keys() == set()


def test_every_program_is_checked_and_the_wrong_uses_are_many() -> None:
    assert sorted(path.name for path in PROGRAMS.glob("*.py")) == list(NAMES)
    assert len(marked()) >= 50


@pytest.mark.parametrize("name", NAMES)
def test_the_declarations_of_the_programs_are_what_the_runtime_takes_too(name: str) -> None:
    """Up to the first declaration that is wrong on purpose."""
    text = (PROGRAMS / name).read_text(encoding="utf-8").split('\n@app.agent("wrong")')[0]
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
