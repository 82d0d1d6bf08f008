"""Nothing is shipped that only tests reach: rules that nothing obeys mislead a reader who finds them first."""

from __future__ import annotations

from pathlib import Path

import pytest
import wakeline
from reaching import Shipped
from wakeline import errors

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "core/wakeline", ROOT / "workers/wakeline_workers")
BEGINNINGS = {
    "wakeline_workers.scrape._Answer.do_GET": "http.server calls it by the method of a request",
    "wakeline_workers.scrape._Answer.log_message": "http.server calls it after each request",
    "wakeline_workers.scrape._Server.handle_error": "http.server calls it when a connection breaks",
    "wakeline.__getattr__": "Python asks it for the names that the package has not loaded yet",
    "wakeline.web.face.asgi": "an ASGI app mounts what it makes",
    "wakeline.web.serving._Server.capture_signals": "uvicorn surrounds its work with it",
    "wakeline.__dir__": "Python asks it for all names of the package",
    "wakeline_workers.cli.main": "the entry point of both programs",
    "wakeline_workers.jobs.run": "the function that a doorbell names to RQ",
    "wakeline_workers.worker.WakelineWorker": "a class for `rq worker -w`",
    "wakeline.telemetry.otel.OpenTelemetry": "an app observes one",
    "wakeline.telemetry.sentry.Sentry": "an app observes one",
}
ALLOWED = {
    "wakeline.logs.configure": "a program that is no worker gets the entries of one by it",
    "wakeline.store.places._Owing.send_command": "redis-py calls it on the connections this is mixed into",
    "wakeline.store.processes.set_external_ref": "the script has the transition; no verb gives it to users yet",
    "wakeline.store.scripts.forget": "rules.py of tests/races takes a rule out of a running store",
    "wakeline.store.sessions.grants_of": "the script lists both sides of a grant; no verb shows this side yet",
    "wakeline.tools.completions.ToolCompletions": "an app hands one to use_completions",
    "wakeline.tools.definition.preserve_projected_refs_in": "an app hands one to tool(projection=…)",
}
"""What nothing shipped reaches, and why it is still shipped."""


def shipped(*packages: Path) -> Shipped:
    return Shipped(*packages, without="wakeline.testing")


def unreached(house: Shipped, beginnings: set[str]) -> set[str]:
    """Definitions that nothing reaches; of a class that nothing reaches the class alone."""
    reached = house.reached(beginnings)
    return {
        path
        for path, one in house.definitions.items()
        if path not in reached and not (one.of and one.of.path not in reached)
    }


def beginnings(house: Shipped) -> set[str]:
    exported = {house.full(f"wakeline.{name}") for name in wakeline.__all__}
    caught = {
        f"wakeline.errors.{name}"
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and kind.__module__ == "wakeline.errors"
    }
    return set(BEGINNINGS) | exported | caught | house.public(exported) | house.registered("wakeline_workers")


def test_every_shipped_definition_is_reached_by_something_shipped() -> None:
    house = shipped(*PACKAGES)
    assert len(house.definitions) > 2_000
    assert sorted(unreached(house, beginnings(house)) - ALLOWED.keys()) == []


def test_every_exception_is_one_and_says_why() -> None:
    house = shipped(*PACKAGES)
    assert all(len(why.split()) > 3 for why in ALLOWED.values())
    assert ALLOWED.keys() <= unreached(house, beginnings(house))
    assert BEGINNINGS.keys() <= house.definitions.keys()


# -- the finder itself

KERNEL = """
from enum import StrEnum

LIMIT = 3
UNUSED = 4

class Kept:
    def used(self): return LIMIT
    def unused(self): return 1
    def __len__(self): return 0

class Kind(StrEnum):
    one = "1"
    def format(self, *args): return ""

class Model:
    def rule(self): return Model()

def decide(): return Model().rule()
def answer(): return Kept().used(), Kind.one
"""


def test_what_only_itself_mentions_is_found_and_what_a_beginning_mentions_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "smallhouse"
    package.mkdir()
    (package / "__init__.py").write_text("from smallhouse.kernel import answer\n__all__ = ['answer']\n")
    (package / "kernel.py").write_text(KERNEL)
    monkeypatch.syspath_prepend(str(tmp_path))
    house = Shipped(package, without="smallhouse.testing")
    assert house.full("smallhouse.answer") == "smallhouse.kernel.answer"
    assert unreached(house, {"smallhouse.kernel.answer"}) == {
        f"smallhouse.kernel.{name}" for name in ("UNUSED", "Kept.unused", "Model", "decide")
    }
    assert "smallhouse.kernel.Model.rule" not in house.reached({"smallhouse.kernel.answer"})
    assert unreached(house, {"smallhouse.kernel.answer", "smallhouse.kernel.decide"}) == {
        "smallhouse.kernel.UNUSED",
        "smallhouse.kernel.Kept.unused",
    }
