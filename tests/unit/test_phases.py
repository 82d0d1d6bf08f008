"""The named moments: one list, a meaning each."""

from __future__ import annotations

from wakeline.phases import NullProbe, Phase
from wakeline.testing.probes import RecordingProbe


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


def test_phases_read_back_from_their_values() -> None:
    assert Phase("parked") is Phase.parked
    assert str(Phase.parked) == "parked"


def test_a_recording_probe_keeps_the_order() -> None:
    probe = RecordingProbe()
    probe.reach(Phase.claimed, "p_1")
    probe.reach(Phase.tick, "")
    probe.reach(Phase.parked, "p_1")
    assert probe.phases("p_1") == [Phase.claimed, Phase.parked]
    assert probe.phases() == [Phase.claimed, Phase.tick, Phase.parked]
    NullProbe().reach(Phase.claimed, "p_1")
