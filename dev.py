"""Everything a fresh clone needs, with nothing but python >= 3.11: `python3 dev.py demo`, `python3 dev.py test`,
`python3 dev.py check`, `python3 dev.py bench`.

Invariant: the first command builds `.venv` from requirements.lock (hashes checked); after that nothing touches the
network, except `bench`, which installs the systems it compares with in `.peers` (with `--no-peers` it does not), and
sets up the checkout that it measures against in `.against`. `newest` does the same as the first command in
`.venv-newest`, where a newer python than the one that runs this is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV, NEWEST_VENV = ROOT / ".venv", ROOT / ".venv-newest"
# One more at once than two cores, because most of the time of a test goes by while it waits for processes of its own.
# Files stay whole, for the servers they share.
PYTEST = ["-m", "pytest", "-p", "no:cacheprovider", "-n", str(1 + min(2, os.cpu_count() or 1)), "--dist", "loadfile"]
COMMANDS: dict[str, list[list[str]]] = {
    "demo": [["-m", "wakeline_workers.demo"]],
    "test": [PYTEST],
    "newest": [PYTEST],
    "lint": [
        ["-m", "ruff", "check", "."],
        ["-m", "mypy"],
        ["-m", "pyright"],
        ["-c", "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())"],
    ],
    "bench": [["-m", "benchmarks"]],
    "setup": [],
}
CHECK = ["lint", "demo", "newest", "test"]
OF_NEWEST = ["tests/unit", "tests/contract"]
"""What runs with a second python, unless folders are given. It needs no processes of its own, so it takes minutes and
not half an hour."""
TELL_VERSION = "import sys; sys.stdout.write(sys.version)"
Version = tuple[int, int, int]


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older python meets first
        print("dev.py needs python 3.11 or newer", file=sys.stderr)
        return 2
    name, *rest = sys.argv[1:] or ["help"]
    if name not in COMMANDS and name != "check":
        print(f"usage: python3 dev.py {' | '.join([*COMMANDS, 'check'])}", file=sys.stderr)
        return 2
    for one in CHECK if name == "check" else [name]:
        code = newest(rest) if one == "newest" else with_python(sys.executable, VENV, one, rest)
        if code:
            return code
    return 0


def with_python(python: str, venv: Path, name: str, rest: list[str]) -> int:
    """Runs a command in an environment of this python; the code of its first part that fails."""
    set_up(python, venv)
    for command in COMMANDS[name]:
        code = subprocess.run([str(program(venv)), *command, *rest], cwd=ROOT, check=False).returncode
        if code:
            return code
    return 0


def program(venv: Path) -> Path:
    """The python of an environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def set_up(python: str, venv: Path) -> None:
    """Builds the environment, unless it is there for this lock and this python. Raises CalledProcessError."""
    version = subprocess.run([python, "-c", TELL_VERSION], check=True, capture_output=True).stdout
    stamp = hashlib.sha256(
        b"".join((ROOT / f).read_bytes() for f in ("requirements.lock", "pyproject.toml")) + version
    ).hexdigest()
    mark = venv / "wakeline.stamp"
    if mark.exists() and mark.read_text() == stamp:
        return
    print(f"setting up {venv.name} (once) …", file=sys.stderr)
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    pip = [str(program(venv)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements.lock")], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], check=True)
    mark.write_text(stamp)


# -- a newer python


def newest(rest: list[str]) -> int:
    """Runs the tests that need no processes of their own with the newest python here, and says which there are."""
    found = pythons()
    version = newer_than((*sys.version_info[:3],), found)
    print(f"pythons: {', '.join(f'{shown(one)} ({path})' for one, path in sorted(found.items()))}", flush=True)
    if version is None:
        print(f"none is newer than {shown((*sys.version_info[:3],))}, which runs all tests", flush=True)
        return 0
    try:
        set_up(str(found[version]), NEWEST_VENV)
    except subprocess.CalledProcessError as failed:
        print(f"NOT tested with python {shown(version)}: its packages cannot be installed ({failed})", flush=True)
        return 0
    folders = rest or OF_NEWEST
    print(f"the newest, {shown(version)}, runs {' and '.join(folders)}", flush=True)
    return with_python(str(found[version]), NEWEST_VENV, "newest", folders)


def newer_than(this: Version, found: dict[Version, Path]) -> Version | None:
    """The newest version of a later minor release than this one."""
    return max((version for version in found if version[:2] > this[:2]), default=None)


def pythons() -> dict[Version, Path]:
    """The released CPythons from 3.11 on that are on the PATH or in the versions folder of pyenv, and this one."""
    found: dict[Version, Path] = {(*sys.version_info[:3],): Path(sys.executable)}
    for path in _candidates():
        version = _version_of(path)
        if version is not None and version >= (3, 11, 0):
            found.setdefault(version, path)
    return found


def _candidates() -> Iterator[Path]:
    for minor in range(11, 40):
        if (on_path := shutil.which(f"python3.{minor}")) is not None:
            yield Path(on_path)
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(root.glob("versions/*/bin/python3"))


def _version_of(path: Path) -> Version | None:
    """None for what is no released CPython, or does not run: pyenv puts a program for each version on the PATH, and
    those that are not switched on fail."""
    code = "import sys; print(sys.implementation.name, *sys.version_info[:4])"
    asked = subprocess.run([str(path), "-c", code], capture_output=True, text=True, check=False)
    match asked.stdout.split():
        case ["cpython", major, minor, micro, "final"] if asked.returncode == 0:
            return int(major), int(minor), int(micro)
        case _:
            return None


def shown(version: Version) -> str:
    """A version in the form 3.11.7."""
    return ".".join(map(str, version))


if __name__ == "__main__":
    sys.exit(main())
