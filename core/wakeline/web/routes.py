"""What a route is, and how a path finds one.

Invariant: a path is cut before it is decoded, so an id may have any character, also a slash.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from pydantic import BaseModel

from wakeline.errors import MethodRefused, RequestUnreadable, RouteNotFound
from wakeline.web.answers import Answer
from wakeline.web.asked import Asked
from wakeline.web.who import Role

READS = ("GET", "HEAD")
NO_BODY: Any = object()
"""Stands for a route that takes no body."""


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked of the web face."""

    method: str
    path: str
    """Its path below the face, with names in braces: ``/v1/processes/{id}``."""
    answer: Callable[[Asked], Awaitable[Answer]]
    """What answers; its docstring is the description in the OpenAPI document."""
    role: Role
    """The lowest role that may ask."""
    gives: Mapping[int, Any]
    """The shape of each answer that is no error, by its status: a type, or a media type."""
    query: type[BaseModel] | None = None
    body: Any = NO_BODY
    """The model of its body, or Any for any JSON."""
    keyed: bool = False
    """Whether it heeds `Idempotency-Key`."""
    parts: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.path.split("/")[1:]))

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method in READS

    def named(self, parts: Sequence[str]) -> dict[str, str] | None:
        """The named parts of a path that is of this route; None for another path."""
        if len(parts) != len(self.parts):
            return None
        found: dict[str, str] = {}
        for own, given in zip(self.parts, parts, strict=True):
            if own.startswith("{"):
                found[own[1:-1]] = given
            elif own != given:
                return None
        return found


def parts_of(scope: Mapping[str, Any]) -> list[str]:
    """The parts of the path of a request below the place where the face is mounted, each decoded. Raises
    `RequestUnreadable`."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode("ascii")
    root = str(scope.get("root_path", "")).rstrip("/")
    parts = raw.partition(b"?")[0].split(b"/")[1:]
    if root and (scope["path"] + "/").startswith(root + "/"):
        parts = parts[root.count("/") :]
    try:
        return [unquote_to_bytes(part).decode() for part in parts]
    except UnicodeDecodeError as error:
        raise RequestUnreadable(reason="its path is no UTF-8") from error


def found_in(routes: Iterable[Route], method: str, parts: Sequence[str]) -> tuple[Route, dict[str, str]]:
    """The route of a request, and the named parts of its path. A route without names comes before one with. Raises
    `RouteNotFound`, `MethodRefused`."""
    fits = [(route, named) for route in routes if (named := route.named(parts)) is not None]
    asked = "GET" if method == "HEAD" else method
    here = sorted((one for one in fits if one[0].method == asked), key=lambda one: len(one[1]))
    if here:
        return here[0]
    if fits:
        allowed = sorted({one.method for one, _ in fits} | ({"HEAD"} if any(one.reads for one, _ in fits) else set()))
        raise MethodRefused(method=method, allowed=allowed)
    raise RouteNotFound(path="/" + "/".join(parts))
