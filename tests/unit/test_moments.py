"""The moments of cron expressions where clocks are set, and of random fields."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from wakeline import App
from wakeline.errors import InvalidSchedule
from wakeline.triggers.moments import Moments, drawn

BERLIN, LORD_HOWE, SANTIAGO, APIA = "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia"


def second(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def between(expression: str, zone: str, first: str, last: str) -> list[str]:
    """The moments after one and until another, in UTC."""
    moments, at, found = Moments(expression, zone), second(first), list[str]()
    while (at := moments.after(at)) <= second(last):
        found.append(datetime.fromtimestamp(at, UTC).strftime("%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "first", "last", "moments"),
    [
        # Clocks go back at 01:00 UTC: 02:30 is shown twice, and meant once, the first time.
        ("30 2 * * *", BERLIN, "2026-10-24T12:00", "2026-10-26T12:00", ["25 00:30", "26 01:30"]),
        ("0,30 2 * * *", BERLIN, "2026-10-24T12:00", "2026-10-25T12:00", ["25 00:00", "25 00:30"]),
        ("0 1-3 * * *", BERLIN, "2026-10-24T12:00", "2026-10-25T12:00", ["24 23:00", "25 00:00", "25 02:00"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-03T20:00", "2026-04-05T20:00", ["04 14:45", "05 15:15"]),
        # Clocks go forward at 01:00 UTC: what is skipped occurs right after the gap, several times of it once.
        ("30 2 * * *", BERLIN, "2026-03-28T12:00", "2026-03-30T12:00", ["29 01:00", "30 00:30"]),
        ("0,30 2 * * *", BERLIN, "2026-03-28T12:00", "2026-03-29T12:00", ["29 01:00"]),
        ("30 2,3 * * *", BERLIN, "2026-03-28T12:00", "2026-03-29T12:00", ["29 01:00", "29 01:30"]),
        ("0 2,3 * * *", BERLIN, "2026-03-28T12:00", "2026-03-29T12:00", ["29 01:00"]),
        ("0 0 * * *", SANTIAGO, "2026-09-05T12:00", "2026-09-07T12:00", ["06 04:00", "07 03:00"]),
        # A day that a zone left out.
        ("0 9 * * *", APIA, "2011-12-29T12:00", "2011-12-31T12:00", ["29 19:00", "30 10:00", "30 19:00"]),
        # What repeats goes by the time that elapses.
        (
            "*/30 * * * *",
            BERLIN,
            "2026-10-24T23:59",
            "2026-10-25T02:00",
            ["25 00:00", "25 00:30", "25 01:00", "25 01:30", "25 02:00"],
        ),
        (
            "*/30 * * * *",
            BERLIN,
            "2026-03-29T00:00",
            "2026-03-29T02:00",
            ["29 00:30", "29 01:00", "29 01:30", "29 02:00"],
        ),
        ("0 * * * *", BERLIN, "2026-10-24T23:59", "2026-10-25T03:00", ["25 00:00", "25 01:00", "25 02:00", "25 03:00"]),
        (
            "0 0-23 * * *",
            BERLIN,
            "2026-10-24T23:59",
            "2026-10-25T03:00",
            ["25 00:00", "25 01:00", "25 02:00", "25 03:00"],
        ),
        (
            "*/20 2 * * *",
            BERLIN,
            "2026-10-24T12:00",
            "2026-10-25T12:00",
            [f"25 0{h}:{m}" for h in (0, 1) for m in ("00", "20", "40")],
        ),
        ("*/20 2 * * *", BERLIN, "2026-03-28T12:00", "2026-03-29T12:00", []),
        # Over years: from one repeated hour to the next, and through a leap day.
        ("* 2 25 10 *", BERLIN, "2026-10-25T01:58", "2027-10-25T00:00", ["25 01:59", "25 00:00"]),
        ("0 12 29 2 *", BERLIN, "2026-01-01T00:00", "2033-01-01T00:00", ["29 11:00", "29 11:00"]),
    ],
)
def test_moments_where_clocks_are_set(expression: str, zone: str, first: str, last: str, moments: list[str]) -> None:
    assert between(expression, zone, first, last) == moments


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York", LORD_HOWE, SANTIAGO, "Africa/Casablanca", "Asia/Kolkata"])
@pytest.mark.parametrize(
    ("expression", "minutes", "hours"),
    [("*/7 * * * *", range(0, 60, 7), range(24)), ("5,35 */3 * * *", (5, 35), range(0, 24, 3))],
)
def test_what_repeats_occurs_at_every_real_minute_at_which_the_clock_shows_it(
    zone: str, expression: str, minutes: range, hours: range
) -> None:
    clock, moments = ZoneInfo(zone), Moments(expression, zone)
    for start in ("2026-03-28T00:00", "2026-10-24T00:00", "2026-04-04T00:00", "2026-09-05T00:00", "2026-02-14T00:00"):
        first, last = second(start), second(start) + 3 * 86_400
        shown = [
            at
            for at in range(first + 60, last, 60)
            if (there := datetime.fromtimestamp(at, clock)).minute in minutes and there.hour in hours
        ]
        found, at = list[int](), first
        while (at := moments.after(at)) < last:
            found.append(at)
        assert found == shown


@pytest.mark.parametrize("expression", ["30 2 * * *", "*/30 * * * *", "0 0 1 1 *", "0 12 29 2 *", "15 1-3 * * 0"])
@pytest.mark.parametrize("zone", ["UTC", BERLIN, LORD_HOWE])
def test_the_last_moment_until_a_time_is_the_one_after_which_none_comes_before_it(expression: str, zone: str) -> None:
    moments = Moments(expression, zone)
    for text in (
        "2026-03-29T01:00:00",
        "2026-03-29T00:59:59",
        "2026-10-25T00:30:00",
        "2026-10-25T01:15:07",
        "2026-07-01T00:00:00",
    ):
        until = second(text)
        last = moments.until(until)
        assert last <= until < moments.after(last)
        assert moments.after(last - 1) == last


def test_random_fields_are_drawn_from_the_name_of_the_schedule() -> None:
    app = App("drawn")

    @app.tool
    def tidy() -> None: ...

    made = app.cron("R R(1-5) * * *", tidy, name="nightly")
    assert made.expression == drawn("R R(1-5) * * *", "nightly") == "14 3 * * *"
    assert [app.cron("R R(1-5) * * *", tidy, name="nightly").expression for _ in range(5)] == ["14 3 * * *"] * 5
    assert app.cron("R/15 * * * *", tidy, name="often").expression.count(",") == 3
    names = [f"job {n}" for n in range(200)]
    assert len({drawn("R R * * *", name) for name in names}) > 170


def test_random_fields_need_a_name_that_stays() -> None:
    app = App("drawn")

    @app.tool
    def tidy() -> None: ...

    with pytest.raises(InvalidSchedule, match="give name="):
        app.cron("R R * * *", tidy)
    for expression in ("R(9-70) * * * *", "R R * * Q"):
        with pytest.raises(InvalidSchedule):
            app.cron(expression, tidy, name="nightly")
    assert app.cron("0 3 * * FRI", tidy).expression == "0 3 * * FRI"
