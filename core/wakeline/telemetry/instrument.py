"""`Instrument`: what a tracer, metrics or a crash test implements to be told what happens in an app and its workers.

Invariant: one protocol for all of them. An instrument is told, and changes nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from wakeline.telemetry.headers import Headers
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import (
    BeatSeen,
    BlockedSeen,
    EffectSeen,
    EndedSeen,
    IsolatedSeen,
    LostSeen,
    RanSeen,
    RunSeen,
    ScriptSeen,
    SendingSeen,
    StretchSeen,
    TakenSeen,
    TickedSeen,
    TriedSeen,
    WaitedSeen,
)


class Instrument:
    """Subclass it and write the methods that you need; the others cost nothing. All are plain functions.

    A method that gives a context manager is called around a stretch of work. The code after its ``yield`` runs when the
    stretch is over, however it ended, and finds ``outcome`` and ``code`` set. Each other method is called at one
    moment.

    Several threads may call an instrument at once. What a method raises is counted (`Instruments.failures`), and logged
    the first time; the work goes on. What an instrument does itself with Wakeline is not told to any instrument.
    """

    breaks_work: ClassVar[bool] = False
    """Whether what it raises reaches the work. Crash tests want that: see `wakeline.testing.instruments`."""

    def point(self, phase: Phase, process_id: str, /) -> None:
        """A named moment is reached; ``process_id`` is empty if no process belongs to it."""

    def sending(self, sending: SendingSeen, /) -> AbstractContextManager[Headers | None]:
        """Around a start, a signal, or something else on which a later run acts. It may give headers: texts that are
        stored with it, and that the run which it causes sees. If the headers of one sending have more than 1,024 bytes
        as JSON, none is stored."""
        return nullcontext()

    def run(self, run: RunSeen, /) -> AbstractContextManager[object]:
        """Around one claim of a process. Context variables that it sets are seen by the body, its tools and its
        steps."""
        return nullcontext()

    def effect(self, effect: EffectSeen, /) -> AbstractContextManager[object]:
        """Around one try of an effect that is new. Context variables that it sets are seen by its code."""
        return nullcontext()

    def stretch(self, stretch: StretchSeen, /) -> AbstractContextManager[object]:
        """Around a stretch of a body that has a name."""
        return nullcontext()

    def isolated(self, call: IsolatedSeen, /) -> AbstractContextManager[object]:
        """Around one call of an isolated tool, in its child process."""
        return nullcontext()

    def ended(self, ended: EndedSeen, /) -> None:
        """A run of this worker ended its process. It is told within that run, once the end is written."""

    def ran(self, ran: RanSeen, /) -> None:
        """A run is over. It is cheaper than `run` where only the outcome and the time matter."""

    def tried(self, tried: TriedSeen, /) -> None:
        """A try of an effect that is new is over. It is cheaper than `effect`, likewise."""

    def waited(self, waited: WaitedSeen, /) -> None:
        """A body got what it waited for, or will get it no more."""

    def script(self, script: ScriptSeen, /) -> None:
        """A client of this app, or a worker, has got the reply to a script. It is told on the side that called it."""

    def taken(self, taken: TakenSeen, /) -> None:
        """A worker got the answer to a take."""

    def ticked(self, ticked: TickedSeen, /) -> None:
        """A tick is done."""

    def beat(self, beat: BeatSeen, /) -> None:
        """A heartbeat was answered, or failed. It is told in the supervisor, or in the thread that beats."""

    def lost(self, lost: LostSeen, /) -> None:
        """A supervisor gave the work of a dead worker away."""

    def leaving(self) -> None:
        """This OS process of workers is about to end without a further word of Python, or, in the child of an isolated
        tool, after a call, may do so from now on. What is kept has to be sent."""

    def blocked(self, blocked: BlockedSeen, /) -> None:
        """A body has kept the event loop of its worker for a second; told once for each such time, in a thread of its
        own."""
