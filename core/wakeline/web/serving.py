"""Serves the web face by uvicorn, for `wakeline web`.

Invariant: a server that others can reach has a way to tell who asks, or it does not start.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from ipaddress import ip_address

import uvicorn

from wakeline.app import App
from wakeline.errors import AccessUndecided, SettingsInvalid
from wakeline.web.asked import LONGEST_HEAD
from wakeline.web.face import Face, asgi
from wakeline.web.ways import WAYS, hosts_of, ways_of
from wakeline.web.who import ALLOW_ALL

DRAIN_S = 5
"""How long requests may go on at the end, in seconds."""
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class _Server(uvicorn.Server):
    """Ends at SIGTERM and SIGINT in order, and does not raise the signal again: the command has an exit code."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """The signals that end it, while it serves."""
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, self._end)
        try:
            yield
        finally:
            for one in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(one)

    def _end(self) -> None:
        self.should_exit = True


def face_for(app: App, host: str, *, readonly: bool) -> Face:
    """The face of an app at an address, as the environment sets it. Raises `AccessUndecided` if others than this
    machine could reach it and nothing says who may, and `SettingsInvalid`."""
    authorize, hosts = ways_of(), hosts_of()
    if not _is_loopback(host):
        if authorize is None:
            raise AccessUndecided(where=f"{app.name} at {host}", ways=WAYS)
        return asgi(app, authorize=authorize, readonly=readonly, hosts=hosts)
    return asgi(app, authorize=authorize or ALLOW_ALL, readonly=readonly, hosts=hosts or (*LOOPBACK, host))


def serve(app: App, host: str, port: int, *, readonly: bool, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT. ``announce`` is given the URL once requests are taken. Raises `AccessUndecided`,
    and `SettingsInvalid` for an address that cannot be used."""
    face = face_for(app, host, readonly=readonly)
    listener = _listener(host, port)
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        face,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # The address of a connection says whether a proxy is trusted, so no header may change it.
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=LONGEST_HEAD,
        timeout_graceful_shutdown=DRAIN_S,
    )
    with listener:
        announce(f"http://{shown}:{listener.getsockname()[1]}")
        asyncio.run(_Server(config).serve(sockets=[listener]))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsInvalid(name="the address of `wakeline web`", value=f"{host}:{port}", reason=reason) from error
