"""What tests of killed workers share: an app on a server of its own, whose workers die at a named moment
(`apps/killing.py`)."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from wakeline.embedded import PrivateServer

from tests.e2e.shop import APPS
from tests.e2e.test_races import ROOT, Site


@contextmanager
def killed_site(
    app: str, server: PrivateServer, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> Iterator[Site]:
    """The module of an app (a file of `apps`) on an empty server, with leases that end soon; what its bodies note is in
    the folder. ``settings``: more variables of the environment, for this process and its workers."""
    settings = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": f"{app}:app",
        "WAKELINE_LEASE": "1500ms",
        "WAKELINE_BEAT": "300ms",
        "WAKES_FOLDER": str(folder),
        "WAKELINE_INSTRUMENT": "killing:killer",
        "PYTHONPATH": f"{APPS}{os.pathsep}{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    } | settings
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(APPS))
    for name in (app, "killing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    (folder / "notes").touch()
    module = importlib.import_module(app)
    yield Site(module, folder / "notes")
    module.app.close()
