"""What a program of Wakeline is set to: every setting, its value, where that came from, and what it means.

Invariant: no password, and no query of a URL, is in what it shows. Values come from `Settings`, which alone reads them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from wakeline.errors import ConfigurationError, StoreError
from wakeline.settings import DURATIONS, RELEASES, URLS, Settings
from wakeline.store.connection import UrlBackend
from wakeline.values import format_duration

if TYPE_CHECKING:
    from wakeline.app import App

APP_CODE = "app code"
DEFAULT = "default"
OPTION = "option"
VARIABLE = "variable"
PREFIX = "WAKELINE_"
UNREADABLE = "a URL that cannot be read"
_OWN = {"WAKELINE_DEMO_NOTES": "the demo tells its workers where to write"}
"""Variables that programs of Wakeline set for each other."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its variables in the order in which they count, its field of `Settings` if it has one, and what it
    means."""

    variables: tuple[str, ...]
    field: str | None
    meaning: str
    fallback: str = ""
    """What is shown where no variable and no code says anything, unless the field has a value."""
    hidden: bool = False
    """Whether its value holds secrets: all that is shown is that it is set."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A setting as it is now."""

    name: str
    """The variable that says it, or the first one that could."""
    value: str
    """As it would be written in a variable, without passwords; empty if it has no value."""
    source: str
    """Where the value came from: ``variable``, ``default``, ``app code``, or ``option`` of the command."""
    meaning: str

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


SETTINGS = (
    Setting(URLS, "url", "The server: redis://, rediss://, unix://, sentinel:// or cluster://."),
    Setting(("WAKELINE_APP",), "app", "The app, module:attribute."),
    Setting(("WAKELINE_NAMESPACE",), "namespace", "The prefix of all keys. The app's name, unless set."),
    Setting(("WAKELINE_TLS",), "tls", "How certificates are checked: auto (not on a dyno), verify, none."),
    Setting(("RQ_KEY_PREFIX",), "rq_prefix", "Where RQ's keys are."),
    Setting(RELEASES, "release", "Which code this is."),
    Setting(("WAKELINE_PROCESSES",), None, "Worker processes of one `worker`.", "1"),
    Setting(("WAKELINE_CONCURRENCY",), "concurrency", "Bodies at once in a worker process."),
    Setting(("WAKELINE_QUEUES",), None, "The queues that `worker` takes from.", "all of the app"),
    Setting(("WAKELINE_BURST",), None, "Whether `worker` ends when nothing is left to do.", "no"),
    Setting(("WAKELINE_WAIT",), None, "Whether `worker` and `clock` wait for a server that is not there.", "on a dyno"),
    Setting(("WAKELINE_LEASE",), "lease_ms", "How long a worker may be without a heartbeat until it counts as gone."),
    Setting(("WAKELINE_BEAT",), "beat_ms", "The time between two heartbeats."),
    Setting(("WAKELINE_HOLD",), "hold_ms", "How long a waiting body stays in memory before it parks."),
    Setting(("WAKELINE_GRACE",), "grace_ms", "How long a cancel waits for the body to end by itself."),
    Setting(("WAKELINE_SHUTDOWN",), "shutdown_ms", "How long a worker that was told to leave may take."),
    Setting(
        ("WAKELINE_STALE",), "stale_ms", "How long a queued process waits for a worker until workers are told again."
    ),
    Setting(("WAKELINE_RETENTION",), "retention_ms", "How long an ended process is kept."),
    Setting(("WAKELINE_TOMBSTONE",), "tombstone_ms", "How long its id stays used up after that."),
    Setting(
        ("WAKELINE_BUG_PATIENCE",),
        "bug_patience_ms",
        "How long a process that this code cannot read, or fails at, waits for better code.",
    ),
    Setting(("WAKELINE_METRICS",), "metrics", "Whether workers count what they do."),
    Setting(("WAKELINE_METRICS_PORT",), "metrics_port", "The port, or host:port, at which a scraper gets metrics."),
    Setting(("WAKELINE_WEB_TOKENS",), None, "Who may use `web` by a bearer token.", hidden=True),
    Setting(("WAKELINE_WEB_USERS",), None, "Who may use `web` by a password.", hidden=True),
    Setting(("WAKELINE_WEB_USER_HEADER",), None, "The header by which a proxy names who uses `web`."),
    Setting(("WAKELINE_WEB_USER_ROLE",), None, "The role of those whom a proxy names.", "view"),
    Setting(("WAKELINE_WEB_TRUST",), None, "The networks of such proxies."),
    Setting(("WAKELINE_WEB_HOSTS",), None, "The names by which the server of `web` is known."),
    Setting(("WAKELINE_INSTRUMENT",), "instrument", "An instrument that workers tell what happens, module:attribute."),
    Setting(("WAKELINE_ISOLATED",), "isolated", "Isolated tools at once in a worker process."),
    Setting(("WAKELINE_ISOLATED_MEMORY",), "isolated_memory_mb", "MB after which a child that ran one is replaced."),
    Setting(("WAKELINE_WORKER_MEMORY",), "worker_memory_mb", "MB after which a worker process is replaced."),
    Setting(("WAKELINE_ATTACHMENTS",), "attachments", "Where bytes go: redis, dir:/path, s3://bucket/prefix.", "redis"),
    Setting(("WAKELINE_ALLOW_EVICTION",), "allow_eviction", "Whether a server that may evict keys is accepted."),
    Setting(("WAKELINE_LOG",), None, "The level of a worker's log.", "INFO"),
    Setting(("WAKELINE_LOG_FORMAT",), None, "Its form: text, json, or auto.", "auto"),
)
"""All settings, in the order of the output."""
READ = frozenset(name for setting in SETTINGS for name in setting.variables) | _OWN.keys()
"""Every variable that a setting reads."""


def configured(app: App | None, environ: Mapping[str, str] | None = None) -> list[Configured]:
    """Every setting as it is now, of an app's own settings if it is given; raises `SettingsInvalid`."""
    env = os.environ if environ is None else environ
    told = Settings.from_env(env)
    actual = told if app is None else app.settings
    found = [_one(setting, told, actual, env) for setting in SETTINGS]
    return found if app is None else [_of_app(one, app) for one in found]


def _one(setting: Setting, told: Settings, actual: Settings, env: Mapping[str, str]) -> Configured:
    named = next((name for name in setting.variables if env.get(name)), None)
    name, source = named or setting.variables[0], VARIABLE if named else DEFAULT
    if setting.field is None:
        given = "…" if setting.hidden else env.get(name, "")
        return Configured(name, given if named else setting.fallback, source, setting.meaning)
    value = getattr(actual, setting.field)
    if value != getattr(told, setting.field):
        name, source = setting.variables[0], APP_CODE
    return Configured(name, _written(setting.field, value) or setting.fallback, source, setting.meaning)


def _of_app(one: Configured, app: App) -> Configured:
    """What an app says beside its settings: the name of its namespace, and a backend that it was given."""
    match one.name:
        case "WAKELINE_NAMESPACE" if not one.value:
            return replace(one, value=app.namespace, source=APP_CODE)
        case "WAKELINE_APP" if app.target and app.target != one.value:
            return replace(one, value=app.target, source=OPTION)
        case name if name in URLS and (own := _backend_of_code(app)) is not None:
            return replace(one, name=URLS[0], value=own, source=APP_CODE)
        case _:
            return one


def _backend_of_code(app: App) -> str | None:
    """The server that an app's code names; None if its settings do."""
    try:
        backend = app.backend
    except (ConfigurationError, StoreError):
        return None  # the settings name none, or one that cannot work
    given = app.settings.url is None or (isinstance(backend, UrlBackend) and backend.url != app.settings.url)
    return backend.describe() if given else None


def _written(field: str, value: Any) -> str:
    if value is None:
        return ""
    if field in DURATIONS:
        return format_duration(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return without_login(value) if field in ("url", "attachments") else str(value)


def without_login(url: str) -> str:
    """A URL without the login and the options, either of which may be or have a password. An ``@`` behind the host
    means that the password has characters that end a host, so nothing of such a URL is shown."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return UNREADABLE if "@" in url and not url.startswith("dir:") else url
    place, asked, options = rest.partition("?")
    host = re.split("[/#]", place, maxsplit=1)[0]
    behind = place[len(host) :]
    if not re.fullmatch(r"[a-z0-9+]+", scheme) or "@" in options or ("@" in behind and scheme != "unix"):
        return UNREADABLE
    login, _, named = host.rpartition("@")
    return f"{scheme}://{'…@' if login else ''}{named}{behind.partition('#')[0]}{'?…' if asked else ''}"


@dataclass(frozen=True, slots=True)
class Unread:
    """A variable with Wakeline's prefix that nothing reads, and the one that may have been meant."""

    name: str
    nearest: str | None

    @property
    def message(self) -> str:
        """What is so, and what to do."""
        meant = f"; did you mean {self.nearest}?" if self.nearest else "; `wakeline config` lists what is read"
        return f"{self.name} is set, and Wakeline reads no such variable{meant}"

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        return {"name": self.name, "nearest": self.nearest}


def unread(options: Callable[[str], Iterable[str]], environ: Mapping[str, str] | None = None) -> Iterator[Unread]:
    """The variables that nothing reads. ``options``: the variables of the command line's options that a name may be one
    of; it is asked only for a name that is no setting."""
    from difflib import get_close_matches

    env = os.environ if environ is None else environ
    for name in sorted(name for name in env if name.startswith(PREFIX) and name not in READ):
        known = set(options(name))
        if name not in known:
            own = [one.removeprefix(PREFIX) for one in sorted((READ | known) - _OWN.keys()) if one.startswith(PREFIX)]
            near = get_close_matches(name.removeprefix(PREFIX), own, n=1, cutoff=0.75)
            yield Unread(name, PREFIX + near[0] if near else None)
