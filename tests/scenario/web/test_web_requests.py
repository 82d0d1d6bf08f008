"""Requests that no client should send, and a server that is away: each is told what is wrong, and none is a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from wakeline import App
from wakeline.errors import MailboxFull, RedisUnavailable, StoreOutOfMemory
from wakeline.settings import Settings
from wakeline.store.connection import UrlBackend
from wakeline.web import ALLOW_ALL, asgi
from wakeline.web import asked as limits

from tests.scenario.web.client import Client, client_of, quoted

AT = "/v1/processes"
JSON = {"content-type": "application/json"}


@pytest.fixture
def nap(web: Client) -> str:
    return f"{AT}/{web.post(AT, {'name': 'nap'}).json['id']}"


# -- paths


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/process", "/v1/processes/", "//v1/processes", "/v1/processes/a/b/c", "/v1/../metrics"],
)
def test_a_path_that_is_no_route_is_404(web: Client, path: str) -> None:
    got = web.get(path)
    assert (got.status, got.code in ("route_not_found", "process_not_found")) == (404, True)


@pytest.mark.parametrize("pid", ["a/b", "a/result", "..", ".", "a b", "%2F", "?x", "#", "日本", "a;b=c", "+", "~r1"])
def test_any_id_has_a_path(web: Client, pid: str) -> None:
    assert web.post(AT, {"name": "nap", "id": pid}).status == 201
    assert web.get(f"{AT}/{quoted(pid)}").json["id"] == pid
    assert web.post(f"{AT}/{quoted(pid)}/cancel").json["id"] == pid


@pytest.mark.parametrize("path", [f"{AT}/%ff", f"{AT}/%c3%28/result", f"{AT}?kind=%ff", f"{AT}/%ed%a0%80"])
def test_broken_utf_8_is_400(web: Client, path: str) -> None:
    got = web.send("GET", path, checked=False)
    assert (got.status, got.code) == (400, "request_unreadable")


def test_too_many_parameters_are_400(web: Client) -> None:
    got = web.get(f"{AT}?" + "&".join(f"x{n}=1" for n in range(1000)))
    assert (got.status, got.code) == (400, "request_unreadable")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", AT, "GET, HEAD, POST"),
        ("PUT", f"{AT}/x", "GET, HEAD"),
        ("GET", f"{AT}/x/cancel", "POST"),
        ("OPTIONS", AT, "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("get", AT, "GET, HEAD, POST"),
    ],
)
def test_another_method_is_405_with_those_that_are_there(web: Client, method: str, path: str, allow: str) -> None:
    got = web.send(method, path, checked=False)
    assert (got.status, got.code, got.headers["allow"]) == (405, "method_refused", allow)


def test_head_has_the_headers_of_get_and_no_body(web: Client) -> None:
    got, head = web.get("/healthz"), web.send("HEAD", "/healthz", checked=False)
    assert (got.body, head.status, head.body) == (b'{"ok":true}', 200, b"")
    assert head.headers == got.headers


def test_a_head_over_16_kb_is_400(web: Client) -> None:
    for got in (web.get(AT, x="a" * 17_000), web.get(f"{AT}?kind={'a' * 17_000}"), web.get(f"{AT}/{'a' * 17_000}")):
        assert (got.status, got.code) == (400, "request_unreadable")
    assert web.get(AT, x="a" * 15_000).status == 200


# -- bodies


def test_a_body_over_the_limit_is_413_with_and_without_a_length(
    web: Client, nap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LONGEST_BODY", 1_000)
    fits = json.dumps("x" * 998).encode()
    long = json.dumps("x" * 999).encode()
    assert len(fits) == 1_000
    for body in (long, [long[:500], long[500:]], [b" " * 400] * 3):
        got = web.send("POST", f"{nap}/signals/go", body, headers=JSON)
        assert (got.status, got.code, got.json["fields"]["limit"]) == (413, "request_too_large", 1_000)
    lying = web.send("POST", f"{nap}/signals/go", b"1", headers=JSON | {"content-length": "9" * 30})
    assert lying.status == 413
    assert web.send("POST", f"{nap}/signals/go", [fits[:600], fits[600:]], headers=JSON).status == 202


def test_the_largest_payload_fits_and_one_more_byte_is_413(web: Client, nap: str) -> None:
    largest = b'"' + b"x" * (8 * 1024 * 1024 - 2) + b'"'
    assert web.send("POST", f"{nap}/signals/go", largest, headers=JSON).status == 202
    got = web.send("POST", f"{nap}/signals/go", largest[:-1] + b'x"', headers=JSON)
    assert (got.status, got.code) == (413, "payload_too_large")


def test_a_body_that_does_not_come_is_400(web: Client, nap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_S", 0.1)
    got = web.send("POST", f"{nap}/signals/go", [b"[1", b",2"], headers=JSON, ends=False)
    assert (got.status, got.code) == (400, "request_unreadable")
    assert "did not come within" in got.json["detail"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "is no JSON"),
        (b'{"a": NaN}', "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b'"\xc3\x28"', "is no JSON"),
        (b'"\\ud800"', "is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1 2", "is no JSON"),
        (b"9" * 5_000, "4,300 digits"),
    ],
)
def test_a_body_that_is_no_json_is_400(web: Client, nap: str, body: bytes, says: str) -> None:
    got = web.send("POST", f"{nap}/signals/go", body, headers=JSON)
    assert (got.status, got.code) == (400, "request_unreadable")
    assert says in got.json["detail"]


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "application/jsonp"],
)
def test_a_body_of_another_type_is_415(web: Client, nap: str, kind: str) -> None:
    got = web.send("POST", f"{nap}/signals/go", b"true", headers={"content-type": kind})
    assert (got.status, got.code) == (415, "media_type_refused")


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON;charset=UTF-8", 'application/json; charset="utf8"']
)
def test_json_is_taken_however_its_type_is_written(web: Client, nap: str, kind: str) -> None:
    assert web.send("POST", f"{nap}/signals/go", b"true", headers={"content-type": kind}).status == 202


def test_a_route_without_a_body_refuses_one(web: Client, nap: str) -> None:
    got = web.post(f"{nap}/retry", {"a": 1})
    assert (got.status, got.code) == (400, "request_unreadable")


def test_no_body_is_null(web: Client, nap: str, shop: App) -> None:
    assert web.send("POST", f"{nap}/signals/go").status == 202
    assert [one.payload for one in shop.handle(nap.rpartition("/")[2]).events() if one.type == "signal.go"] == [None]


# -- answers


def test_every_answer_is_kept_from_pages_and_stores(web: Client) -> None:
    for got in (web.get(AT), web.get("/nothing"), web.get("/metrics")):
        assert got.headers["cache-control"] == "no-store"
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-security-policy"].startswith("default-src 'none';")


def test_metrics_are_for_a_scraper(web: Client, nap: str) -> None:
    got = web.get("/metrics")
    assert got.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert got.body.endswith(b"# EOF\n")


def test_what_is_no_error_of_ours_is_500_without_a_word_of_it(
    web: Client, shop: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the inside of the server")

    monkeypatch.setattr("wakeline.verbs.looks.listed", broken)
    got = web.get(AT)
    assert (got.status, got.code) == (500, "unexpected")
    assert "inside" not in got.body.decode()
    assert "the inside of the server" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "after"),
    [
        (RedisUnavailable(reason="refused"), 503, "1"),
        (StoreOutOfMemory(), 503, "1"),
        (MailboxFull(process_id="x", limit=1), 429, "1"),
    ],
    ids=["away", "full", "mailbox"],
)
def test_what_may_succeed_later_says_when_to_come_again(
    web: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, after: str
) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("wakeline.verbs.looks.listed", failing)
    got = web.get(AT)
    assert (got.status, got.headers["retry-after"]) == (status, after)


@pytest.fixture
def lonely() -> Iterator[Client]:
    """A face whose Redis is not there."""
    app = App("lonely", backend=UrlBackend("redis://127.0.0.1:1/0"), settings=Settings())
    with client_of(asgi(app, authorize=ALLOW_ALL)) as client:
        yield client


def test_without_redis_the_server_lives_and_is_not_ready(lonely: Client) -> None:
    assert lonely.get("/healthz").status == 200
    for path in ("/readyz", AT, f"{AT}/x", "/metrics"):
        got = lonely.get(path)
        assert (got.status, got.code, got.headers["retry-after"]) == (503, "redis_unavailable", "1")
        assert "Redis does not answer" in got.json["detail"]


# -- mounted


def test_it_works_below_the_path_at_which_it_is_mounted(web: Client) -> None:
    made = web.send("POST", f"/x/y{AT}", b'{"name": "nap", "id": "a/b"}', headers=JSON, root="/x/y")
    assert (made.status, made.headers["location"]) == (201, "/x/y/v1/processes/a%2Fb")
    assert web.send("GET", made.headers["location"], root="/x/y").json["id"] == "a/b"
    web.post(AT, {"name": "nap", "id": "c"})
    page = web.send("GET", f"/x/y{AT}?limit=1", root="/x/y")
    assert page.headers["link"].startswith(f"</x/y{AT}?limit=1&after=")
    assert web.send("GET", "/x/y/v1/openapi.json", root="/x/y").json["servers"] == [{"url": "/x/y"}]


def test_starlette_mounts_it(shop: App) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    face = asgi(shop, authorize=ALLOW_ALL)
    outer = Starlette(routes=[Mount("/tools/wakeline", app=face)])
    with client_of(face) as web:
        web.face = outer  # type: ignore[assignment]
        made = web.send("POST", f"/tools/wakeline{AT}", b'{"name": "nap", "id": "a/b"}', headers=JSON, checked=False)
        assert (made.status, made.headers["location"]) == (201, "/tools/wakeline/v1/processes/a%2Fb")
        assert web.send("GET", made.headers["location"], checked=False).json["id"] == "a/b"
        web.face = face
