"""Everything a fresh clone needs, with nothing but python >= 3.11: `python3 dev.py demo`, `python3 dev.py test`,
`python3 dev.py check`, `python3 dev.py bench`.

Invariant: the first command builds `.venv` from requirements.lock (hashes checked); after that nothing touches the
network, except `bench`, which installs the systems it compares with in `.peers` (with `--no-peers` it does not), and
sets up the checkout that it measures against in `.against`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
COMMANDS: dict[str, list[list[str]]] = {
    "demo": [["-m", "wakeline_workers.demo"]],
    # Two at once: most of the time of a test goes by while it waits for processes of its own. Files stay whole, for the
    # servers they share.
    "test": [["-m", "pytest", "-p", "no:cacheprovider", "-n", str(min(2, os.cpu_count() or 1)), "--dist", "loadfile"]],
    "lint": [
        ["-m", "ruff", "check", "."],
        ["-m", "mypy"],
        ["-m", "pyright"],
        ["-c", "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())"],
    ],
    "bench": [["-m", "benchmarks"]],
    "setup": [],
}
COMMANDS["check"] = [*COMMANDS["lint"], *COMMANDS["demo"], *COMMANDS["test"]]


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older python meets first
        print("dev.py needs python 3.11 or newer", file=sys.stderr)
        return 2
    name, *rest = sys.argv[1:] or ["help"]
    if name not in COMMANDS:
        print(f"usage: python3 dev.py {' | '.join(COMMANDS)}", file=sys.stderr)
        return 2
    set_up()
    for command in COMMANDS[name]:
        code = subprocess.run([str(PYTHON), *command, *rest], cwd=ROOT, check=False).returncode
        if code:
            return code
    return 0


def set_up() -> None:
    stamp = hashlib.sha256(
        b"".join((ROOT / f).read_bytes() for f in ("requirements.lock", "pyproject.toml")) + sys.version.encode()
    ).hexdigest()
    mark = VENV / "wakeline.stamp"
    if mark.exists() and mark.read_text() == stamp:
        return
    print("setting up .venv (once) …", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements.lock")], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], check=True)
    mark.write_text(stamp)


if __name__ == "__main__":
    sys.exit(main())
