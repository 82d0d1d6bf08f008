"""What a route answers, and how that becomes bytes.

Invariant: what is shown has gone through the mask of bearer tokens: who may read a payload cannot answer by it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, cast
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from wakeline.observe.view import View
from wakeline.pages import Page, no_place
from wakeline.shown import without_tokens
from wakeline.values import to_json
from wakeline.web.asked import Asked

JSON = "application/json"
MOMENT = "seen_ms"
"""The field that says when a look was taken: it differs between two looks at the same thing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers."""

    data: Any
    """JSON data, or a text of another media type."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    media_type: str = JSON
    tagged: bool = False
    """Whether it has an ETag, and is not sent again to a client that has it."""


def page_of(asked: Asked, page: Page[Any], name: str) -> Answer:
    """A page of views: the things, whether there are others, and the cursor for these."""
    following = None if page.next is None else cursor_of(page.next)
    data = {name: [_data(one) for one in page], "more": page.more, "next": following}
    headers = {"Link": f'<{_next_url(asked, following)}>; rel="next"'} if page.more and following is not None else {}
    return Answer(data, headers=headers)


def cursor_of(place: str) -> str:
    """A place in a list as a client sees it: opaque, and safe in a URL."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def place_at(cursor: str | None) -> str | None:
    """The place that a cursor stands for; raises `InvalidArguments` for what no page gave."""
    if cursor is None:
        return None
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise no_place(cursor) from error


def url_of(asked: Asked, *parts: str) -> str:
    """The path of something under ``/v1``, with each part encoded."""
    return "/".join([quote(asked.root), "v1", *(quote(part, safe="") for part in parts)])


def bytes_of(answer: Answer, request: Request) -> Response:
    """The answer in bytes, or 304 if the client has it."""
    headers = dict(answer.headers)
    if answer.media_type.endswith("json"):
        body = to_json(without_tokens(answer.data)).encode()
    else:
        body = str(answer.data).encode()
    if answer.tagged:
        headers["ETag"] = tag = _tag_of(answer.data)
        if tag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]:
            return Response(None, 304, headers)
    return Response(body, answer.status, headers, answer.media_type)


def _tag_of(data: Any) -> str:
    """Weak, as two looks at the same state differ in when they were taken."""
    view = cast("Mapping[str, Any]", data)
    kept = to_json({name: value for name, value in view.items() if name != MOMENT})
    return f'W/"{sha256(kept.encode()).hexdigest()[:32]}"'


def _data(one: Any) -> Any:
    return one.to_data() if isinstance(one, View) else one


def _next_url(asked: Asked, cursor: str) -> str:
    scope = asked.request.scope
    pairs = dict(parse_qsl(scope.get("query_string", b"").decode("ascii"), keep_blank_values=True))
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    return f"{path.decode('ascii')}?{urlencode(pairs | {'after': cursor})}"
