"""`examples/pending` does what its README says, also when its worker is killed while the plate is on the bench."""

from __future__ import annotations

from pathlib import Path

import pytest
from wakeline.embedded import PrivateServer

from tests.e2e.transcripts import ROOT, follow, kill, opened, until, worker

APP = "examples.pending.app:app"


def test_the_commands_of_the_readme_show_what_it_says(server: PrivateServer) -> None:
    follow(ROOT / "examples/pending/README.md", server)


def test_a_plate_that_is_done_after_the_worker_was_killed_is_shipped_and_was_asked_for_once(
    server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = tmp_path / "order-1"
    with opened("pending", server, monkeypatch) as example:
        order = example.app.using(id="order-1").start(example.order, "for Ada")
        with worker(server, APP, BENCH=str(tmp_path)) as first:
            until(lambda: order.status().status == "waiting", "the plate is on the bench")
            kill(first)
        token = bench.read_text()
        bench.unlink()
        with worker(server, APP, BENCH=str(tmp_path)):
            assert order.status().status == "waiting"
            assert example.app.resolve(token, "plate 12") is True
            assert order.result(timeout=60) == "shipped plate 12"
        assert not bench.exists()
        assert example.app.resolve(token, "plate 13") is False
