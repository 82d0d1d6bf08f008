"""Who may do what: each role at each route, each way to say who asks, pages of other sites, hosts, and read-only."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from starlette.requests import Request
from wakeline import App
from wakeline.errors import AccessUndecided, SettingsInvalid
from wakeline.web import ALLOW_ALL, Role, Who, asgi
from wakeline.web.api import ROUTES
from wakeline.web.ways import ways_of

from tests.scenario.web.client import Client, client_of

AT = "/v1/processes"
SECRET, OTHER = "s3cret-of-ann-0123", "s3cret-of-bo-45678"


async def by_name(request: Request) -> Who | None:
    """A callback of a user: the header names the role."""
    role = request.headers.get("x-role")
    return None if role is None else Who(f"the {role}", Role[role.upper()])


@contextmanager
def faced(app: App, **more: str) -> Iterator[Client]:
    with client_of(asgi(app, authorize=ways_of(more))) as client:
        yield client


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_a_face_without_authorize_is_refused_when_it_is_made(app: App) -> None:
    with pytest.raises(AccessUndecided, match=r"no way to tell who may use it.*authorize=ALLOW_ALL"):
        asgi(app)


@pytest.mark.parametrize("role", [role.word for role in Role])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_route_takes_the_roles_from_its_own_up(shop: App, route: object, role: str) -> None:
    from wakeline.web.routes import Route

    assert isinstance(route, Route)
    with client_of(asgi(shop, authorize=by_name)) as web:
        path = route.path.replace("{", "").replace("}", "")
        got = web.send(route.method, path, headers={"x-role": role}, checked=False)
        if Role[role.upper()] >= route.role:
            assert got.status not in (401, 403)
        else:
            assert (got.status, got.code) == (403, "role_too_low")
            assert got.json["fields"] == {"name": f"the {role}", "role": role, "needed": route.role.word}


def test_who_is_not_known_gets_401_at_every_path_but_that_of_health(shop: App) -> None:
    with client_of(asgi(shop, authorize=by_name)) as web:
        for path in ("/v1/processes", "/v1/openapi.json", "/metrics", "/nothing", "/"):
            got = web.get(path)
            assert (got.status, got.code, got.headers["www-authenticate"]) == (401, "unauthenticated", "Bearer")
        assert web.get("/healthz").json == {"ok": True}
        assert web.get("/readyz").json == {"ok": True}


def test_a_bearer_secret_says_who_asks(shop: App) -> None:
    with faced(shop, WAKELINE_WEB_TOKENS=f"ann:operate:{SECRET}, bo:view:{OTHER}") as web:
        assert web.get(AT, authorization=f"Bearer {SECRET}").status == 200
        assert web.get(AT, authorization=f"bearer {OTHER}").status == 200
        assert web.post(AT, {"name": "nap"}, authorization=f"Bearer {SECRET}").status == 201
        refused = web.post(AT, {"name": "nap"}, authorization=f"Bearer {OTHER}")
        assert (refused.status, refused.json["fields"]["name"]) == (403, "bo")
        for bad in (f"Bearer {SECRET}x", "Bearer", f"Basic {SECRET}", basic(f"ann:{SECRET}"), SECRET, "Bearer é"):
            assert web.get(AT, authorization=bad).status == 401


def test_a_password_is_good_with_its_own_name_alone(shop: App) -> None:
    with faced(shop, WAKELINE_WEB_USERS=f"ann:operate:{SECRET},bo:view:{OTHER}") as web:
        assert web.get(AT, authorization=basic(f"ann:{SECRET}")).status == 200
        for bad in (basic(f"bo:{SECRET}"), basic(f"ann:{OTHER}"), basic("ann"), "Basic !", f"Bearer {SECRET}"):
            got = web.get(AT, authorization=bad)
            assert (got.status, got.headers["www-authenticate"]) == (401, 'Basic realm="wakeline", charset="UTF-8"')


def test_the_header_of_a_proxy_counts_from_a_trusted_address_alone(shop: App) -> None:
    ways = {"WAKELINE_WEB_USER_HEADER": "X-Forwarded-User", "WAKELINE_WEB_TRUST": "10.0.0.0/8, ::1"}
    with faced(shop, **ways, WAKELINE_WEB_USER_ROLE="operate") as web:
        named = {"x-forwarded-user": "ann"}
        assert web.send("GET", AT, headers=named, peer="10.1.2.3").status == 200
        assert web.send("GET", AT, headers=named, peer="::1").status == 200
        assert web.send("GET", AT, headers=named, peer="11.1.2.3").status == 401
        assert web.send("GET", AT, headers=named | {"x-forwarded-for": "10.1.2.3"}, peer="11.0.0.1").status == 401
        assert web.send("GET", AT, headers={"x-forwarded-user": " "}, peer="10.1.2.3").status == 401
        assert web.send("GET", AT, headers=named, peer="testclient").status == 401


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"WAKELINE_WEB_TOKENS": "ann:operate:short"}, "WAKELINE_WEB_TOKENS.*16 characters"),
        ({"WAKELINE_WEB_TOKENS": SECRET}, "name:role:secret"),
        ({"WAKELINE_WEB_TOKENS": f"ann:boss:{SECRET}"}, "one of none, view, answer, operate"),
        ({"WAKELINE_WEB_USERS": f":view:{SECRET}"}, "WAKELINE_WEB_USERS"),
        ({"WAKELINE_WEB_USER_HEADER": "X-User"}, "WAKELINE_WEB_TRUST.*the proxies"),
        ({"WAKELINE_WEB_TRUST": "10.0.0.0/8"}, "WAKELINE_WEB_USER_HEADER.*names the header"),
        ({"WAKELINE_WEB_USER_HEADER": "X-User", "WAKELINE_WEB_TRUST": "10.0.0.1/8"}, "host bits"),
    ],
)
def test_a_way_that_cannot_be_is_refused_by_name_and_shows_no_secret(given: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says) as refused:
        ways_of(given)
    assert SECRET not in str(refused.value)


def test_without_any_setting_there_is_no_way() -> None:
    assert ways_of({"WAKELINE_WEB_TOKENS": "", "WAKELINE_WEB_USER_HEADER": ""}) is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"sec-fetch-site": "same-origin"}, 202),
        ({"sec-fetch-site": "none"}, 202),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://testserver"}, 202),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://testserver:81"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://testserver"}, 403),
    ],
)
def test_a_page_of_another_site_changes_nothing(web: Client, headers: dict[str, str], status: int) -> None:
    pid = web.post(AT, {"name": "nap"}).json["id"]
    got = web.send("POST", f"{AT}/{pid}/cancel", headers=headers)
    assert got.status == status
    assert web.send("GET", f"{AT}/{pid}", headers=headers).json["cancel_requested"] is (status == 202)
    if status == 403:
        assert got.code == "origin_refused"


def test_a_request_for_another_host_is_refused_and_health_is_not(shop: App) -> None:
    with client_of(asgi(shop, authorize=ALLOW_ALL, hosts=["localhost", "[::1]", "Shop.Example"])) as web:
        for host in ("localhost", "localhost:8377", "[::1]", "[::1]:8377", "shop.example", "SHOP.example:443"):
            assert web.get(AT, host=host).status == 200, host
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1", "", "[::2]:8377"):
            got = web.get(AT, host=host)
            assert (got.status, got.code) == (421, "host_refused"), host
        assert web.get("/healthz", host="10.0.0.7:80").status == 200


def test_read_only_has_no_route_that_changes_something(shop: App) -> None:
    face = asgi(shop, authorize=ALLOW_ALL, readonly=True)
    assert {route.method for route in face.routes} == {"GET"}
    with client_of(face) as web:
        assert web.get(AT).status == 200
        got = web.post(AT, {"name": "nap"})
        assert (got.status, got.code, got.headers["allow"]) == (405, "method_refused", "GET, HEAD")
        gone = web.post(f"{AT}/x/cancel")
        assert (gone.status, gone.code) == (404, "route_not_found")
        assert all("post" not in operations for operations in web.get("/v1/openapi.json").json["paths"].values())


def test_who_started_and_who_cancelled_is_recorded(shop: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wakeline.web")
    with client_of(asgi(shop, authorize=by_name)) as web:
        web.always["x-role"] = "operate"
        pid = web.post(AT, {"name": "nap", "id": "nap-1"}).json["id"]
        assert web.get(f"{AT}/{pid}").json["originator"] == "host:the operate"
        web.post(f"{AT}/{pid}/cancel")
        got = web.get(f"{AT}/{pid}/result?wait=20")
        assert "requested by the operate" in got.json["detail"]
    assert "the operate: POST /v1/processes : 201" in caplog.messages
    assert "the operate: POST /v1/processes/{id}/cancel id=nap-1: 202" in caplog.messages


def test_the_originator_is_no_part_of_what_a_repetition_has_to_repeat(shop: App) -> None:
    with faced(shop, WAKELINE_WEB_TOKENS=f"ann:operate:{SECRET},bo:operate:{OTHER}") as web:
        first = web.post(AT, {"name": "nap", "id": "n"}, authorization=f"Bearer {SECRET}")
        again = web.post(AT, {"name": "nap", "id": "n"}, authorization=f"Bearer {OTHER}")
        assert (first.status, again.status) == (201, 200)
        assert web.get(f"{AT}/n", authorization=f"Bearer {OTHER}").json["originator"] == "host:ann"
