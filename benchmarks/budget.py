"""What one unit of work costs: commands and bytes of the append-only file as the server counts them, processor time of
the server, the workers and the client."""

from __future__ import annotations

import os
from dataclasses import astuple, dataclass
from typing import Any

from benchmarks.harness import Figure
from benchmarks.machine import descendants, used_s

NO_WORK = ("fcall", "fcall_ro", "eval", "evalsha", "blpop", "info", "ping")
"""Commands that are no work of a script: what runs one, what waits, and what asks for these counts."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Totals: commands, bytes, and processor time in µs."""

    commands: float
    aof_bytes: float
    server_us: float
    workers_us: float
    client_us: float


class Meter:
    """Of one server, one client (this process) and the worker processes of a supervisor, if there is one."""

    def __init__(self, client: Any, supervisor: int | None = None) -> None:
        self._client = client
        self._server = int(client.info("server")["process_id"])
        self._supervisor = supervisor

    def look(self) -> Spent:
        """The totals now."""
        commands = aof = 0
        for name, value in self._client.info("commandstats").items():
            if name.removeprefix("cmdstat_").split("|")[0] not in NO_WORK:
                commands += value["calls"]
        persistence = self._client.info("persistence")
        aof = persistence["aof_current_size"] + persistence["aof_buffer_length"]
        served = descendants(self._supervisor) if self._supervisor else []
        workers = sum(map(used_s, served))
        return Spent(commands, aof, used_s(self._server) * 1e6, workers * 1e6, used_s(os.getpid()) * 1e6)

    def since(self, before: Spent, unit: str, n: int) -> list[Figure]:
        """What each of n units cost since a look."""
        each = [(now - then) / n for now, then in zip(astuple(self.look()), astuple(before), strict=True)]
        names = ("commands", "bytes of the append-only file", "server CPU", "worker CPU", "client CPU")
        found = [
            Figure(f"{unit}: {name}", measure, [value])
            for name, measure, value in zip(names, ("", "B", "µs", "µs", "µs"), each, strict=True)
        ]
        return found if self._supervisor else [figure for figure in found if "worker" not in figure.name]
