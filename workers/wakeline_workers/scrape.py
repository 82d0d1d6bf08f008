"""Metrics over HTTP, for a scraper: ``WAKELINE_METRICS_PORT`` of a supervisor.

Invariant: it only reads, and it holds up nothing: it answers in threads of its own. A server that is away is a 503, and
the next scrape asks again.
"""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from wakeline.app import App
from wakeline.errors import WakelineError

from wakeline_workers.said import say

PATIENCE_S = 10.0
"""How long a scraper may take to send its request, in seconds."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    app: App

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a scraper that hangs up is no trouble of the fleet."""


class _ServerOfIPv6(_Server):
    address_family = socket.AF_INET6


class _Answer(BaseHTTPRequestHandler):
    timeout = PATIENCE_S

    def do_GET(self) -> None:  # noqa: N802 - the name is http.server's
        if self.path.partition("?")[0] != "/metrics":
            return self._give(404, "text/plain; charset=utf-8", "metrics are at /metrics\n")
        try:
            found = cast("_Server", self.server).app.metrics()
        except WakelineError as error:
            return self._give(503, "text/plain; charset=utf-8", f"{error}\n")
        return self._give(200, found.content_type, found.text())

    do_HEAD = do_GET

    def _give(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Nothing: a line for each scrape would fill the log."""


def serve_metrics(app: App) -> ThreadingHTTPServer | None:
    """Serves the metrics at the address of the settings until it is shut down; None if they name none, or if the
    address cannot be used, which it says: work goes on without."""
    where = app.settings.metrics_port
    if where is None:
        return None
    host, _, port = where.rpartition(":")
    host = host.strip("[]")
    try:
        server = (_ServerOfIPv6 if ":" in host else _Server)((host, int(port)), _Answer)
    except OSError as error:
        say(f"no metrics at WAKELINE_METRICS_PORT={where}: {error.strerror or error}")
        return None
    server.app = app
    threading.Thread(target=server.serve_forever, name="wakeline-metrics", daemon=True).start()
    return server
