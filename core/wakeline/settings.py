"""Settings, read once from the environment.

Invariant: every value can be set by one ``WAKELINE_*`` variable (the URL and RQ's prefix also by the names platforms
use).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wakeline.errors import InvalidDuration, SettingsInvalid
from wakeline.values import format_duration, parse_duration

URLS = ("WAKELINE_REDIS_URL", "REDIS_TLS_URL", "REDIS_URL", "REDISTOGO_URL", "REDISCLOUD_URL")
RELEASES = ("WAKELINE_RELEASE", "HEROKU_RELEASE_VERSION", "HEROKU_SLUG_COMMIT")
RELEASE_LENGTH = 40
DURATIONS = {
    "lease_ms": 5_000,
    "beat_ms": 2_000,
    "hold_ms": 2_000,
    "grace_ms": 10_000,
    "shutdown_ms": 25_000,
    "stale_ms": 5_000,
    "retention_ms": 7 * 86_400_000,
    "tombstone_ms": 7 * 86_400_000,
    "bug_patience_ms": 86_400_000,
}

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_FORMATS = ("auto", "text", "json")
SHORTEST_TOMBSTONE_MS = 3_600_000
FLAGS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


@dataclass(frozen=True, slots=True)
class Settings:
    """Frozen settings; durations in milliseconds. Fields that may hold a password are not printed."""

    url: str | None = field(default=None, repr=False)
    namespace: str | None = None
    tls: str = "auto"
    rq_prefix: str = "rq"
    app: str | None = None
    release: str | None = None
    """The name of the release of this code; it is kept with what runs. A dyno provides it."""
    attachments: str | None = field(default=None, repr=False)
    """Where the bytes of attachments go: ``redis``, ``dir:/path``, ``s3://bucket/prefix``."""
    instrument: str | None = None
    """``module:attribute`` of an instrument that workers tell what happens, beside those of the app."""
    metrics: bool = True
    """Whether workers count what they do, for `wakeline metrics`."""
    metrics_port: str | None = None
    """``[host:]port`` at which a supervisor gives metrics to a scraper; None for no port."""
    concurrency: int = 64
    isolated: int = 2
    """How many isolated tools run at once in one worker process."""
    isolated_memory_mb: int = 512
    """A child process that used more MB is replaced after its call."""
    worker_memory_mb: int | None = None
    """A worker process that uses more MB hands its work back and is replaced; None has no limit."""
    allow_eviction: bool = False
    on_dyno: bool = False
    lease_ms: int = DURATIONS["lease_ms"]
    beat_ms: int = DURATIONS["beat_ms"]
    hold_ms: int = DURATIONS["hold_ms"]
    grace_ms: int = DURATIONS["grace_ms"]
    shutdown_ms: int = DURATIONS["shutdown_ms"]
    stale_ms: int = DURATIONS["stale_ms"]
    retention_ms: int = DURATIONS["retention_ms"]
    tombstone_ms: int = DURATIONS["tombstone_ms"]
    bug_patience_ms: int = DURATIONS["bug_patience_ms"]
    """How long a process waits for better code if the code of another release cannot read it or fails at it; then it
    fails. Also how long losses do not count if the code ends its worker. In ms."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings of an environment; raises `SettingsInvalid` naming the variable."""
        env = os.environ if environ is None else environ
        values: dict[str, Any] = {name: _duration(env, _variable(name), default) for name, default in DURATIONS.items()}
        if "WAKELINE_TOMBSTONE" not in env:
            # If processes are kept for an hour, tombstones of a week would fill most of the store.
            values["tombstone_ms"] = max(SHORTEST_TOMBSTONE_MS, min(values["retention_ms"], values["tombstone_ms"]))
        _check_durations(values)
        tls = env.get("WAKELINE_TLS", "auto")
        if tls not in ("auto", "verify", "none"):
            raise SettingsInvalid(name="WAKELINE_TLS", value=tls, reason="it is one of auto, verify, none")
        log = env.get("WAKELINE_LOG", "INFO")
        if log.upper() not in LOG_LEVELS:
            raise SettingsInvalid(name="WAKELINE_LOG", value=log, reason=f"it is one of {', '.join(LOG_LEVELS)}")
        form = env.get("WAKELINE_LOG_FORMAT", "auto")
        if form not in LOG_FORMATS:
            raise SettingsInvalid(
                name="WAKELINE_LOG_FORMAT", value=form, reason=f"it is one of {', '.join(LOG_FORMATS)}"
            )
        return cls(
            url=next((env[name] for name in URLS if env.get(name)), None),
            namespace=env.get("WAKELINE_NAMESPACE"),
            tls=tls,
            rq_prefix=env.get("RQ_KEY_PREFIX", "rq"),
            app=env.get("WAKELINE_APP"),
            release=next((env[name][:RELEASE_LENGTH] for name in RELEASES if env.get(name)), None),
            attachments=env.get("WAKELINE_ATTACHMENTS"),
            instrument=env.get("WAKELINE_INSTRUMENT") or None,
            metrics=_flag(env, "WAKELINE_METRICS", "1"),
            metrics_port=_port(env, "WAKELINE_METRICS_PORT"),
            concurrency=_number(env, "WAKELINE_CONCURRENCY", 64),
            isolated=_number(env, "WAKELINE_ISOLATED", max(2, os.cpu_count() or 1)),
            isolated_memory_mb=_number(env, "WAKELINE_ISOLATED_MEMORY", 512),
            worker_memory_mb=_number(env, "WAKELINE_WORKER_MEMORY", 1) if env.get("WAKELINE_WORKER_MEMORY") else None,
            allow_eviction=_flag(env, "WAKELINE_ALLOW_EVICTION"),
            on_dyno="DYNO" in env,
            **values,
        )

    def tls_options(self) -> dict[str, Any]:
        """Client options for TLS: ``auto`` verifies, except on a dyno, whose Redis add-on has a self-signed chain."""
        url = self.url or ""
        if not url.startswith("rediss://") and not (url.startswith("cluster://") and url.endswith("tls=1")):
            return {}
        if self.tls == "none" or (self.tls == "auto" and self.on_dyno):
            return {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
        return {"ssl_cert_reqs": "required", "ssl_check_hostname": True}


def _variable(name: str) -> str:
    return f"WAKELINE_{name[:-3].upper()}"


def _check_durations(values: Mapping[str, int]) -> None:
    """Raises `SettingsInvalid` for times with which workers of a fleet would take running work from each other, or run
    it twice."""
    lease, beat, tombstone = values["lease_ms"], values["beat_ms"], values["tombstone_ms"]
    if beat < 1:
        raise SettingsInvalid(
            name="WAKELINE_BEAT",
            value=format_duration(beat),
            reason="a worker needs a pause between two heartbeats",
        )
    if lease < 2 * beat:
        reason = (
            f"a lease has to outlast two heartbeats, which are {format_duration(beat)} apart (WAKELINE_BEAT), or"
            " workers lose what they run"
        )
        raise SettingsInvalid(name="WAKELINE_LEASE", value=format_duration(lease), reason=reason)
    if tombstone < SHORTEST_TOMBSTONE_MS:
        reason = "at least 1h; without its tombstone a late resend of a start would run again"
        raise SettingsInvalid(name="WAKELINE_TOMBSTONE", value=format_duration(tombstone), reason=reason)


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise SettingsInvalid(name=name, value=text, reason="it is a number from 1")
    return int(text)


def _port(env: Mapping[str, str], name: str) -> str | None:
    text = env.get(name)
    if not text:
        return None
    number = text.rpartition(":")[2]
    if not (number.isascii() and number.isdecimal()) or not 0 < int(number) < 65_536:
        raise SettingsInvalid(
            name=name, value=text, reason="it is a port from 1 to 65535, or a host and a port: host:port"
        )
    return text


def _flag(env: Mapping[str, str], name: str, default: str = "") -> bool:
    value = env.get(name, default).lower()
    if value not in FLAGS:
        raise SettingsInvalid(name=name, value=env[name], reason=f"it is one of {', '.join(filter(None, FLAGS))}")
    return FLAGS[value]


def _duration(env: Mapping[str, str], name: str, default: int) -> int:
    if name not in env:
        return default
    try:
        return parse_duration(env[name])
    except InvalidDuration as error:
        raise SettingsInvalid(name=name, value=env[name], reason=str(error).rstrip(".")) from error
