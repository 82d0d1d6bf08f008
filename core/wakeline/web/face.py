"""The web face as an ASGI app: it checks a request, finds out who asks, and lets a route answer.

Invariant: a request that may change something comes from who may do that, and from no page of another site. Every
failure is one document; none shows how the server is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wakeline.app import App
from wakeline.errors import (
    AccessUndecided,
    HostRefused,
    OriginRefused,
    RequestUnreadable,
    RoleTooLow,
    Unauthenticated,
    WakelineError,
)
from wakeline.shown import logger
from wakeline.web import problems
from wakeline.web.answers import Answer, bytes_of
from wakeline.web.api import ROUTES
from wakeline.web.asked import Asked, body_of, check_head, checked, query_of
from wakeline.web.documents import document
from wakeline.web.routes import NO_BODY, READS, Route, found_in, parts_of
from wakeline.web.ways import WAYS
from wakeline.web.who import UNNAMED, Authorize, Role, Who

log = logger("wakeline.web")
ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
"""Headers of every answer: what is answered is data, and no page may use it."""
OURS = ("same-origin", "none")
"""What `Sec-Fetch-Site` says of a request that no page of another site sent."""


class Face:
    """An app over HTTP: `asgi` makes one."""

    def __init__(self, app: App, authorize: Authorize, *, readonly: bool, hosts: Sequence[str]) -> None:
        self._app = app
        self._authorize = authorize
        self._hosts = frozenset(host.lower() for host in hosts)
        described = Route("GET", "/v1/openapi.json", self.described, Role.VIEW, {200: dict[str, Any]})
        self.routes = tuple(route for route in (*ROUTES, described) if route.reads or not readonly)
        """What can be asked of it."""

    async def described(self, asked: Asked) -> Answer:
        """This API as an OpenAPI 3.1 document."""
        return Answer(document(self.routes, root=asked.root), tagged=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection of an ASGI server."""
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1000})
        request = Request(scope, receive)
        reply = await self._reply(request)
        for name, value in ALWAYS.items():
            reply.headers.setdefault(name, value)
        if request.method == "HEAD":
            reply.body = b""
        await reply(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif event["type"] == "lifespan.shutdown":
                await self.close()
                return await send({"type": "lifespan.shutdown.complete"})

    async def close(self) -> None:
        """Closes its connections of the running loop. An ASGI server that has no lifespan does not need it."""
        await self._app.aio.close()

    async def _reply(self, request: Request) -> Response:
        try:
            return bytes_of(await self._answer(request), request)
        except WakelineError as error:
            problem = problems.problem_of(error)
            if problem["status"] >= 500:
                log.warning("%s %s: %s", request.method, request.url.path, error)
            headers = problems.headers_of(error, getattr(self._authorize, "challenge", "Bearer"))
            answer = Answer(problem, problem["status"], headers, problems.MEDIA_TYPE)
        except Exception:  # the edge: what is no error of ours may say more than a client should know
            log.exception("%s %s failed", request.method, request.url.path)
            answer = Answer(problems.UNEXPECTED, 500, media_type=problems.MEDIA_TYPE)
        return bytes_of(answer, request)

    async def _answer(self, request: Request) -> Answer:
        check_head(request)
        parts = parts_of(request.scope)
        is_open = any(route.role is Role.NONE and route.named(parts) is not None for route in self.routes)
        if request.method not in READS:
            _check_origin(request)
        if not is_open or request.method not in READS:  # what looks after a server knows it by its address
            self._check_host(request)
        who = UNNAMED if is_open else await self._authorize(request)
        if who is None:
            raise Unauthenticated()
        route, named = found_in(self.routes, request.method, parts)
        if who.role < route.role:
            raise RoleTooLow(name=who.name, role=who.role.word, needed=route.role.word)
        asked = Asked(self._app, who, request, named, query_of(request, route.query), await _body(request, route))
        answer = await route.answer(asked)
        if not route.reads:
            _tell(who, route, named, answer)
        return answer

    def _check_host(self, request: Request) -> None:
        if not self._hosts:
            return
        given = request.headers.get("host", "").lower()
        host = given.rpartition(":")[0] if given.rpartition(":")[2].isdecimal() and not given.endswith("]") else given
        if host not in self._hosts:
            raise HostRefused(host=given)


def _check_origin(request: Request) -> None:
    """What a browser says of where a request comes from; other programs say nothing of it."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        if site not in OURS:
            raise OriginRefused(origin=origin or site)
    elif origin is not None and origin.partition("://")[2].lower() != request.headers.get("host", "").lower():
        raise OriginRefused(origin=origin)


async def _body(request: Request, route: Route) -> Any:
    if route.reads:
        return None
    data = await body_of(request)
    if route.body is NO_BODY:
        if data is not None:
            raise RequestUnreadable(reason="this route takes no body")
        return None
    if route.body is object:
        return data
    return checked(route.body, {} if data is None else data, "the body")


def _tell(who: Who, route: Route, named: dict[str, str], answer: Answer) -> None:
    what = " ".join(f"{name}={text}" for name, text in named.items())
    log.info("%s: %s %s %s: %d", who.name or "someone", route.method, route.path, what, answer.status)


def asgi(app: App, *, authorize: Authorize | None = None, readonly: bool = False, hosts: Sequence[str] = ()) -> Face:
    """The app over HTTP, as an ASGI app: serve it, or mount it in another one.

    ``authorize`` says who sends a request (`Who`) and is awaited for each; None as its result is 401. Without it this
    raises `AccessUndecided`, because all who reach the server could do everything; `ALLOW_ALL` says that this is meant.
    ``readonly``: no route that changes something exists. ``hosts``: the names by which the server is known, without
    ports; a request for another host is refused. Without any, all are taken.
    """
    if authorize is None:
        raise AccessUndecided(where=app.name, ways=("authorize=… of asgi()", "authorize=ALLOW_ALL if that is meant"))
    return Face(app, authorize, readonly=readonly, hosts=hosts)


__all__ = ["WAYS", "Face", "asgi"]
