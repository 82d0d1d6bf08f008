"""The shop: an app, an emptied server, and nothing else in the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
import redis
from wakeline.embedded import PrivateServer

from tests.e2e.shop import APPS, Shop

SETTINGS = ("REDIS_URL", "REDIS_TLS_URL", "REDISTOGO_URL", "REDISCLOUD_URL", "RQ_KEY_PREFIX", "DYNO")


@pytest.fixture
def shop(server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    for name in [n for n in os.environ if (n.startswith("WAKELINE_") and n != "WAKELINE_LOG_FORMAT") or n in SETTINGS]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WAKELINE_REDIS_URL", server.url)
    monkeypatch.setenv("WAKELINE_APP", "cli_app:app")
    monkeypatch.setenv("WAKELINE_HOLD", "0")
    monkeypatch.setattr(sys, "path", [str(APPS), *sys.path])
    monkeypatch.chdir(APPS)
    monkeypatch.delitem(sys.modules, "cli_app", raising=False)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    yield Shop(server.url)
    if "cli_app" in sys.modules:
        sys.modules.pop("cli_app").app.close()


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """A refund that waits, a nap, a parent and its child, a deploy that asks, an archive that is done, a charge no
    worker took."""
    shop.text("start", "refund", "[7]", "--id", "refund-7")
    shop.text("start", "nap", "--id", "nap-1")
    shop.text("start", "parent", "--id", "parent-1")
    shop.text("start", "deploy", "--id", "deploy-1")
    shop.text("start", "archive", "--id", "archive-1")
    shop.work()
    shop.text("start", "charge", "[1, 2]", "--id", "charge-1")
    return shop
