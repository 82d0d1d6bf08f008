"""`wakeline web` as an operator runs it: a real server, over real connections."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.shop import MODULE, Shop

SECRET = "s3cret-of-ann-0123"


@contextmanager
def web(*words: str, **more: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A server at a free port of this machine, until the end of the block; its port."""
    command = [*MODULE, "web", "--port", "0", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | more)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"http://[\w.:\[\]]+:(\d+) ", said)
        assert found is not None, said + process.stderr.read()
        yield int(found[1]), process
    finally:
        process.kill()
        process.wait(10)


def ask(port: int, method: str, path: str, data: Any = None, **headers: str) -> tuple[HTTPResponse, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    body = None if data is None else json.dumps(data)
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request(method, path, body, ({"content-type": "application/json"} if body else {}) | given)
    got = connection.getresponse()
    text = got.read()
    connection.close()
    return got, json.loads(text) if "json" in got.headers.get("content-type", "") else text


def test_a_program_starts_signals_and_reads_a_process_over_http(shop: Shop) -> None:
    with web() as (port, server):
        got, data = ask(port, "POST", "/v1/processes", {"name": "refund", "arguments": [7], "id": "refund-7"})
        assert (got.status, data) == (201, {"id": "refund-7"})
        assert got.getheader("server") is None
        got, data = ask(port, "POST", f"{got.getheader('location')}/signals/decision", True, idempotency_key="k")
        assert got.status == 202
        shop.work()
        got, data = ask(port, "GET", "/v1/processes/refund-7/result?wait=20")
        assert (got.status, data) == (200, {"id": "refund-7", "result": "order 7: -500, approved"})
        assert ask(port, "GET", "/healthz")[1] == {"ok": True}
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


def test_at_a_loopback_address_a_page_of_another_site_reads_nothing_by_a_name_of_its_own(shop: Shop) -> None:
    with web() as (port, _):
        assert ask(port, "GET", "/v1/processes")[0].status == 200
        got, data = ask(port, "GET", "/v1/processes", host="rebound.example")
        assert (got.status, data["code"]) == (421, "host_refused")


def test_a_server_that_others_can_reach_does_not_start_before_it_knows_who_may(shop: Shop) -> None:
    done = subprocess.run(
        [*MODULE, "web", "--host", "0.0.0.0", "--port", "0"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    for variable in ("WAKELINE_WEB_TOKENS", "WAKELINE_WEB_USERS", "WAKELINE_WEB_USER_HEADER"):
        assert variable in done.stderr
    with web("--host", "0.0.0.0", WAKELINE_WEB_TOKENS=f"ann:operate:{SECRET}") as (port, _):
        assert ask(port, "GET", "/v1/processes")[0].status == 401
        assert ask(port, "GET", "/v1/processes", authorization=f"Bearer {SECRET}")[0].status == 200


def test_read_only_and_the_port_of_a_platform(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*MODULE, "web"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | {"PORT": str(port)})
        assert done.returncode == 2
        assert f"127.0.0.1:{port}" in done.stderr and "Traceback" not in done.stderr
    with web("--readonly") as (port, _):
        assert ask(port, "POST", "/v1/processes", {"name": "nap"})[0].status == 405


def test_a_head_over_16_kb_and_a_broken_one_end_the_connection_and_not_the_server(shop: Shop) -> None:
    with web() as (port, _):
        for sent in (
            b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 40_000 + b"\r\n\r\n",
            b"\x16\x03\x01\x00\xff\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), 10) as raw:
                raw.sendall(sent)
                assert raw.recv(65_536).startswith(b"HTTP/1.1 400")
        assert ask(port, "GET", "/healthz")[0].status == 200


def test_without_its_packages_the_command_and_the_module_name_the_extra(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['starlette'] = None\n", encoding="utf-8")
    for words in ([*MODULE, "-A", "x:app", "web"], [sys.executable, "-c", "import wakeline.web"]):
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
        )
        assert done.returncode != 0
        assert "pip install 'wakeline[web]'" in done.stderr


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)
