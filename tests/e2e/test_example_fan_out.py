"""`examples/fan_out` does what its README says, also when its worker is killed while the report waits."""

from __future__ import annotations

import pytest
from wakeline.embedded import PrivateServer

from tests.e2e.transcripts import ROOT, follow, kill, opened, until, worker

APP = "examples.fan_out.app:app"


def test_the_commands_of_the_readme_show_what_it_says(server: PrivateServer) -> None:
    follow(ROOT / "examples/fan_out/README.md", server)


def test_a_report_whose_worker_was_killed_measures_each_gauge_once(
    server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened("fan_out", server, monkeypatch) as example:
        report = example.app.start(example.report, ["spring", "mill", "weir"], "6s")
        with worker(server, APP) as first:
            until(lambda: report.status().status == "waiting", "the measurements are started")
            kill(first)
        with worker(server, APP):
            assert report.result(timeout=60) == "mill 80 cm, 1 late"
            ended = until(
                lambda: [one.status for one in example.app.processes("cancelled", kind="measure")],
                "who is late is cancelled",
            )
        assert ended == ["cancelled"]
        assert len(example.app.processes("any", kind="measure")) == 3
