"""`examples/approval` does what its README says, also when its worker is killed while the boss thinks."""

from __future__ import annotations

from pathlib import Path

import pytest
from wakeline.embedded import PrivateServer

from tests.e2e.transcripts import ROOT, follow, kill, opened, until, worker

APP = "examples.approval.app:app"


def test_the_commands_of_the_readme_show_what_it_says(server: PrivateServer) -> None:
    follow(ROOT / "examples/approval/README.md", server)


@pytest.mark.parametrize(("answer", "result"), [(True, "paid 4200 cents to ada"), (False, "refused")])
def test_the_answer_finds_the_expense_after_its_worker_was_killed(
    server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, result: str
) -> None:
    mail = tmp_path / "expense-1"
    with opened("approval", server, monkeypatch) as example:
        expense = example.app.using(id="expense-1").start(example.expense, "ada", 4200)
        with worker(server, APP, MAILS=str(tmp_path)) as first:
            until(lambda: expense.status().status == "waiting", "the boss is asked")
            kill(first)
        assert example.app.resolve(mail.read_text(), answer) is True
        mail.unlink()
        with worker(server, APP, MAILS=str(tmp_path)):
            assert expense.result(timeout=60) == result
        assert not mail.exists()  # the boss was asked once
        assert [event.type for event in expense.events()].count("process.completed") == 1
