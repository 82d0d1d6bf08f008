"""`Instruments`: tells an app's instruments what happens, and keeps the work from what they do.

Invariant: what an instrument raises never reaches the work, unless it says that it `breaks_work`. Without an instrument
nothing is made and nothing is called.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from time import monotonic
from types import CoroutineType, TracebackType
from typing import Any

from wakeline.errors import SettingsInvalid
from wakeline.shown import logger
from wakeline.telemetry import headers
from wakeline.telemetry.headers import Headers
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import (
    AroundSeen,
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

log = logger("wakeline.telemetry")
BUDGET_S, HANGS_S = 0.01, 1.0
"""An instrument that takes longer than the first is counted, and one that takes longer than the second is logged."""
_telling: ContextVar[bool] = ContextVar("wakeline_telling", default=False)
"""Whether an instrument is being told: what it does with Wakeline itself is not told, or it would never end."""


class Instruments(Instrument):
    """Those that an app has, in the order in which they were added: the first is the outermost.

    ``points``, ``runs`` and so on are the ones that have that method. Who tells looks there first, so that nothing is
    made for nothing.
    """

    def __init__(self, instruments: Iterable[Instrument] = ()) -> None:
        self.all: tuple[Instrument, ...] = ()
        self.failures: Counter[tuple[str, str]] = Counter()
        """How often each instrument raised, by the name of its class and of the method."""
        self.slow: Counter[tuple[str, str]] = Counter()
        """How often each took longer than `BUDGET_S`, likewise. The work waits meanwhile."""
        self._hung: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._sort()
        for one in instruments:
            self.add(one)

    def add(self, instrument: Instrument) -> None:
        """Tells this one too from now on; once, however often it is added. Raises `SettingsInvalid` for what is not an
        `Instrument`."""
        check_instrument(instrument)
        if isinstance(instrument, Instruments):
            for one in instrument.all:
                self.add(one)
        elif not any(one is instrument for one in self.all):
            self.all = (*self.all, instrument)
            self._sort()

    def remove(self, instrument: Instrument) -> None:
        """Tells this one no more."""
        self.all = tuple(one for one in self.all if one is not instrument)
        self._sort()

    def with_also(self, instrument: Instrument) -> Instruments:
        """These and one more, for a part of the work."""
        made = Instruments([*self.all, instrument])
        made.failures, made.slow, made._hung, made._lock = self.failures, self.slow, self._hung, self._lock
        return made

    def _sort(self) -> None:
        self.points = self._with("point")
        self.sendings = self._with("sending")
        self.runs = self._with("run")
        self.effects = self._with("effect")
        self.stretches = self._with("stretch")
        self.isolations = self._with("isolated")
        self.ends = self._with("ended")
        self.scripts = self._with("script")
        self.rans = self._with("ran")
        self.tries = self._with("tried")
        self.waits = self._with("waited")
        self.see_runs = bool(self.runs or self.ends)
        """Whether one of them wants what is seen of a run."""
        self.takes = self._with("taken")
        self.ticks = self._with("ticked")
        self.beats = self._with("beat")
        self.deaths = self._with("lost")
        self.leaves = self._with("leaving")
        self.blocks = self._with("blocked")

    def _with(self, method: str) -> tuple[Instrument, ...]:
        own = getattr(Instrument, method)
        return tuple(one for one in self.all if getattr(type(one), method, None) is not own)

    # -- telling

    def point(self, phase: Phase, process_id: str) -> None:
        self._tell("point", self.points, phase, process_id)

    def script(self, script: ScriptSeen) -> None:
        self._tell("script", self.scripts, script)

    def blocked(self, blocked: BlockedSeen) -> None:
        self._tell("blocked", self.blocks, blocked)

    def ended(self, ended: EndedSeen) -> None:
        self._tell("ended", self.ends, ended)

    def ran(self, ran: RanSeen) -> None:
        self._tell("ran", self.rans, ran)

    def tried(self, tried: TriedSeen) -> None:
        self._tell("tried", self.tries, tried)

    def waited(self, waited: WaitedSeen) -> None:
        self._tell("waited", self.waits, waited)

    def taken(self, taken: TakenSeen) -> None:
        self._tell("taken", self.takes, taken)

    def ticked(self, ticked: TickedSeen) -> None:
        self._tell("ticked", self.ticks, ticked)

    def beat(self, beat: BeatSeen) -> None:
        self._tell("beat", self.beats, beat)

    def lost(self, lost: LostSeen) -> None:
        self._tell("lost", self.deaths, lost)

    def leaving(self) -> None:
        self._tell("leaving", self.leaves)

    def sending(self, sending: SendingSeen) -> AbstractContextManager[Headers | None]:
        return _AroundSending(self, "sending", self.sendings, sending)

    def run(self, run: RunSeen) -> AbstractContextManager[object]:
        return _Around(self, "run", self.runs, run)

    def effect(self, effect: EffectSeen) -> AbstractContextManager[object]:
        return _Around(self, "effect", self.effects, effect)

    def stretch(self, stretch: StretchSeen) -> AbstractContextManager[object]:
        return _Around(self, "stretch", self.stretches, stretch)

    def isolated(self, call: IsolatedSeen) -> AbstractContextManager[object]:
        return _Around(self, "isolated", self.isolations, call)

    def _tell(self, method: str, instruments: tuple[Instrument, ...], *seen: object) -> None:
        if _telling.get():
            return
        mark = _telling.set(True)
        try:
            for one in instruments:
                began_s = monotonic()
                try:
                    _refuse_coroutine(getattr(one, method)(*seen))
                except BaseException as error:  # noqa: BLE001 - what an instrument raises must not reach the work
                    self.failed(one, method, error)
                self.took(one, method, began_s)
        finally:
            _telling.reset(mark)

    def refused_headers(self) -> None:
        """The headers of a sending were too long. It is counted, and said once."""
        with self._lock:
            self.failures["headers", "sending"] += 1
            is_first = self.failures["headers", "sending"] == 1
        if is_first:
            log.warning("instruments gave headers of more than %d bytes, which are left out", headers.LONGEST)

    def took(self, instrument: Instrument, method: str, began_s: float) -> None:
        """An instrument was told, from a moment (``time.monotonic``) until now. If that was long, it is counted."""
        seconds = monotonic() - began_s
        if seconds < BUDGET_S:
            return
        what = (name_of(instrument), method)
        with self._lock:
            self.slow[what] += 1
            is_first = seconds >= HANGS_S and what not in self._hung
            if is_first:
                self._hung.add(what)
        if is_first:
            log.warning(
                "the instrument %s kept the work for %.1f s in %s. What it does has to be quick, and this is said once",
                what[0],
                seconds,
                method,
            )

    def failed(self, instrument: Instrument, method: str, error: BaseException) -> None:
        """What an instrument raised. Raises it again where it may reach the work: of one that breaks work on purpose,
        and a Ctrl-C, which is the user's."""
        if instrument.breaks_work or isinstance(error, KeyboardInterrupt):
            raise error
        name = name_of(instrument)
        with self._lock:
            self.failures[name, method] += 1
            is_first = self.failures[name, method] == 1
        if is_first:
            log.error(
                "the instrument %s raised in %s. The work goes on without it, and this is said once", name, method,
                exc_info=error,
            )  # fmt: skip


def name_of(instrument: Instrument) -> str:
    """The name of its class, as failures are counted by it."""
    return f"{type(instrument).__module__}.{type(instrument).__qualname__}"


class _Around(AbstractContextManager[Any]):
    """A stretch of work with the context managers of instruments around it."""

    __slots__ = ("_instruments", "_method", "_of", "_open", "_seen")

    def __init__(self, of: Instruments, method: str, instruments: tuple[Instrument, ...], seen: AroundSeen) -> None:
        self._of, self._method, self._instruments, self._seen = of, method, instruments, seen
        self._open: list[tuple[Instrument, Any]] = []

    def __enter__(self) -> Any:
        if _telling.get():
            return
        mark = _telling.set(True)
        try:
            for one in self._instruments:
                self._begin(one)
        except BaseException:
            self._end()
            raise
        finally:
            _telling.reset(mark)

    def _begin(self, one: Instrument) -> None:
        began_s = monotonic()
        try:
            around: Any = getattr(one, self._method)(self._seen)
            _refuse_coroutine(around)
            given = around.__enter__()
        except BaseException as error:  # noqa: BLE001 - see `Instruments._tell`
            self._of.failed(one, self._method, error)
        else:
            self._open.append((one, around))
            self._got(one, given)
        self._of.took(one, self._method, began_s)

    def _got(self, one: Instrument, given: Any) -> None:
        """What the context manager of an instrument gives."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seen.over(error)
        mark = _telling.set(True)
        try:
            self._end()
        finally:
            _telling.reset(mark)

    def _end(self) -> None:
        while self._open:
            one, around = self._open.pop()
            began_s = monotonic()
            try:
                # Never told of the error itself: an instrument could swallow it, or keep the frames of the body alive.
                around.__exit__(None, None, None)
            except BaseException as error:  # noqa: BLE001 - see `Instruments._tell`
                try:
                    self._of.failed(one, self._method, error)
                finally:
                    self._end()
            self._of.took(one, self._method, began_s)


class _AroundSending(_Around):
    """The same around a sending: it gives the headers of all its instruments, or None."""

    __slots__ = ("_headers",)

    def __enter__(self) -> Headers | None:
        self._headers: dict[str, str] = {}
        super().__enter__()
        if not self._headers or headers.fits(self._headers):
            return self._headers or None
        self._of.refused_headers()
        return None

    def _got(self, one: Instrument, given: Any) -> None:
        if given is None:
            return
        try:
            found = headers.texts_of(given)
        except Exception as error:  # noqa: BLE001 - a mapping of the instrument's own, which may raise anything
            self._of.failed(one, self._method, error)
            return
        for name, text in found.items():
            self._headers.setdefault(name, text)


def check_instrument(found: object) -> None:
    """Raises `SettingsInvalid` for what is not an instrument."""
    if not isinstance(found, Instrument):
        what = f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise SettingsInvalid(name="instrument", value=what, reason=NOT_AN_INSTRUMENT)


NOT_AN_INSTRUMENT = "it is an object of a class below wakeline.extending.Instrument"


def _refuse_coroutine(given: object) -> None:
    if isinstance(given, CoroutineType):
        given.close()
        raise TypeError("an instrument's methods are plain functions; this one is async")
