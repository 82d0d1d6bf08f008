"""A user in front of the command line: the app of `apps/cli_app.py` on a real server, commands run in this process or
in one of their own."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from click.testing import CliRunner, Result
from wakeline import App
from wakeline_workers.cli import cli
from wakeline_workers.loop import WorkerLoop

APPS = Path(__file__).parent / "apps"
BIN = Path(sys.executable).parent
MODULE = [sys.executable, "-m", "wakeline_workers.cli"]


class Shop:
    """The app of `cli_app` on an emptied server, and a user in front of it."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def app(self) -> App:
        app: App = importlib.import_module("cli_app").app
        return app

    @property
    def redis(self) -> Any:
        return self.app.store.client

    def keys(self) -> set[str]:
        """All keys, without the streams by which clients of earlier tests are told of changes."""
        return {key for key in self.redis.scan_iter() if ":told:" not in key}

    def run(self, *words: str, stdin: str | None = None) -> Result:
        """One command in this process, as if its output were piped."""
        result = CliRunner().invoke(cli, words, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def text(self, *words: str) -> str:
        """What a command that succeeds prints."""
        result = self.run(*words)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def json(self, *words: str, code: int = 0) -> Any:
        """What a command prints with --json."""
        result = self.run("--json", *words)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def work(self) -> None:
        """A worker, until there is nothing left to do."""
        asyncio.run(WorkerLoop(self.app, burst=True).serve())

    def spawn(self, *words: str, **over: Any) -> subprocess.Popen[str]:
        """A command in a process of its own."""
        return subprocess.Popen([*MODULE, *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **over)


def until(what: Callable[[], Any], seconds: float = 15) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)
    return found


@contextmanager
def setting(shop: Shop, name: str, value: str) -> Iterator[None]:
    with redis.Redis.from_url(shop.url) as client:
        before = client.config_get(name)
        client.config_set(name, value)
        try:
            yield
        finally:
            for key, old in before.items():
                client.config_set(key, old)


def events_of(shop: Shop, pid: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shop.run("--json", "events", pid).stdout.splitlines()]


def ids(shop: Shop, *words: str) -> list[str]:
    return sorted(row["id"] for row in shop.json("ps", *words))
