"""The parts of a server's URL, and what may be shown of one.

Invariant: no part of any URL that may belong to a password is ever shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from wakeline.errors import RedisUrlInvalid

ENCODE = "in a password, / : @ and ? have to be percent-encoded"
SCHEMES = "redis://, rediss://, unix://, sentinel:// or cluster://"
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+)(?::([0-9]{1,5}))?")


def split(url: str) -> SplitResult:
    """The parts of a URL; raises `RedisUrlInvalid` if its password seems to end early.

    An ``@`` behind the host means that the password contains a ``/``, ``?`` or ``#``. Then host, path and options are
    parts of the password.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in ("redis", "rediss"):
            _ = parts.port
    except ValueError:
        raise RedisUrlInvalid(reason=f"the URL has no usable host and port; {ENCODE}") from None
    # The path of a socket may have one.
    if (parts.scheme != "unix" or parts.netloc) and "@" in parts.path + parts.query + parts.fragment:
        raise RedisUrlInvalid(reason=f"the URL has an @ behind its host; {ENCODE}")
    return parts


def shown(url: str, part: str) -> str:
    """Words that name an unusable part of a URL; empty if it may belong to a password. A URL without an ``@`` has
    none."""
    return "" if "@" in url else f", not {part!r}"


@dataclass(frozen=True, slots=True)
class Several:
    """A URL that names several servers."""

    hosts: list[tuple[str, int]]
    path: str
    options: dict[str, list[str]] = field(repr=False)
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)

    @property
    def login(self) -> dict[str, str | None]:
        """The login for redis-py's clients; empty if the URL has none."""
        return {"username": self.user, "password": self.password} if self.user or self.password else {}


def several(url: str, port: int, example: str) -> Several:
    """``scheme://[user:password@]host[:port],host[:port]/path?options``; raises `RedisUrlInvalid`."""
    parts = split(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    found: list[tuple[str, int]] = []
    for one in hosts.split(","):
        match = _ADDRESS.fullmatch(one)
        if match is None:
            raise RedisUrlInvalid(reason=f"a part of the URL is no host and port; write {example}; {ENCODE}")
        found.append((match[1].strip("[]"), int(match[2] or port)))
    return Several(
        found,
        parts.path.strip("/"),
        parse_qs(parts.query, keep_blank_values=True),
        unquote(user) or None,
        unquote(password) or None,
    )
