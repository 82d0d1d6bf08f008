"""The named moments: one list, a meaning each; code that runs reaches every one, and a worker is killed there."""

from __future__ import annotations

import re
from pathlib import Path

from wakeline.telemetry.phases import Phase
from wakeline.testing.instruments import RecordingInstrument

from tests.e2e import test_wake_crashes


def test_phases_are_pinned() -> None:
    assert [phase.value for phase in Phase] == [
        "claimed",
        "body_started",
        "admitted",
        "effect_before_run",
        "effect_after_run",
        "effect_recorded",
        "wait_opened",
        "parking",
        "parked",
        "finishing",
        "finished",
        "handing_back",
        "taking",
        "taken",
        "beat",
        "tick",
    ]


def test_every_phase_has_a_one_line_meaning() -> None:
    meanings = [phase.meaning for phase in Phase]
    assert all(meaning and "\n" not in meaning for meaning in meanings)
    assert len(set(meanings)) == len(meanings)


def test_every_phase_is_reached_by_what_is_shipped() -> None:
    root = Path(__file__).parents[2]
    shipped = [
        path
        for folder in ("core/wakeline", "workers/wakeline_workers")
        for path in (root / folder).rglob("*.py")
        if "testing" not in path.parts
    ]
    reached = {
        name for path in shipped for name in re.findall(r"\.point\(Phase\.(\w+),", path.read_text(encoding="utf-8"))
    }
    assert reached == {phase.value for phase in Phase}


def test_a_worker_is_killed_at_every_phase() -> None:
    assert {phase.value for phase in Phase} == test_wake_crashes.KILLED_AT


def test_phases_read_back_from_their_values() -> None:
    assert Phase("parked") is Phase.parked
    assert str(Phase.parked) == "parked"


def test_a_recording_instrument_keeps_the_order() -> None:
    recording = RecordingInstrument()
    recording.point(Phase.claimed, "p_1")
    recording.point(Phase.tick, "")
    recording.point(Phase.parked, "p_1")
    assert recording.phases("p_1") == [Phase.claimed, Phase.parked]
    assert recording.phases() == [Phase.claimed, Phase.tick, Phase.parked]
