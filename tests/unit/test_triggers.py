"""Subscriptions, occurrences and schedules as values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from wakeline.causality import SessionOriginator, SessionScope
from wakeline.errors import InvalidArguments, InvalidId, InvalidSchedule
from wakeline.triggers.occurrence import Occurrence, delivered_process_id
from wakeline.triggers.schedule import Schedule, check_schedule, fire, following
from wakeline.triggers.subscription import Subscription, Target, arguments_of, check_subscription, parse_input


def subscription(**over: Any) -> Subscription:
    return Subscription(
        **({"source": "github.push", "name": "build", "target": Target(kind="engine", name="build")} | over)
    )


def schedule(expression: str = "0 9 * * *", **over: Any) -> Schedule:
    return Schedule(expression=expression, subscription=subscription(source="cron", name="daily"), **over)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


# -- identities


def test_the_name_at_a_source_is_a_subscription_of_each_owner() -> None:
    host, same, other = subscription(), subscription(labels={"a": "b"}), subscription(name="test")
    sessions = [
        subscription(originator=SessionOriginator(scope=SessionScope(session_id=sid))) for sid in ("bot/1", "bot/2")
    ]
    assert host.id == same.id
    assert len({host.id, other.id, *(one.id for one in sessions)}) == 4
    assert (host.owner, sessions[0].owner) == (None, "bot/1")
    assert host.content_hash != same.content_hash


def test_an_occurrence_is_its_source_its_thing_and_its_key() -> None:
    one = Occurrence("github.push", "k1", {"a": 1})
    assert one.id == Occurrence("github.push", "k1", {"a": 2}).id
    assert (
        len(
            {
                one.id,
                Occurrence("github.push", "k2", {}).id,
                Occurrence("github.pull", "k1", {}).id,
                Occurrence("github.push", "k1", {}, "repo").id,
            }
        )
        == 4
    )
    assert one.content_hash != Occurrence("github.push", "k1", {"a": 2}).content_hash


def test_identities_are_the_same_in_every_release() -> None:
    assert Occurrence("github.push", "k1", {"a": 1}, "repo").id == "trigger:d9fdcec7f67107db63af6b768ee6edc2"
    assert delivered_process_id("trigger:1", "sub:1") == "process:trigger:c3d38cd1f1dff92e2791ba6f3df9e006"


@pytest.mark.parametrize("over", [{"source": ""}, {"source": "a b"}, {"name": " "}, {"source_key": "  "}])
def test_names_are_checked(over: dict[str, Any]) -> None:
    with pytest.raises(InvalidId):
        check_subscription(subscription(**over))


# -- input


PAYLOAD = {"order": {"id": 7, "lines": ["a", "b"]}, "user": "ann"}


@pytest.mark.parametrize(
    ("template", "given"),
    [
        ("{}", PAYLOAD),
        ("{order.id}", 7),
        ("{order.lines.1}", "b"),
        ("{user}", "ann"),
        ("pushed by {user}", "pushed by ann"),
        ("plain", "plain"),
        (3, 3),
        (None, None),
        ({"a": "{user}"}, {"a": "{user}"}),
    ],
)
def test_a_template_says_what_an_argument_is(template: Any, given: Any) -> None:
    assert arguments_of(subscription(input=parse_input({"x": template})), {"x": True}, PAYLOAD) == {"x": given}


def test_without_a_template_the_payload_is_the_argument_or_its_fields_are() -> None:
    assert arguments_of(subscription(), {"payload": True}, [1]) == {"payload": [1]}
    assert arguments_of(subscription(), {"payload": True}, PAYLOAD) == {"payload": PAYLOAD}
    assert arguments_of(subscription(), {"user": True}, PAYLOAD) == {"user": "ann"}
    assert arguments_of(subscription(), {}, PAYLOAD) == {}
    assert arguments_of(subscription(), {"user": True, "limit": False}, PAYLOAD) == {"user": "ann"}


def test_a_payload_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvalidArguments, match="lacks some of a, b; give them in input="):
        arguments_of(subscription(), {"a": True, "b": True}, [1])
    with pytest.raises(InvalidArguments, match="nothing at /order/total"):
        arguments_of(subscription(input=parse_input({"x": "{order.total}"})), {"x": True}, PAYLOAD)


# -- schedules


def test_a_schedule_is_due_on_the_wall_clock_of_its_zone() -> None:
    berlin = schedule(timezone="Europe/Berlin")
    assert following(schedule(), ms("2026-03-28T09:00:00+00:00")) == ms("2026-03-29T09:00:00+00:00")
    # Summer time begins on 2026-03-29 and ends on 2026-10-25: nine o'clock stays nine o'clock.
    assert following(berlin, ms("2026-03-28T08:00:00+00:00")) == ms("2026-03-29T07:00:00+00:00")
    assert following(berlin, ms("2026-10-24T07:00:00+00:00")) == ms("2026-10-25T08:00:00+00:00")


@pytest.mark.parametrize(
    ("missed", "now", "moment", "next_one"),
    [
        # On time, or a little late: what was due occurs.
        ("once", "2026-01-02T09:00:00.100", "2026-01-02T09:00", "2026-01-03T09:00"),
        ("skip", "2026-01-02T09:00:59", "2026-01-02T09:00", "2026-01-03T09:00"),
        ("all", "2026-01-02T09:00:01", "2026-01-02T09:00", "2026-01-03T09:00"),
        # No worker was there for three days.
        ("once", "2026-01-05T10:00", "2026-01-05T09:00", "2026-01-06T09:00"),
        ("skip", "2026-01-05T10:00", None, "2026-01-06T09:00"),
        ("skip", "2026-01-05T09:00:30", "2026-01-05T09:00", "2026-01-06T09:00"),
        ("all", "2026-01-05T10:00", "2026-01-02T09:00", "2026-01-03T09:00"),
        # One missed moment, long ago.
        ("once", "2026-01-02T21:00", "2026-01-02T09:00", "2026-01-03T09:00"),
        ("skip", "2026-01-02T21:00", None, "2026-01-03T09:00"),
    ],
)
def test_what_becomes_of_moments_that_were_missed(missed: Any, now: str, moment: str | None, next_one: str) -> None:
    due = ms("2026-01-02T09:00+00:00")
    firing = fire(schedule(missed=missed), due, ms(now + "+00:00"))
    shown = [
        datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M") if at is not None else None
        for at in (firing.moment_ms, firing.next_ms)
    ]
    assert shown == [moment, next_one]


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        ({"expression": "* * * *"}, "five fields"),
        ({"expression": "* * * * * *"}, "five fields"),
        ({"expression": "61 * * * *"}, "."),
        ({"expression": "0 0 30 2 *"}, "."),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"missed": "never"}, "once, skip or all"),
        ({"overlap": "never"}, "allow, skip or replace"),
    ],
)
def test_a_schedule_that_never_occurs_is_refused(over: dict[str, Any], reason: str) -> None:
    fields = {
        "expression": "0 9 * * *",
        "subscription": subscription(source="cron"),
        "timezone": "UTC",
        "missed": "once",
        "overlap": "allow",
    } | over
    with pytest.raises(InvalidSchedule, match=reason):
        check_schedule(Schedule.model_construct(**fields))
