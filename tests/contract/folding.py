"""The law of the record: what is stored beside a log is what folding the log gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wakeline.processes.events import ProcessEvent
from wakeline.testing.model.lifecycle import observed
from wakeline.testing.model.record import Record, fold

if TYPE_CHECKING:
    from tests.contract.conftest import World


def refolded(world: World, pid: str = "p") -> Record:
    """The record made from nothing but registration and log."""
    view = world.view(pid)
    events = [
        ProcessEvent.restore(
            pid, e.sequence, e.type, e.payload, e.at_ms, replay_key=e.replay_key, semantics=e.semantics
        )
        for e in view.events
    ]
    return fold(view.registration, view.created_ms, events)


def check_fold(world: World, pid: str = "p") -> Record:
    """Compares every field that is stored beside the log with the fold."""
    view, record = world.view(pid), refolded(world, pid)
    assert view.status == observed(record.status, "ow" in view.fields, external=view.fields["k"] == "x")
    assert view.sequence == record.sequence == len(view.events)
    assert int(view.fields["ua"]) == record.updated_at_ms
    assert view.fields.get("ws") == (record.wake_target.session_id if record.wake_target else None)
    assert view.fields.get("ver") == record.engine_version
    assert int(view.fields.get("gen", "1")) == record.generation
    assert ("cr" in view.fields) == (record.cancel_requested is not None)
    return record
