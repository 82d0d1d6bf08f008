"""Another checkout to measure in turn with this one: a folder that has one, or a commit of this repository, which is
unpacked into ``.against`` with an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNPACKED = ROOT / ".against"


@dataclass(frozen=True, slots=True)
class Side:
    """A checkout: how it is called in the table, and the python that has it installed."""

    name: str
    python: str


def this() -> Side:
    """The checkout that these benchmarks are in."""
    return Side("this", sys.executable)


def other(asked: str) -> Side:
    """A folder or a commit; its environment is made where there is none. Raises `SystemExit` for anything else."""
    folder = Path(asked)
    if not (folder / "core/wakeline").is_dir():
        folder = _unpacked(asked)
    python = folder.resolve() / ".venv/bin/python"
    if not python.exists():
        print(f"setting up {folder} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "dev.py", "setup"], cwd=folder, check=True)
    return Side(asked, str(python))


def _unpacked(commit: str) -> Path:
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run(
        [*git, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"], capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise SystemExit(f"--against: {commit!r} is neither a folder with a checkout nor a commit of this repository")
    folder = UNPACKED / found.stdout.strip()[:12]
    if not folder.exists():
        packed = subprocess.run([*git, "archive", found.stdout.strip()], capture_output=True, check=True).stdout
        folder.mkdir(parents=True)
        with tarfile.open(fileobj=BytesIO(packed)) as files:
            files.extractall(folder, filter="data")
    return folder
