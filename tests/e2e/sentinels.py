"""A primary, a replica and three Sentinels, real ones on loopback; for the tests of failover.

Invariant: everything is private, and gone with the block.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from wakeline.embedded import find_server

SERVICE = "shop"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(look: Callable[[], object], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if look():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)


@dataclass
class Trio:
    """The servers by their ports, and what a client is given."""

    servers: dict[int, subprocess.Popen[bytes]]
    sentinels: list[int]

    @property
    def url(self) -> str:
        return f"sentinel://{','.join(f'127.0.0.1:{port}' for port in self.sentinels)}/{SERVICE}"

    def primary(self) -> int:
        """Its port, as a Sentinel says."""
        asked: Any = redis.Redis(port=self.sentinels[0], decode_responses=True)
        return int(asked.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])

    def kill_primary(self) -> int:
        """SIGKILL to it; the port it had."""
        port = self.primary()
        self.servers[port].kill()
        self.servers[port].wait()
        return port


@contextmanager
def trio(folder: Path) -> Iterator[Trio]:
    """Started, and agreed on who is the primary."""
    binary = find_server()
    assert binary is not None
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *options: str) -> subprocess.Popen[bytes]:
        home = folder / name
        home.mkdir()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        process = subprocess.Popen([binary.path, *options, "--dir", str(home), "--bind", "127.0.0.1"], **quiet)  # type: ignore[call-overload]
        started.append(process)
        return process  # type: ignore[no-any-return]

    first, second = free_port(), free_port()
    common = ("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction")
    try:
        servers = {first: start("first", "--port", str(first), *common)}
        servers[second] = start(
            "second",
            "--port",
            str(second),
            *common,
            "--replicaof",
            "127.0.0.1",
            str(first),
            "--repl-diskless-sync-delay",
            "0",
        )
        until(
            lambda: redis.Redis(port=second, decode_responses=True).info("replication")["master_link_status"] == "up",
            "the replica follows",
        )
        sentinels: list[int] = []
        for n in range(3):
            port = free_port()
            conf = folder / f"sentinel-{n}.conf"
            conf.write_text(
                f"port {port}\nsentinel monitor {SERVICE} 127.0.0.1 {first} 2\nsentinel down-after-milliseconds"
                f" {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 5000\n"
            )
            start(f"sentinel-{n}", str(conf), "--sentinel")
            sentinels.append(port)
        made = Trio(servers, sentinels)

        def agreed() -> bool:
            states = [
                redis.Redis(port=port, decode_responses=True).execute_command("SENTINEL", "MASTER", SERVICE)
                for port in sentinels
            ]
            return all(int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == 1 for state in states)

        until(agreed, "the Sentinels know each other and the replica")
        yield made
    finally:
        for process in started:
            process.kill()
            process.wait()
