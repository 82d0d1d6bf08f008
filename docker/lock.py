"""Writes what a deployment installs, as parts of requirements.lock: `python docker/lock.py`.

`docker/worker.lock` (with hashes) is what a worker needs, `docker/build.lock` what builds its wheel, `requirements.txt`
the same as the first for platforms that look for that file; it has no hashes, because it installs this folder too,
which has none.

Invariant: a version and a hash come from requirements.lock; which packages, from what this environment has installed by
it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# Written by `python docker/lock.py` from requirements.lock.\n"


def locked() -> dict[str, str]:
    """Every block of requirements.lock by the name of its package."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return {name_of(block): block for block in re.findall(r"^[A-Za-z0-9][^\n]*(?:\n[ ]+[^\n]*)*\n", text, re.MULTILINE)}


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def closure(roots: list[str], known: dict[str, str]) -> list[str]:
    """The packages that these requirements need on Linux, of those the lock has."""
    found: set[str] = set()
    left = list(roots)
    while left:
        requirement = left.pop()
        name = name_of(requirement)
        extras = re.findall(r"[\w-]+", (re.search(r"\[([^\]]*)\]", requirement.partition(";")[0]) or ["", ""])[1])
        if name in found and not extras:
            continue
        assert name in known, f"{name} is not in requirements.lock"
        found.add(name)
        left += [one for one in needs(name) if wanted(one, extras) and name_of(one) in known]
    return sorted(found)


def needs(name: str) -> list[str]:
    """What a package requires; nothing for one that the lock has for another Python or system than this one."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def wanted(requirement: str, extras: list[str]) -> bool:
    """Whether a package that was installed with these extras brings this one; what only other systems need does no harm
    in a lock."""
    extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
    return extra is None or extra[1] in extras


def parts() -> dict[str, str]:
    """The text of each file by its path."""
    known = locked()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    worker = closure(project["project"]["dependencies"], known)
    build = closure(project["build-system"]["requires"], known)
    pins = [known[name].partition(" \\")[0] for name in worker]
    return {
        "docker/worker.lock": HEAD + "".join(known[name] for name in worker),
        "docker/build.lock": HEAD + "".join(known[name] for name in build),
        "requirements.txt": HEAD + "".join(f"{pin}\n" for pin in pins) + ".\n",
    }


if __name__ == "__main__":
    for path, text in parts().items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(f"{path}: {text.count('==')} packages", file=sys.stderr)
