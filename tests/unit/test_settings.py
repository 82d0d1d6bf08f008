"""Settings: one variable each, the platforms' names of the URL, and a typed refusal that names the variable."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from wakeline.errors import SettingsInvalid
from wakeline.settings import DURATIONS, URLS, Settings
from wakeline_workers.configured import SETTINGS


def test_an_empty_environment_has_the_documented_defaults() -> None:
    s = Settings.from_env({})
    assert (s.url, s.namespace, s.tls, s.rq_prefix, s.app, s.concurrency) == (None, None, "auto", "rq", None, 64)
    assert (s.beat_ms, s.lease_ms, s.hold_ms, s.grace_ms, s.shutdown_ms, s.stale_ms) == (
        2_000,
        5_000,
        2_000,
        10_000,
        25_000,
        5_000,
    )
    assert (s.retention_ms, s.tombstone_ms) == (604_800_000, 604_800_000)


@pytest.mark.parametrize(
    "name", ["WAKELINE_REDIS_URL", "REDIS_TLS_URL", "REDIS_URL", "REDISTOGO_URL", "REDISCLOUD_URL"]
)
def test_the_url_is_found_under_every_platforms_name(name: str) -> None:
    assert Settings.from_env({name: "redis://h:1"}).url == "redis://h:1"


def test_our_own_name_of_the_url_wins_and_an_empty_one_does_not_count() -> None:
    assert Settings.from_env({"REDIS_URL": "redis://b", "WAKELINE_REDIS_URL": "redis://a"}).url == "redis://a"
    assert Settings.from_env({"REDIS_URL": "redis://b", "WAKELINE_REDIS_URL": ""}).url == "redis://b"


def test_durations_are_written_as_people_write_them() -> None:
    s = Settings.from_env({"WAKELINE_LEASE": "1m", "WAKELINE_BEAT": "500ms", "WAKELINE_RETENTION": "1d12h"})
    assert (s.lease_ms, s.beat_ms, s.retention_ms) == (60_000, 500, 129_600_000)


def test_an_id_stays_used_up_as_long_as_its_process_was_kept_but_an_hour_at_least_and_a_week_at_most() -> None:
    hour, week = 3_600_000, 604_800_000
    found = [Settings.from_env({"WAKELINE_RETENTION": kept}).tombstone_ms for kept in ("1s", "1h", "1d", "30d")]
    assert found == [hour, hour, 24 * hour, week]
    assert Settings.from_env({"WAKELINE_RETENTION": "1h", "WAKELINE_TOMBSTONE": "2d"}).tombstone_ms == 48 * hour


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WAKELINE_LEASE", "soon"),
        ("WAKELINE_TLS", "maybe"),
        ("WAKELINE_CONCURRENCY", "0"),
        ("WAKELINE_CONCURRENCY", "many"),
        ("WAKELINE_LOG", "FOO"),
        ("WAKELINE_LOG", "10"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        Settings.from_env({name: value})
    assert refused.value.code == "settings_invalid"
    assert name in str(refused.value)
    assert value in str(refused.value)


@pytest.mark.parametrize(
    ("env", "options"),
    [
        ({"REDIS_URL": "redis://h"}, {}),
        ({"REDIS_URL": "rediss://h"}, {"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        ({"REDIS_URL": "rediss://h", "DYNO": "worker.1"}, {"ssl_cert_reqs": "none", "ssl_check_hostname": False}),
        (
            {"REDIS_URL": "rediss://h", "DYNO": "worker.1", "WAKELINE_TLS": "verify"},
            {"ssl_cert_reqs": "required", "ssl_check_hostname": True},
        ),
        ({"REDIS_URL": "rediss://h", "WAKELINE_TLS": "none"}, {"ssl_cert_reqs": "none", "ssl_check_hostname": False}),
    ],
)
def test_tls_verifies_except_on_a_dyno_or_when_told_not_to(env: dict[str, str], options: dict[str, object]) -> None:
    assert Settings.from_env(env).tls_options() == options


def test_every_variable_is_in_the_docs() -> None:
    root = Path(__file__).parents[2]
    named = set(re.findall(r'"(WAKELINE_[A-Z_]+)"', (root / "core/wakeline/settings.py").read_text(encoding="utf-8")))
    named |= {f"WAKELINE_{name[:-3].upper()}" for name in DURATIONS} | set(URLS)
    shown = (root / "docs/running.md").read_text(encoding="utf-8")
    assert len(named) > 20
    assert {name for name in named if f"`{name}`" not in shown} == set()


def test_every_setting_is_explained_by_config_under_a_variable_of_the_docs() -> None:
    root = Path(__file__).parents[2]
    rows = (root / "docs/running.md").read_text(encoding="utf-8").partition("## Settings")[2]
    of_docs = {
        name for line in rows.splitlines() if line[:1] == "|" for name in re.findall("`([A-Z_]+)`", line.split("|")[1])
    }
    explained = {name for setting in SETTINGS for name in setting.variables}
    assert of_docs <= explained
    assert explained - of_docs == {
        "HEROKU_RELEASE_VERSION",
        "HEROKU_SLUG_COMMIT",
        "WAKELINE_BURST",
        "WAKELINE_PROCESSES",
        "WAKELINE_QUEUES",
    }
    fields = {setting.field for setting in SETTINGS if setting.field is not None}
    assert {one.name for one in dataclasses.fields(Settings)} - fields == {"on_dyno"}


def test_workers_count_unless_they_are_told_not_to() -> None:
    found = [Settings.from_env(env).metrics for env in ({}, {"WAKELINE_METRICS": "0"}, {"WAKELINE_METRICS": "yes"})]
    assert found == [True, False, True]


@pytest.mark.parametrize(
    ("given", "port"),
    [("", None), ("9100", "9100"), ("localhost:9100", "localhost:9100"), ("[::1]:9100", "[::1]:9100")],
)
def test_metrics_have_a_port_only_where_one_is_named(given: str, port: str | None) -> None:
    assert Settings.from_env({"WAKELINE_METRICS_PORT": given}).metrics_port == port


@pytest.mark.parametrize("given", ["http", "0", "65536", "localhost:", "9100/metrics", "-1", "٣"])
def test_what_is_no_port_is_refused(given: str) -> None:
    with pytest.raises(SettingsInvalid, match="WAKELINE_METRICS_PORT"):
        Settings.from_env({"WAKELINE_METRICS_PORT": given})


def test_workers_have_the_instrument_that_is_named_and_none_unless_one_is() -> None:
    found = [Settings.from_env(env).instrument for env in ({}, {"WAKELINE_INSTRUMENT": ""})]
    assert found == [None, None]
    assert Settings.from_env({"WAKELINE_INSTRUMENT": "shop.traces:tracer"}).instrument == "shop.traces:tracer"
