"""Three masters with a replica each, real ones on loopback; for the tests of a Redis Cluster.

Invariant: everything is private, and gone with the block.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot
from wakeline.embedded import find_server

from tests.e2e.sentinels import free_port, until

MASTERS, SLOTS = 3, 16384


@dataclass
class Cluster:
    """The nodes by their ports, and what a client is given."""

    nodes: dict[int, subprocess.Popen[bytes]]

    @property
    def url(self) -> str:
        return f"cluster://{','.join(f'127.0.0.1:{port}' for port in self.nodes)}"

    def node(self, port: int) -> Any:
        return redis.Redis(port=port, decode_responses=True, socket_timeout=2)

    def owner(self, namespace: str) -> int:
        """The port of the master whose slot it is, as a node says that lives."""
        slot = key_slot(namespace.encode())
        for port, process in self.nodes.items():
            if process.poll() is None:
                for first, last, master, *_ in (
                    self.node(port).execute_command("CLUSTER SLOTS", NEVER_DECODE=True) or []
                ):
                    if first <= slot <= last:
                        return int(master[1])
        raise AssertionError("no node owns it")

    def replicated(self, namespace: str) -> None:
        """Its replica has everything: what is lost otherwise is no fault of the failover's."""
        assert self.node(self.owner(namespace)).execute_command("WAIT", 1, 5000) == 1

    def kill_owner(self, namespace: str) -> int:
        """SIGKILL to it; the port it had."""
        port = self.owner(namespace)
        self.nodes[port].kill()
        self.nodes[port].wait()
        return port


def spread(names: int = MASTERS) -> list[str]:
    """Names of namespaces that lie on different masters."""
    found: dict[int, str] = {}
    for n in range(1000):
        found.setdefault(key_slot(f"shop{n}".encode()) * MASTERS // SLOTS, f"shop{n}")
        if len(found) == names:
            break
    return [found[at] for at in sorted(found)]


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Started, met, and agreed that every slot is served."""
    binary = find_server()
    assert binary is not None
    nodes: dict[int, subprocess.Popen[bytes]] = {}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    try:
        while len(nodes) < 2 * MASTERS:
            port, bus = free_port(), free_port()
            home = folder / str(port)
            home.mkdir()
            options = [
                "--port",
                str(port),
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                str(bus),
                "--cluster-node-timeout",
                "1000",
                "--dir",
                str(home),
            ]
            common = [
                "--bind",
                "127.0.0.1",
                "--appendonly",
                "yes",
                "--save",
                "",
                "--maxmemory-policy",
                "noeviction",
                "--repl-diskless-sync-delay",
                "0",
            ]
            nodes[port] = subprocess.Popen([binary.path, *options, *common], **quiet)
            until(
                lambda port=port: nodes[port].poll() is not None or Cluster(nodes).node(port).ping(),
                "a node answers or gives up",
            )
            if nodes[port].poll() is not None:
                del nodes[port]  # another program took one of its ports meanwhile
        made = Cluster(nodes)
        ports = list(nodes)
        buses = {port: int(made.node(port).config_get("cluster-port")["cluster-port"]) for port in ports}
        for n, port in enumerate(ports[:MASTERS]):
            first, after = -(-n * SLOTS // MASTERS), -(-(n + 1) * SLOTS // MASTERS)
            made.node(port).execute_command("CLUSTER ADDSLOTS", *range(first, after))
            made.node(port).execute_command("CLUSTER SET-CONFIG-EPOCH", n + 1)
        for port in ports[1:]:
            made.node(ports[0]).execute_command("CLUSTER MEET", "127.0.0.1", port, buses[port])
        until(lambda: all(_met(made, port) == 2 * MASTERS for port in ports), "the nodes know each other")
        for n, port in enumerate(ports[MASTERS:]):
            made.node(port).execute_command("CLUSTER REPLICATE", made.node(ports[n]).execute_command("CLUSTER MYID"))
        until(
            lambda: all(made.node(port).info("replication")["master_link_status"] == "up" for port in ports[MASTERS:]),
            "the replicas follow",
        )
        until(
            lambda: all(made.node(port).execute_command("CLUSTER INFO")["cluster_state"] == "ok" for port in ports),
            "every slot is served",
        )
        until(lambda: all(_replicas(made, port) for port in ports[:MASTERS]), "a replica each")
        yield made
    finally:
        for process in nodes.values():
            process.kill()
            process.wait()


def _met(made: Cluster, port: int) -> int:
    return int(made.node(port).execute_command("CLUSTER INFO")["cluster_known_nodes"])


def _replicas(made: Cluster, port: int) -> int:
    return int(made.node(port).info("replication")["connected_slaves"])
