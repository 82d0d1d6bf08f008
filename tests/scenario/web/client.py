"""A client of the web face in this process: it sends what it is told, byte for byte, and holds every answer against the
OpenAPI document.

Invariant: what ASGI forbids a server, the client reports; no test passes with an answer that the document lacks.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from jsonschema import Draft202012Validator
from wakeline.web.documents import document
from wakeline.web.face import Face

PATIENCE_S = 30


@dataclass(frozen=True)
class Got:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status
        code: str = self.json["code"]
        return code


class Client:
    """Sends requests to a face, on a loop in a thread of its own."""

    def __init__(self, face: Face, loop: asyncio.AbstractEventLoop, thread: int | None) -> None:
        self.face, self.loop, self.thread = face, loop, thread
        self.always: dict[str, str] = {}
        self.document = document(face.routes)

    def get(self, path: str, **headers: str) -> Got:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, data: Any = None, **headers: str) -> Got:
        """Sends JSON; None is no body at all."""
        if data is None:
            return self.send("POST", path, headers=headers)
        return self.send(
            "POST", path, json.dumps(data).encode(), headers={"content-type": "application/json"} | headers
        )

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        *,
        headers: Mapping[str, str] | None = None,
        root: str = "",
        peer: str = "127.0.0.1",
        checked: bool = True,
        ends: bool = True,
    ) -> Got:
        """One request. ``body``: one part, or several that come one by one without a length; ``ends``: whether the last
        one comes."""
        raw, _, query = path.partition("?")
        given = {"host": "testserver"} | self.always
        given |= {name.replace("_", "-").lower(): text for name, text in (headers or {}).items()}
        parts = [body] if isinstance(body, bytes) else list(body)
        if isinstance(body, bytes) and body:
            given.setdefault("content-length", str(len(body)))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw, errors="replace"),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "root_path": root,
            "headers": [(name.encode(), text.encode("latin-1")) for name, text in given.items()],
            "client": (peer, 50_000),
            "server": ("testserver", 80),
        }
        future = asyncio.run_coroutine_threadsafe(_exchange(self.face, scope, parts, ends=ends), self.loop)
        got = future.result(PATIENCE_S)
        if checked:
            self.check(method, raw.removeprefix(root), got)
        return got

    def check(self, method: str, raw: str, got: Got) -> None:
        """Holds an answer against the document."""
        found = [
            operations[method.lower()]
            for path, operations in self.document["paths"].items()
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), raw) and method.lower() in operations
        ]
        described = found[0]["responses"] if found else {}
        if str(got.status) not in described:
            assert got.status >= 400, f"{method} {raw} gives {got.status}, which is not described"
            assert got.code
            described = {str(got.status): self.document["components"]["responses"]["Problem"]}
        for media_type, content in described[str(got.status)].get("content", {}).items():
            assert got.headers["content-type"].startswith(media_type)
            if media_type.endswith("json"):
                schema = {**content["schema"], "components": self.document["components"]}
                Draft202012Validator(schema).validate(got.json)


async def _exchange(face: Face, scope: dict[str, Any], parts: list[bytes], *, ends: bool) -> Got:
    sent: list[Any] = []
    left = [
        {"type": "http.request", "body": part, "more_body": not ends or n < len(parts)}
        for n, part in enumerate(parts, 1)
    ] or [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if left:
            return left.pop(0)
        await asyncio.Event().wait()

    async def send(event: Any) -> None:
        sent.append(event)

    await face(scope, receive, send)
    start, *bodies = sent
    assert start["type"] == "http.response.start" and all(one["type"] == "http.response.body" for one in bodies)
    names = [name for name, _ in start["headers"]]
    assert len(names) == len(set(names)), names
    headers = {name.decode(): text.decode("latin-1") for name, text in start["headers"]}
    return Got(start["status"], headers, b"".join(one.get("body", b"") for one in bodies))


@contextmanager
def client_of(face: Face) -> Iterator[Client]:
    """A client of a face, until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield Client(face, loop, thread.ident)
    finally:
        asyncio.run_coroutine_threadsafe(face.close(), loop).result(PATIENCE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


def quoted(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")
