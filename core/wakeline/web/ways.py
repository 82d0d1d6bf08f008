"""The ways to say who asks that need no code: bearer secrets, basic passwords, and a header that a trusted proxy sets.

Invariant: a secret is compared in constant time with all that are known. What a client claims by a header counts only
if the connection comes from a trusted address.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.requests import Request

from wakeline.errors import SettingsInvalid
from wakeline.web.who import Authorize, Role, Who, role_of

SECRETS = "WAKELINE_WEB_TOKENS"
USERS = "WAKELINE_WEB_USERS"
USER_HEADER = "WAKELINE_WEB_USER_HEADER"
USER_ROLE = "WAKELINE_WEB_USER_ROLE"
TRUST = "WAKELINE_WEB_TRUST"
HOSTS = "WAKELINE_WEB_HOSTS"
WAYS = (
    f"{SECRETS}=name:role:secret,… for bearer tokens",
    f"{USERS}=name:role:password,… for passwords",
    f"{USER_HEADER} and {TRUST}=<network>,… for a proxy that signs people in",
)
SHORTEST = 16
"""The fewest characters of a secret or a password: it can be guessed over the network."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Someone by a secret, of which only the digest is kept."""

    who: Who
    digest: bytes


@dataclass(frozen=True, slots=True)
class Ways:
    """Asks each way in turn: a bearer secret, a password, the header of a proxy."""

    secrets: tuple[Credential, ...] = ()
    users: tuple[Credential, ...] = ()
    header: str | None = None
    role: Role = Role.VIEW
    trusted: tuple[IPv4Network | IPv6Network, ...] = ()

    @property
    def challenge(self) -> str:
        """What a browser is told that sent no credentials."""
        return 'Basic realm="wakeline", charset="UTF-8"' if self.users else "Bearer"

    async def __call__(self, request: Request) -> Who | None:
        """Who sends a request; None if it has no credentials that are good."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return _found(self.secrets, given.strip())
        if scheme.lower() == "basic":
            name, _, password = _decoded(given.strip()).partition(":")
            found = _found(self.users, password, name)
            return found if found is not None and found.name == name else None
        return self._by_header(request)

    def _by_header(self, request: Request) -> Who | None:
        if self.header is None or request.client is None:
            return None
        names = request.headers.getlist(self.header)
        try:
            address = ip_address(request.client.host)
        except ValueError:
            return None
        if len(names) != 1 or not names[0].strip() or not any(address in one for one in self.trusted):
            return None
        return Who(names[0].strip(), self.role)


def _found(known: Sequence[Credential], given: str, name: str | None = None) -> Who | None:
    digest = _digest(given if name is None else f"{name}:{given}")
    found: Who | None = None
    for one in known:
        if hmac.compare_digest(one.digest, digest):
            found = one.who
    return found


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _decoded(given: str) -> str:
    try:
        return base64.b64decode(given, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def ways_of(environ: Mapping[str, str] | None = None) -> Authorize | None:
    """The ways that the environment sets; None if it sets none. Raises `SettingsInvalid` naming the variable."""
    env = os.environ if environ is None else environ
    header = env.get(USER_HEADER) or None
    networks = _networks(env.get(TRUST, ""))
    if (header is None) != (not networks):
        missing = TRUST if header is not None else USER_HEADER
        raise SettingsInvalid(
            name=missing, value="", reason=f"{USER_HEADER} names the header, and {TRUST} the proxies that may set it"
        )
    found = Ways(
        tuple(_known(env.get(SECRETS, ""), SECRETS)),
        tuple(_known(env.get(USERS, ""), USERS, by_name=True)),
        header,
        role_of(env.get(USER_ROLE, Role.VIEW.word), USER_ROLE),
        networks,
    )
    return found if found.secrets or found.users or found.header is not None else None


def _known(text: str, variable: str, *, by_name: bool = False) -> list[Credential]:
    found: list[Credential] = []
    for row in filter(None, (part.strip() for part in text.split(","))):
        name, _, rest = row.partition(":")
        role, _, secret = rest.partition(":")
        if not name or len(secret) < SHORTEST:
            reason = f"each entry is name:role:secret, and a secret has {SHORTEST} characters or more"
            raise SettingsInvalid(name=variable, value="…", reason=reason)
        digest = _digest(f"{name}:{secret}" if by_name else secret)
        found.append(Credential(Who(name, role_of(role, variable)), digest))
    return found


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsInvalid(name=TRUST, value=text, reason=str(error)) from error


def hosts_of(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The hosts by which the server is known, of the environment; empty if it names none."""
    env = os.environ if environ is None else environ
    return tuple(part.strip().lower() for part in env.get(HOSTS, "").split(",") if part.strip())
