"""Servers that a system needs instead of the measured one: each private, its data in a temporary folder, ended with its
measurement.

Invariant: a server that cannot be installed or started leaves its system out, as a system does that cannot; nothing of
it stays but its installation.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import until
from benchmarks.peers.processes import LeftOut, installed, last_line, running

RESTATE = "@restatedev/restate-server@>=1.7"


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers: what the modules of its system are told of it, and its version."""

    env: dict[str, str]
    version: str


@contextmanager
def postgres(python: Path) -> Generator[Server]:
    """The server that the wheel ``pgserver`` carries, with the settings it has by default: a commit is flushed to disk
    before it is answered.

    The wheel's own way to start it would add a user to the machine where root runs this; here it is ``nobody`` then, as
    Postgres refuses root.
    """
    ask = "from importlib.util import find_spec; print(find_spec('pgserver').submodule_search_locations[0])"
    binaries = (
        Path(subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
        / "pginstall"
        / "bin"
    )
    user = "nobody" if os.name == "posix" and os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        if user:
            shutil.chown(folder, user)
        data, initdb, server = f"{folder}/data", str(binaries / "initdb"), str(binaries / "postgres")
        create = [
            initdb,
            "-D",
            data,
            "--username=postgres",
            "--auth=trust",
            "--encoding=utf8",
            "--locale=C",
            "--no-sync",
        ]
        try:
            made = subprocess.run(
                create, user=user, extra_groups=[] if user else None, capture_output=True, text=True, check=False
            )
        except OSError as error:  # the folder of the binaries is closed to that user, or they are of another platform
            raise LeftOut(f"no Postgres: {error}") from error
        if made.returncode:
            raise LeftOut(f"no Postgres: {last_line(made.stderr)}")
        version = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout.split()[2]

        def answers() -> bool:
            return (
                subprocess.run([str(binaries / "pg_isready"), "--quiet", "--host", folder], check=False).returncode == 0
            )

        with _serving(
            [server, "-D", data, "-k", folder, "-c", "listen_addresses="], os.environ, Path(folder), answers, user
        ):
            env = {
                "PEER_POSTGRES_URL": f"postgresql://postgres@/postgres?host={folder}",
                "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            }
            yield Server(env, version)


@contextmanager
def restate(python: Path) -> Generator[Server]:
    """Restate's server of its package on npm, as it is set by default, on ports that were free: its log is flushed to
    disk before it is answered."""
    home = python.parents[1]
    npm = shutil.which("npm")
    if npm is None:
        raise LeftOut("not installed: npm is not there")
    if not (found := _restate_binary(home)):
        print(f"installing {RESTATE} …", file=sys.stderr, flush=True)
        installed(
            [
                npm,
                "install",
                "--prefix",
                str(home),
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--fetch-retries=1",
                RESTATE,
            ]
        )
        found = _restate_binary(home)
    if not found:
        raise LeftOut("not installed: no server for this platform")
    version = subprocess.run([str(found), "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    fabric, ingress, admin, service = (f"127.0.0.1:{port}" for port in free_ports(4))
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        env = os.environ | {
            "RESTATE_BASE_DIR": folder,
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_ADDRESS": fabric,
            "RESTATE_ADVERTISED_ADDRESS": f"http://{fabric}/",
            "RESTATE_INGRESS__BIND_ADDRESS": ingress,
            "RESTATE_ADMIN__BIND_ADDRESS": admin,
            "RESTATE_NODE_NAME": "peer",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LOG_FILTER": "warn",
        }
        with _serving([str(found)], env, Path(folder), lambda: _answers(f"http://{admin}/health")):
            names = {"PEER_RESTATE_INGRESS": ingress, "PEER_RESTATE_ADMIN": admin, "PEER_RESTATE_SERVICE": service}
            yield Server(names, version)


def free_ports(n: int) -> list[int]:
    """Ports of the loopback interface that nobody listens at now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _restate_binary(home: Path) -> Path | None:
    return next(home.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"), None)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def _serving(
    command: Sequence[str], env: Mapping[str, str], folder: Path, answers: Callable[[], bool], user: str | None = None
) -> Generator[None]:
    """A server that answers; it leaves with this process, however that ends. Its log is in the folder. Raises
    `LeftOut`."""
    log = folder / "log"
    with (
        log.open("wb") as file,
        running([sys.executable, "-m", f"{__package__}.work", user or "", *command], env, file) as child,
    ):
        with suppress(TimeoutError):
            until(lambda: child.poll() is not None or answers(), 30)
        if child.poll() is not None or not answers():
            raise LeftOut(f"its server did not start: {last_line(log.read_text(errors='replace'))}")
        yield
