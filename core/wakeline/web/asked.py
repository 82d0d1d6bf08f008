"""One request as a route sees it: who asks, for what, with which body; read within its limits.

Invariant: nothing of a request is used before it was checked. A body is counted while it is read, so one that does not
say its length has the same limit.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request

from wakeline.app import App
from wakeline.errors import (
    InvalidArguments,
    InvalidPayload,
    MediaTypeRefused,
    RequestTooLarge,
    RequestUnreadable,
)
from wakeline.values import MAX_PAYLOAD, from_json
from wakeline.web.who import Who

LONGEST_BODY = MAX_PAYLOAD + 64 * 1024
"""The most bytes of a body: the largest payload, and what stands around it."""
LONGEST_HEAD = 16 * 1024
"""The most bytes of the path, the parameters and the headers of a request."""
BODY_S = 30.0
"""How long a sender may take for its body, in seconds."""
LONGEST_WAIT_S = 60
"""The longest time that a request waits for something to happen, in seconds."""
MOST_PARAMETERS = 32
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?=[,;]|$)", re.IGNORECASE | re.ASCII)
M = TypeVar("M", bound=BaseModel)


class Given(BaseModel):
    """Base of what a client sends: a name that is not known is refused, because it may be a slip."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be answered: checked in all that does not depend on what is stored."""

    app: App
    who: Who
    request: Request
    named: Mapping[str, str]
    """The parts of the path that have a name."""
    query: Any
    """What stands behind the question mark, as the route declares it."""
    body: Any
    """The body, as the route declares it; JSON data, or a model."""

    @property
    def key(self) -> str | None:
        """The key that its sender chose, by which a repetition is known."""
        return self.request.headers.get("idempotency-key")

    @property
    def root(self) -> str:
        """Where the face is mounted."""
        return str(self.request.scope.get("root_path", "")).rstrip("/")

    def preferred_wait_s(self) -> int | None:
        """How long its sender would wait for a result (`Prefer: wait=30`, RFC 7240), in seconds; None if not at all."""
        found = _WAIT.search(", ".join(self.request.headers.getlist("prefer")))
        return None if found is None else min(int(found[1]), LONGEST_WAIT_S)


def check_head(request: Request) -> None:
    """Raises `RequestUnreadable` for a head that is too long: a server may pass one on that came in one piece."""
    scope = request.scope
    size = sum(len(name) + len(text) for name, text in scope["headers"])
    if size + len(scope["path"]) + len(scope.get("query_string", b"")) > LONGEST_HEAD:
        raise RequestUnreadable(reason=f"its head has over {LONGEST_HEAD} bytes")


def query_of(request: Request, shape: type[M] | None) -> M | None:
    """The parameters of a request; raises `RequestUnreadable`, `InvalidArguments`."""
    raw: bytes = request.scope.get("query_string", b"")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        raise RequestUnreadable(reason=f"its parameters: {error}") from error
    given = dict(pairs)
    if len(given) < len(pairs):
        raise InvalidArguments(name="the query", reason="a parameter stands there twice")
    if shape is None:
        if given:
            raise InvalidArguments(name="the query", reason=f"{next(iter(given))!r} is no parameter of this route")
        return None
    return checked(shape, given, "the query")


def checked(shape: type[M], given: Any, what: str) -> M:
    """What a client sent as a model; raises `InvalidArguments` that names each field that does not fit."""
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors()[:5]]
        raise InvalidArguments(name=what, reason="; ".join(found)) from error


async def body_of(request: Request) -> Any:
    """The JSON value of a body, None for an empty one. Raises `RequestTooLarge`, `MediaTypeRefused`,
    `RequestUnreadable`."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:12]) > LONGEST_BODY:
        raise RequestTooLarge(limit=LONGEST_BODY)
    read = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                read += part
                if len(read) > LONGEST_BODY:
                    raise RequestTooLarge(limit=LONGEST_BODY)
    except TimeoutError as error:
        raise RequestUnreadable(reason=f"its body did not come within {BODY_S:.0f} s") from error
    except ClientDisconnect as error:
        raise RequestUnreadable(reason="its sender went away before the end of the body") from error
    if not read:
        return None
    _check_media_type(request)
    try:
        return from_json(bytes(read), "The body")
    except InvalidPayload as error:
        raise RequestUnreadable(reason=f"its body is no JSON: {error.reason}") from error


def _check_media_type(request: Request) -> None:
    given = request.headers.get("content-type", "")
    name, *parameters = [part.strip().lower() for part in given.split(";")]
    charsets = [one.partition("=")[2].strip('"') for one in parameters if one.startswith("charset=")]
    if name != "application/json" or any(one not in ("utf-8", "utf8") for one in charsets):
        raise MediaTypeRefused(given=given, takes="application/json in UTF-8")
