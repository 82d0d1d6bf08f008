"""A process that a later release registered, and a real worker of this one: no worker dies, bystanders are not touched,
and every list names it."""

from __future__ import annotations

import json
import signal

from tests.e2e.shop import Shop, ids, until


def test_a_registration_of_a_later_release_is_handed_back_and_named_everywhere(shop: Shop) -> None:
    for pid in ("by-1", "bad", "by-2"):
        shop.text("start", "charge", "[1, 2]", "--id", pid)
    key = "{shop}:spec:bad"
    stored = shop.redis.get(key)
    shop.redis.set(key, json.dumps(json.loads(stored) | {"from_a_later_release": "x"}))
    with shop.spawn("worker", "-n", "1") as worker:
        until(lambda: {shop.json("show", pid)["status"] for pid in ("by-1", "by-2")} == {"completed"})
        until(lambda: shop.redis.hexists("{shop}:proc:bad", "ur"))
        reason = "it has fields that this release does not know: from_a_later_release"
        assert (shop.json("show", "bad")["status"], shop.json("show", "bad")["unread"]) == ("queued", reason)
        assert f"workers cannot read what is stored of bad, and hand it back: {reason}" in shop.run("doctor").stdout
        assert ids(shop, "--status", "any") == ["bad", "by-1", "by-2"]
        assert [shop.json("show", pid)["losses"] for pid in ("by-1", "by-2", "bad")] == [0, 0, 0]
        shop.redis.set(key, stored)  # the release that can read it is back
        until(lambda: shop.json("show", "bad")["status"] == "completed", 30)
        worker.send_signal(signal.SIGTERM)
        _, log = worker.communicate(timeout=30)
    assert log.count("bad: not run here, and handed back as it is") == 1
    assert "died" not in log and "Traceback" not in log
    assert shop.json("show", "bad")["unread"] is None
