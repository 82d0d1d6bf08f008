"""What went wrong in real workers, as an operator sees it: in `show`, `events`, `effects` and `ps`, and in the log of
the worker."""

from __future__ import annotations

import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from os import close, environ, read
from pathlib import Path
from typing import Any

import pytest
import redis
from wakeline.embedded import PrivateServer

from tests.e2e.shop import APPS, MODULE, Shop, events_of, until

LONG_S = 90  # a worker, and a child of an isolated tool, have to start


@pytest.fixture
def shop(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("WAKELINE_REDIS_URL", server.url)
    monkeypatch.setenv("WAKELINE_APP", "setbacks_app:app")
    monkeypatch.setenv("WAKELINE_HOLD", "0")
    monkeypatch.setenv("SETBACKS_FOLDER", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(APPS), *sys.path])
    monkeypatch.chdir(APPS)
    monkeypatch.delitem(sys.modules, "setbacks_app", raising=False)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    yield Shop(server.url)
    if "setbacks_app" in sys.modules:
        sys.modules.pop("setbacks_app").app.close()


def over(shop: Shop, pid: str) -> Any:
    """A process once it has ended."""

    def look() -> Any:
        found = shop.json("show", pid)
        return found if found["status"] in ("completed", "failed", "abandoned") else None

    return until(look, LONG_S)


def left(serving: subprocess.Popen[str]) -> str:
    """What a worker said, once it has left."""
    serving.send_signal(signal.SIGTERM)
    _, errors = serving.communicate(timeout=60)
    return errors


def in_terminal(*words: str) -> bytes:
    """What a command writes to a terminal of 80 columns."""
    leader, follower = pty.openpty()
    try:
        ran = subprocess.Popen([*MODULE, *words], stdout=follower, stderr=follower, env=environ | {"NO_COLOR": "1"})
        close(follower)
        said = b""
        while True:
            try:
                more = read(leader, 65_536)
            except OSError:  # its last writer is gone
                break
            if not more:
                break
            said += more
        assert ran.wait(timeout=60) == 0
        return said
    finally:
        close(leader)


def test_what_failed_was_lost_and_did_not_fit_is_shown_with_where_and_when(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = shop.spawn("worker", "-n", "1")
    for body, pid in (("charge", "c"), ("ship", "s"), ("apart", "a"), ("order", "o")):
        shop.text("start", body, "[7]" if body == "charge" else "{}", "--id", pid)
    charged, shipped, apart = over(shop, "c"), over(shop, "s"), over(shop, "a")
    until(lambda: shop.json("show", "o")["status"] == "waiting", LONG_S)
    shop.text("start", "dies", "--id", "d")
    died = over(shop, "d")
    said = left(serving)

    assert (charged["status"], shipped["status"], died["status"]) == ("completed", "failed", "completed")
    assert [(one["kind"], one["number"], one["tool"], one["code"]) for one in charged["setbacks"]] == [
        ("attempt", 1, "charge", "ValueError"),
        ("attempt", 2, "charge", "ValueError"),
    ]
    assert "c: attempt 1 of tool charge failed: ValueError: busy\\x1b[2J 7; the next one comes in 0.0" in said
    assert "c: attempt 2 of tool charge failed: ValueError: busy\\x1b[2J 7; the next one comes in 0.0" in said
    [call] = shop.json("effects", "c")
    assert (call["attempts"], [one["number"] for one in call["failed"]]) == (3, [1, 2])

    assert shipped["failed_effect"]["name"] == "weigh"
    frames = [line.split(", in ")[1] for line in shipped["trace"].splitlines() if line.startswith("  File")]
    assert frames == ["weigh", "_check", "ship"]
    assert events_of(shop, "s")[-1]["payload"]["effect"]["name"] == "weigh"
    assert [line.split(", in ")[1] for line in apart["trace"].splitlines() if line.startswith("  File")] == [
        "apart",
        "weigh",
        "_check",
    ]
    assert (apart["failed_effect"]["tool"], apart["error"]) == ("apart", "ValueError: 7 kg\x1b]0;owned\x07 is too much")

    assert [(one["kind"], one["code"], one["number"]) for one in died["setbacks"]] == [("loss", "lost", 1)]

    monkeypatch.setenv("SETBACKS_STEP", "measure")
    monkeypatch.setenv("WAKELINE_RELEASE", "v2")
    serving = shop.spawn("worker", "-n", "1")
    shop.text("signal", "o", "go", "1")
    waits = until(lambda: (found := shop.json("show", "o"))["setbacks"] and found, LONG_S)
    left(serving)
    [misfit] = waits["setbacks"]
    assert (misfit["kind"], misfit["code"]) == ("misfit", "mismatch")
    assert "measure" in misfit["message"]

    for words in (("show", "s"), ("show", "c"), ("events", "s"), ("events", "c"), ("effects", "c"), ("ps",)):
        piped, on_terminal = shop.text(*words), in_terminal(*words)
        assert ("\x1b" in piped, b"\x1b" in on_terminal, b"\x07" in on_terminal) == (False, False, False)
        if words == ("ps",):
            assert all(len(line.decode()) <= 80 for line in on_terminal.replace(b"\r", b"").split(b"\n"))
            assert on_terminal.decode().splitlines()[0].endswith("WAITING FOR, ERROR")
            assert "ValueError: Step 'weigh' failed" in on_terminal.decode()
    shown = shop.text("show", "s")
    assert "failed in        step weigh\n" in shown
    assert "trace            ValueError: 99 kg\\x1b]0;owned\\x07 is too much\n" in shown
    rows = {line.split()[0]: line for line in shop.text("ps").splitlines()}
    assert rows["s"].endswith("ValueError: Step 'weigh' failed (ValueError): 99 kg\\x1b]0;owned\\x07 is too much")
