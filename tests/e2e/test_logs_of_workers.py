"""What a worker writes where no terminal is: one JSON object a line, and each entry of user code says of which process
it is, once."""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from wakeline.embedded import PrivateServer

from tests.e2e.shop import APPS, Shop, until

LONG_S = 90  # a worker, and a child of an isolated tool, have to start

SAID = {
    ("begins", None), ("begins to ship", None), ("weighs", "weigh"), ("packs", "pack"), ("labels", "label"),
    ("waits", None), ("ends", None), ("ends to ship", None),
}  # fmt: skip


@pytest.fixture
def shop(server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("WAKELINE_REDIS_URL", server.url)
    monkeypatch.setenv("WAKELINE_APP", "logging_app:app")
    monkeypatch.setenv("WAKELINE_HOLD", "0")
    monkeypatch.setenv("WAKELINE_RELEASE", "v7")
    monkeypatch.delenv("WAKELINE_LOG_FORMAT")
    monkeypatch.setattr(sys, "path", [str(APPS), *sys.path])
    monkeypatch.chdir(APPS)
    monkeypatch.delitem(sys.modules, "logging_app", raising=False)
    yield Shop(server.url)
    if "logging_app" in sys.modules:
        sys.modules.pop("logging_app").app.close()


def test_every_line_is_an_object_and_every_entry_of_a_body_is_there_once_with_its_process(shop: Shop) -> None:
    serving = shop.spawn("worker", "-n", "1")
    for body in ("ship", "ship_blocking"):
        shop.text("start", body, "[7]", "--id", f"{body}-7")
    for body in ("ship", "ship_blocking"):
        until(lambda of=f"{body}-7": '"kind": "signal"' in json.dumps(shop.json("show", of)["waits"]), LONG_S)  # type: ignore[misc]
        shop.text("signal", f"{body}-7", "go", "true")
    for body in ("ship", "ship_blocking"):
        until(lambda of=f"{body}-7": shop.json("show", of)["status"] == "completed", LONG_S)  # type: ignore[misc]
    serving.send_signal(signal.SIGTERM)
    _, errors = serving.communicate(timeout=30)
    entries = [json.loads(line) for line in errors.splitlines()]
    assert {"ts", "level", "logger", "msg"} <= set.intersection(*(set(one) for one in entries))
    of_user = [one for one in entries if one["logger"] == "shop.orders" or one["logger"].startswith("wakeline.body")]
    shipped = [one for one in of_user if one["process_id"] == "ship-7"]
    assert {(one["msg"], one.get("effect")) for one in shipped} == SAID
    stamped = next(one for one in entries if one["msg"] == "stamps")  # in a process of its own, of its parent's run
    assert (stamped["process_id"][:2], stamped["effect"]) == ("c_", "stamp")
    blocking = [one for one in of_user if one["process_id"] == "ship_blocking-7"]
    assert {one["msg"] for one in blocking} == {"begins", "weighs", "waits", "ends"}
    assert [
        said for said, times in Counter((one["process_id"], one["msg"]) for one in of_user).items() if times > 1
    ] == []
    first = next(one for one in shipped if one["msg"] == "begins")
    assert (first["kind"], first["name"], first["attempt"], first["epoch"], first["release"]) == (
        *("engine", "ship", 1, 1, "v7"),
    )
    assert first["owner"]
    assert next(one for one in shipped if one["msg"] == "packs")["order"] == 7
