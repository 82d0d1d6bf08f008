"""Every change of the table in `docs/deploys.md`, done to real code under real workers: an old release, the new one,
and the old one again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from wakeline import App, Handle, ProcessFailed, ProcessNotFound
from wakeline.embedded import PrivateServer
from wakeline.settings import Settings

from tests.e2e.changes import NAMES, ROWS, Change, source
from tests.e2e.shop import until
from tests.e2e.test_tools_redeclared import Site

ENDED = ("completed", "failed", "cancelled", "abandoned")
SETTINGS = {"WAKELINE_LEASE": "1500ms", "WAKELINE_BEAT": "300ms", "WAKELINE_HOLD": "50ms", "WAKELINE_SHUTDOWN": "1s"}


def wait_for(done: Callable[[], bool]) -> None:
    """Up to a minute. What is not there then fails the test of its row, and no other."""
    latest = time.monotonic() + 60
    while time.monotonic() < latest and not done():
        time.sleep(0.1)


class Deploys:
    """Two releases that differ in every row, and what became of the process of each."""

    def __init__(self, site: Site, patch: pytest.MonkeyPatch) -> None:
        self.site, self.patch = site, patch
        self.code = site.release("v1", source("v1"))
        site.release("v2", source("v2"))
        self.under_new: dict[str, Any] = {}
        """Of each process its status, once the new release had looked at it."""
        self.desk = self.code.app.session("clerk", "desk")
        self.said_of_desk = ""

    def handle(self, change: str) -> Handle[Any]:
        handle: Handle[Any] = self.code.app.handle(NAMES[change])
        return handle

    def start(self, queued: bool) -> None:
        for change, row in ROWS.items():
            if row.queued is queued:
                self.code.app.using(id=NAMES[change]).start(getattr(self.code, NAMES[change]), *row.arguments)

    def settled(self, change: str) -> bool:
        status = self.handle(change).status()
        return status.misfit is not None or status.status in ENDED

    def run(self) -> None:
        """The old release takes all of it to where it waits, the new one looks at it, the old one comes back."""
        parked = [change for change, row in ROWS.items() if not row.queued]
        self.start(queued=False)
        self.patch.setenv("PYTHONHASHSEED", "1")
        with self.site.worker("v1"):
            until(lambda: all(self.handle(change).status().status == "waiting" for change in parked), 90)
        self.start(queued=True)
        self.desk.send("hello")
        for change in parked:
            self.handle(change).signal("go", 5)
        self.patch.setenv("PYTHONHASHSEED", "2")
        with self.site.worker("v2"):
            wait_for(lambda: all(self.settled(change) for change in ROWS) and self.desk.inspect().misfit is not None)
        self.said_of_desk = self.desk.why()
        self.under_new = {change: self.handle(change).status() for change in ROWS}
        self.patch.setenv("PYTHONHASHSEED", "1")
        with self.site.worker("v1"):
            wait_for(
                lambda: (
                    all(self.handle(change).status().status in ENDED for change in ROWS)
                    and self.desk.inspect().pending == 0
                )
            )

    def did(self, mark: str) -> tuple[str, ...]:
        """What was done under a mark, in order."""
        lines = [line.split(" ", 1) for line in (self.site.folder / "did").read_text().splitlines()]
        return tuple(what for whose, what in lines if whose == mark)


@pytest.fixture(scope="module")
def deploys(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploys]:
    folder = tmp_path_factory.mktemp("deploys")
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, "WAKELINE_REDIS_URL": server.url, "SHOP_NOTES": str(folder / "notes")}.items():
            patch.setenv(name, value)
        made = Deploys(Site(folder), patch)
        try:
            made.run()
            yield made
        finally:
            made.code.app.close()


def misfit_of(change: str, row: Change) -> tuple[str, str] | None:
    return None if row.misfit is None else (row.misfit[0], row.misfit[1].replace("ROW", NAMES[change]))


@pytest.mark.parametrize("change", ROWS)
def test_a_change_does_what_the_table_says(deploys: Deploys, change: str) -> None:
    row, found = ROWS[change], deploys.under_new[change]
    expected = misfit_of(change, row)
    if expected is None:
        assert (found.misfit, found.status) == (None, "failed" if row.fails else "completed")
    else:
        kind, words = expected
        assert found.misfit is not None
        assert (found.status, found.misfit.kind, found.misfit.release, found.misfit.what[: len(words)]) == (
            "queued",
            kind,
            "v2",
            words,
        )
    if row.fails is None:
        assert deploys.handle(change).result(timeout=0.1) == row.end
    else:
        with pytest.raises(ProcessFailed, match=row.fails):
            deploys.handle(change).result(timeout=0.1)
    assert deploys.did(NAMES[change]) == row.did


def test_an_entry_for_an_agent_that_is_gone_waits_and_is_read_when_it_is_back(deploys: Deploys) -> None:
    assert (
        "waits for code that fits: release v2 does not have what it needs: There is no agent 'clerk' in this app."
        in deploys.said_of_desk
    )
    assert deploys.did("clerk") == ("turn",)
    assert deploys.desk.inspect().misfit is None


def test_another_namespace_is_another_store(deploys: Deploys, server: PrivateServer) -> None:
    other = App("shop", settings=Settings(url=server.url, namespace="elsewhere"))
    try:
        with pytest.raises(ProcessNotFound):
            other.handle(NAMES["an engine is gone"]).status()
    finally:
        other.close()
