"""A worker that kills itself once, the n-th time that a named moment is reached by a turn, by anything else, or by any
process.

``WAKES_KILL`` says when: ``<turn|job|any> <phase> [n]``. Only a process with ``WAKES_WORKER`` set does it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.phases import Phase

FOLDER = Path(os.environ["WAKES_FOLDER"])
MARK, NOTES = FOLDER / "killed", FOLDER / "notes"


class Killer(Instrument):
    """SIGKILL to this process: a worker, or the supervisor that beats for it."""

    left = 0

    def point(self, phase: Phase, process_id: str) -> None:
        who, when, *nth = os.environ.get("WAKES_KILL", "nobody never").split(" ")
        is_turn = process_id.startswith("process:turn:")
        if (
            phase != when
            or "WAKES_WORKER" not in os.environ
            or who not in ("any", "turn" if is_turn else "job")
            or MARK.exists()
        ):
            return
        Killer.left = (Killer.left or int(nth[0] if nth else "1")) - 1
        if Killer.left == 0:
            MARK.write_text(process_id)
            os.kill(os.getpid(), signal.SIGKILL)


def note(text: str) -> None:
    """One line for the test."""
    with NOTES.open("a", encoding="utf-8") as notes:
        notes.write(text + "\n")


killer = Killer()
"""Workers find it by ``WAKELINE_INSTRUMENT=killing:killer``."""
