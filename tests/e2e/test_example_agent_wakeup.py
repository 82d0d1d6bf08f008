"""`examples/agent_wakeup` does what it says, also when its worker is killed with SIGKILL at each step."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from wakeline.embedded import PrivateServer

from tests.e2e.shop import APPS
from tests.e2e.test_races import ROOT, Site, leave

POINTS = [
    "nobody never",
    *(f"any effect_recorded {n}" for n in range(1, 6)),
    *(f"turn {phase} {n}" for n in (1, 2) for phase in ("admitted", "finishing")),
    *(
        "turn parked",
        "turn wait_opened",
        "turn effect_after_run 1",
        "job parked 2",
        "job finishing 1",
        "job finished 1",
    ),
]


@pytest.fixture
def site(server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    settings = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": "wakeup_app:app",
        "WAKELINE_INSTRUMENT": "killing:killer",
        "WAKELINE_LEASE": "1500ms",
        "WAKELINE_BEAT": "300ms",
        "WAKELINE_HOLD": "0",
        "WAKES_FOLDER": str(tmp_path),
        "SUPPORT_FOLDER": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(APPS), str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in [name for name in sys.modules if name.startswith("examples")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(ROOT))
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    (tmp_path / "outside").touch()
    import examples.agent_wakeup.support as support

    yield Site(support, tmp_path / "outside")
    support.app.close()


@pytest.mark.parametrize("point", POINTS)
def test_the_support_agent_survives_the_death_of_its_worker_at_each_step(site: Site, point: str) -> None:
    app, outside = site.app, site.notes
    command = [sys.executable, "-m", "wakeline_workers.cli", "-A", "wakeup_app:app", "worker", "-n", "1"]
    running = subprocess.Popen(command, env=os.environ | {"WAKES_KILL": point, "WAKES_WORKER": "1"})

    def lines(what: str) -> list[list[str]]:
        return [line.split() for line in outside.read_text().splitlines() if line.startswith(what)]

    try:
        session = app.session("support", "customer-7")
        session.send("where is my order 7", key="message-1")
        site.until(lambda: lines("approve"), "a person is asked")
        # Answered sooner, the turn would go on without a park, and a kill at its park would never come.
        site.until(lambda: session.inspect().turn_status == "waiting", "the turn waits for the person")
        app.resolve(lines("approve")[-1][2], True)
        site.until(lambda: any("on their way" in str(m.content) for m in session.history()), "the customer is answered")
        site.until(lambda: session.inspect().status == "idle", "the agent sleeps")
    finally:
        leave(running)
    assert (outside.parent / "killed").exists() == (point != "nobody never")
    assert [entry.state for entry in session.wakes()] == [
        "settled"
    ] * 5  # the message, three findings, the end of the job
    told = [m.content for m in session.history() if m.role == "wake"]
    assert told[:3] == ["orders: 1 days late", "payments: 2 days late", "shipping: 10 days late"]
    assert [m.content for m in session.history() if m.role == "agent"] == [
        "I am looking into order 7.",
        "Order 7: 500 cents are on their way (orders: 1 days late; payments: 2 days late; shipping: 10 days late).",
    ]
    assert len({token for _, _, token in lines("approve")}) == 1
    assert len({key for _, _, _, key in lines("refund")}) == 1  # the payment service sees one key over all tries


def test_the_example_runs_as_its_readme_says() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.agent_wakeup"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Order 7: 500 cents are on their way" in done.stdout
