"""An instrument is told and changes nothing: whatever it raises, returns or keeps, the work goes on as it is."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from wakeline import App
from wakeline.errors import NonRetryable, Parked, SettingsInvalid, ToolFailed
from wakeline.settings import Settings
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.instruments import Instruments
from wakeline.telemetry.phases import Phase
from wakeline.telemetry.seen import EffectSeen, ScriptSeen, SendingSeen, StretchSeen
from wakeline.testing.instruments import Breaking, KillPoint, RecordingInstrument


def stretch() -> StretchSeen:
    return StretchSeen("p_1", "plan")


class Raising(Instrument):
    """Raises where it is told to."""

    def __init__(self, error: BaseException, where: str = "begin") -> None:
        self.error, self.where = error, where

    def point(self, phase: Phase, process_id: str) -> None:
        raise self.error

    def script(self, script: ScriptSeen) -> None:
        raise self.error

    @contextmanager
    def stretch(self, stretch: StretchSeen) -> Generator[None]:
        if self.where == "begin":
            raise self.error
        yield
        raise self.error


ERRORS: list[Callable[[], BaseException]] = [
    lambda: ValueError("v"),
    lambda: SystemExit(3),
    lambda: asyncio.CancelledError(),
    lambda: GeneratorExit(),
    lambda: StopIteration(),
    lambda: Parked(),
    lambda: NonRetryable("n"),
    lambda: BaseException("b"),
]


@pytest.mark.parametrize("make", ERRORS, ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize("where", ["begin", "end"])
def test_what_an_instrument_raises_reaches_nobody_and_the_others_are_told(
    make: Callable[[], BaseException], where: str
) -> None:
    before, after = RecordingInstrument(), RecordingInstrument()
    instruments = Instruments([before, Raising(make(), where), after])
    instruments.point(Phase.claimed, "p_1")
    instruments.script(ScriptSeen("process_register", 0.1, None))
    with instruments.stretch(stretch()):
        done = True
    assert done
    for recording in (before, after):
        assert recording.reached == [(Phase.claimed, "p_1")]
        assert [told for told, _ in recording.told] == ["script", "stretch", "~stretch"]
    name = f"{Raising.__module__}.Raising"
    assert instruments.failures == {(name, "point"): 1, (name, "script"): 1, (name, "stretch"): 1}


def test_what_an_instrument_raises_is_logged_once_for_each_of_its_methods_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    instruments = Instruments([Raising(ValueError("v"))])
    with caplog.at_level(logging.ERROR, "wakeline.telemetry"):
        for _ in range(5):
            instruments.point(Phase.tick, "")
            with instruments.stretch(stretch()):
                pass
    told = [record.getMessage() for record in caplog.records]
    assert [("point" in text, "stretch" in text) for text in told] == [(True, False), (False, True)]
    assert all("The work goes on without it, and this is said once" in text for text in told)
    assert set(instruments.failures.values()) == {5}


def test_an_error_whose_own_text_raises_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    Instruments([Raising(Mute())]).point(Phase.tick, "")
    assert len(caplog.records) == 1


def test_a_ctrl_c_in_an_instrument_is_the_user_s(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt):
        Instruments([Raising(KeyboardInterrupt())]).point(Phase.tick, "")


def test_an_error_of_the_work_passes_whatever_the_instrument_does_with_its_end() -> None:
    class Swallows:
        def __enter__(self) -> None: ...
        def __exit__(self, *of: object) -> bool:
            seen.append(of)
            return True

    class Keeps(Instrument):
        def stretch(self, stretch: StretchSeen) -> Any:
            return Swallows()

    seen: list[Any] = []
    with pytest.raises(ValueError, match="the work's"), Instruments([Keeps()]).stretch(stretch()):
        raise ValueError("the work's")
    assert seen == [(None, None, None)]


@pytest.mark.parametrize("given", [None, 7, object(), (n for n in [1])], ids=["None", "int", "object", "generator"])
def test_a_method_that_gives_no_context_manager_is_a_failure_of_the_instrument(given: object) -> None:
    class Wrong(Instrument):
        def stretch(self, stretch: StretchSeen) -> Any:
            return given

    instruments = Instruments([Wrong()])
    with instruments.stretch(stretch()):
        pass
    assert sum(instruments.failures.values()) == 1


def test_a_method_that_is_async_is_a_failure_of_the_instrument_and_warns_of_nothing() -> None:
    class Async(Instrument):
        async def point(self, phase: Phase, process_id: str) -> None: ...  # type: ignore[override]  # pyright: ignore
        async def stretch(self, stretch: StretchSeen) -> Any: ...  # pyright: ignore

    instruments = Instruments([Async()])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        instruments.point(Phase.tick, "")
        with instruments.stretch(stretch()):
            pass
        gc.collect()
    assert sorted(method for _, method in instruments.failures) == ["point", "stretch"]


def test_how_a_stretch_ended_is_known_after_its_yield() -> None:
    recording = RecordingInstrument()
    instruments = Instruments([recording])
    failure = ToolFailed(
        tool="t", failure_class="execution", failure_code="boom", failure_message="m", final=True, retry_after_ms=None
    )
    for error in (None, ValueError(), failure, Parked(), asyncio.CancelledError()):
        try:
            with instruments.stretch(stretch()):
                assert recording.told[-1][1].outcome is None
                if error is not None:
                    raise error
        except BaseException as raised:
            assert raised is error
    assert [(one.outcome, one.code) for one in recording.ends("stretch")] == [
        ("completed", None),
        ("failed", "ValueError"),
        ("failed", "boom"),
        ("stopped", None),
        ("stopped", None),
    ]


def test_what_is_seen_cannot_be_changed() -> None:
    seen = EffectSeen("p_1", "call:charge", "tool_call", "call:charge:1")
    with pytest.raises(FrozenInstanceError):
        seen.outcome = "completed"  # type: ignore[misc]  # pyright: ignore


def test_the_first_instrument_is_the_outermost() -> None:
    order: list[str] = []

    class Named(Instrument):
        def __init__(self, name: str) -> None:
            self.name = name

        @contextmanager
        def stretch(self, stretch: StretchSeen) -> Generator[None]:
            order.append(f"{self.name} begins")
            yield
            order.append(f"{self.name} ends")

    with Instruments([Named("first"), Named("second")]).stretch(stretch()):
        pass
    assert order == ["first begins", "second begins", "second ends", "first ends"]


def test_context_variables_of_an_instrument_hold_for_the_stretch() -> None:
    span: ContextVar[str] = ContextVar("span", default="none")

    class Traces(Instrument):
        @contextmanager
        def stretch(self, stretch: StretchSeen) -> Generator[None]:
            mark = span.set("open")
            yield
            span.reset(mark)

    instruments = Instruments([Traces()])
    with instruments.stretch(stretch()):
        assert span.get() == "open"
    assert (span.get(), instruments.failures) == ("none", {})


def test_what_an_instrument_does_while_it_is_told_is_not_told() -> None:
    class Loops(Instrument):
        told = 0

        def point(self, phase: Phase, process_id: str) -> None:
            Loops.told += 1
            instruments.point(phase, process_id)
            with instruments.stretch(stretch()):
                pass

        def stretch(self, stretch: StretchSeen) -> Any:
            Loops.told += 1
            raise AssertionError("it is not told")

    instruments = Instruments([Loops()])
    instruments.point(Phase.tick, "")
    assert (Loops.told, instruments.failures) == (1, {})


def test_an_instrument_is_told_of_what_it_has_a_method_for_alone() -> None:
    class Points(Instrument):
        def point(self, phase: Phase, process_id: str) -> None: ...

    instruments = Instruments([Points()])
    assert (len(instruments.points), instruments.runs, instruments.effects, instruments.scripts) == (1, (), (), ())


def test_one_that_is_added_twice_or_in_another_list_is_told_once() -> None:
    recording = RecordingInstrument()
    instruments = Instruments([recording, recording])
    also = instruments.with_also(Instruments([recording, RecordingInstrument()]))
    also.point(Phase.tick, "")
    assert (len(instruments.all), len(also.all), len(recording.reached)) == (1, 2, 1)
    assert also.failures is instruments.failures


def test_an_instrument_that_breaks_work_does_and_what_was_begun_is_ended() -> None:
    class Crash(Breaking):
        def stretch(self, stretch: StretchSeen) -> Any:
            raise RuntimeError("crash")

        def point(self, phase: Phase, process_id: str) -> None:
            raise SystemExit(3)

    recording = RecordingInstrument()
    instruments = Instruments([recording, Crash()])
    with pytest.raises(RuntimeError, match="crash"), instruments.stretch(stretch()):
        raise AssertionError("the work is not begun")
    assert [told for told, _ in recording.told] == ["stretch", "~stretch"]
    with pytest.raises(SystemExit):
        instruments.point(Phase.tick, "")
    assert instruments.failures == {}


def test_a_kill_point_does_its_deed_once_at_the_nth_time_and_for_the_process_it_is_about() -> None:
    done: list[str] = []
    point = KillPoint(Phase.parked, lambda: done.append("killed"), nth=2, of=lambda process_id: process_id == "p_1")
    for process_id in ("p_1", "p_2", "p_1", "p_1"):
        point.point(Phase.parking, process_id)
        point.point(Phase.parked, process_id)
        done.append(process_id)
    assert done == ["p_1", "p_2", "killed", "p_1", "p_1"]


@pytest.mark.parametrize("wrong", [RecordingInstrument, 7, "module:attribute", object()])
def test_what_is_not_an_instrument_is_refused_where_it_is_given(wrong: Any) -> None:
    with pytest.raises(SettingsInvalid, match="an object of a class below wakeline.extending.Instrument"):
        App("shop", settings=Settings(), instrument=wrong)
    app = App("shop", settings=Settings())
    with pytest.raises(SettingsInvalid):
        app.observe(wrong)
    assert app.instruments.all == ()


def test_an_app_has_the_instruments_it_was_given() -> None:
    first, second = RecordingInstrument(), RecordingInstrument()
    app = App("shop", settings=Settings(), instrument=first)
    assert app.observe(second) is second
    assert app.instruments.all == (first, second)


# -- slow ones


def test_an_instrument_that_keeps_the_work_is_counted_and_one_that_hangs_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr("wakeline.telemetry.instruments.monotonic", lambda: now[0])

    class Slow(Instrument):
        def point(self, phase: Phase, process_id: str) -> None:
            now[0] += float(process_id)

        @contextmanager
        def stretch(self, stretch: StretchSeen) -> Generator[None]:
            now[0] += 0.5
            yield
            now[0] += 2.0

    instruments = Instruments([Slow()])
    for seconds in ("0.009", "0.5", "3", "3"):
        instruments.point(Phase.tick, seconds)
    with instruments.stretch(stretch()):
        now[0] += 100.0
    name = f"{Slow.__module__}.{Slow.__qualname__}"
    assert instruments.slow == {(name, "point"): 3, (name, "stretch"): 2}, "the work itself does not count"
    assert [record.getMessage().partition(" kept ")[2][:27] for record in caplog.records] == [
        "the work for 3.0 s in point",
        "the work for 2.0 s in stret",
    ]
    assert instruments.with_also(Instrument()).slow is instruments.slow


# -- headers


class Gives(Instrument):
    def __init__(self, given: Any) -> None:
        self.given = given

    @contextmanager
    def sending(self, sending: SendingSeen) -> Generator[Any]:
        yield self.given


SENDING = SendingSeen("", "order", "start", "p_1")


@pytest.mark.parametrize(
    ("given", "headers", "failures"),
    [
        (None, None, 0),
        ({}, None, 0),
        ({"traceparent": "00-1"}, {"traceparent": "00-1"}, 0),
        ({"traceparent": "00-1", "n": 5, 7: "x", "none": None}, {"traceparent": "00-1"}, 0),
        ({"baggage": "x" * 1_010}, {"baggage": "x" * 1_010}, 0),
        ({"baggage": "x" * 1_011}, None, 1),
        ({"baggage": "\u65e5" * 200}, None, 1),
        ("traceparent", None, 1),
        (5, None, 1),
    ],
)
def test_what_an_instrument_gives_a_sending_is_texts_of_at_most_a_kilobyte(
    given: Any, headers: Any, failures: int
) -> None:
    instruments = Instruments([Gives(given)])
    with instruments.sending(SENDING) as found:
        assert found == headers
    assert sum(instruments.failures.values()) == failures


def test_headers_that_are_too_long_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    instruments = Instruments([Gives({"baggage": "x" * 2_000})])
    for _ in range(3):
        with instruments.sending(SENDING) as found:
            assert found is None
    assert [record.getMessage() for record in caplog.records] == [
        "instruments gave headers of more than 1024 bytes, which are left out"
    ]


def test_of_two_instruments_that_give_one_header_the_first_counts() -> None:
    instruments = Instruments([Gives({"a": "1", "b": "1"}), Gives({"b": "2", "c": "2"})])
    with instruments.sending(SENDING) as found:
        assert found == {"a": "1", "b": "1", "c": "2"}
