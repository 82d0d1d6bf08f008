"""Who has the processors while something is measured, as Linux tells in /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
DISTURBED = 0.25
"""Above so many cores of others a figure is called disturbed."""
_BUSY = (0, 1, 2, 5, 6, 7)
"""Fields of the first line of /proc/stat: user, nice, system, irq, softirq and what the host took away (steal)."""


class Others:
    """How many cores those processes used that do not come from a root process, the host's other guests among them,
    since this was made."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._from = self._look()

    def cores(self) -> float:
        """The mean since then; never below 0."""
        (at, busy, own), (before, busy_before, own_before) = self._look(), self._from
        return max(0.0, (busy - busy_before - (own - own_before)) / (at - before))

    def _look(self) -> tuple[float, float, float]:
        fields = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()[1:]
        return time.monotonic(), sum(int(fields[i]) for i in _BUSY) / TICK, tree_s(self._root)


def tree_s(root: int) -> float:
    """Processor seconds of a process and all that come from it, those that have ended and were waited for included."""
    used: dict[int, float] = {}
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (fields := _stat(int(folder.name))):
            children.setdefault(int(fields[1]), []).append(int(folder.name))
            used[int(folder.name)] = sum(map(int, fields[11:15])) / TICK
    total, left = 0.0, [root]
    while left:
        pid = left.pop()
        total += used.get(pid, 0.0)
        left += children.get(pid, [])
    return total


def descendants(root: int) -> list[int]:
    """A process and all that come from it now."""
    found = [root]
    for pid in found:
        for task in _tasks(pid):
            try:
                found += map(int, (task / "children").read_text(encoding="ascii").split())
            except OSError:
                continue  # it ended
    return found


def used_s(pid: int) -> float:
    """Processor seconds of the threads of a process, to the nanosecond."""
    total = 0
    for task in _tasks(pid):
        try:
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        except OSError:
            continue  # it ended
    return total / 1e9


def memory_mb(pid: int) -> float:
    """What a process has in memory, in MB; what it shares with others counts in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"the system does not say what process {pid} has in memory")


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    """The fields of a process from its state on; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
