"""Each error of the tree has a status, the document and the routes are one, and the web face is not loaded unasked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from wakeline import errors
from wakeline.app import App
from wakeline.errors import WakelineError
from wakeline.web import ALLOW_ALL, asgi
from wakeline.web.documents import document
from wakeline.web.problems import STATUSES, problem_of, status_of
from wakeline.web.table import markdown
from wakeline.web.who import Role

GROUPS = {
    "ConfigurationError": 500,
    "StoreError": 503,
    "InputError": 422,
    "ProcessError": 409,
    "WaitError": 409,
    "RunError": 500,
    "ToolError": 422,
    "TriggerError": 409,
    "AttachmentError": 500,
    "WebError": 400,
    "SessionError": 409,
    "UnknownError": 500,
}
APART = {
    "AgentConflict": 409,
    "AmbiguousId": 409,
    "ApprovalAnswered": 409,
    "ApprovalNotOpen": 410,
    "AttachmentNotFound": 404,
    "AwaitEventUnknownOrRevoked": 410,
    "EntryNotFound": 404,
    "EventNotFound": 404,
    "FileUnusable": 500,
    "ForeignCursor": 400,
    "HostRefused": 421,
    "MailboxFull": 429,
    "MediaTypeRefused": 415,
    "MethodRefused": 405,
    "OriginRefused": 403,
    "PayloadSchemaMismatch": 422,
    "PayloadTooLarge": 413,
    "ProcessAbandoned": 410,
    "ProcessFailed": 424,
    "ProcessNoLongerRetained": 410,
    "ProcessNotFound": 404,
    "ProcessNotVisible": 404,
    "ReplayKeyRequired": 422,
    "RequestTooLarge": 413,
    "ReservedEvent": 422,
    "RoleTooLow": 403,
    "RouteNotFound": 404,
    "ScriptFailed": 500,
    "SessionDeleted": 410,
    "SessionNotFound": 404,
    "SessionNotVisible": 404,
    "SignalWaitTimeout": 408,
    "SubscriptionNotFound": 404,
    "Unauthenticated": 401,
    "UndeclaredEvent": 422,
    "UnknownAgent": 404,
    "UnknownName": 404,
    "WaitTimeout": 408,
    "WaitTypeDiffers": 422,
}
"""The errors whose status is not that of their group."""


def below(kind: type[WakelineError]) -> Iterator[type[WakelineError]]:
    for one in kind.__subclasses__():
        if one.__module__ == errors.__name__:
            yield one
            yield from below(one)


def test_every_error_of_the_tree_has_the_status_of_its_group_or_one_of_its_own() -> None:
    groups = {kind.__name__: kind for kind in WakelineError.__subclasses__() if kind.__module__ == errors.__name__}
    assert groups.keys() == GROUPS.keys()
    found = {one.__name__: status_of(one) for group in groups.values() for one in [group, *below(group)]}
    wanted = {one.__name__: GROUPS[name] for name, group in groups.items() for one in [group, *below(group)]} | APART
    assert found == wanted
    assert len(found) > 110
    assert {kind.__module__ for kind in STATUSES} == {errors.__name__}


def test_a_problem_has_the_message_the_code_and_the_fields_and_no_bearer_token() -> None:
    error = errors.InvalidPayload(what="wt2.abcdefghijkl.mnop", reason="it is none")
    assert problem_of(error) == {
        "type": "https://wakeline.dev/errors/invalid_payload",
        "title": "InvalidPayload",
        "status": 422,
        "detail": "wt2.… is not usable as JSON: it is none.",
        "code": "invalid_payload",
        "retryable": False,
        "fields": {"what": "wt2.…", "reason": "it is none"},
    }


def test_the_document_has_exactly_the_routes() -> None:
    routes = asgi(App("documented"), authorize=ALLOW_ALL).routes
    found = {(method.upper(), path) for path, operations in document(routes)["paths"].items() for method in operations}
    assert found == {(route.method, route.path) for route in routes}
    assert len(found) == len(routes)


def test_the_document_is_openapi_3_1_and_each_of_its_schemas_is_one() -> None:
    made = document(asgi(App("documented"), authorize=ALLOW_ALL).routes)
    assert made["openapi"] == "3.1.0"
    text = json.dumps(made)
    for name, schema in made["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert f"#/components/schemas/{name}" in text or name == "JsonValue", f"{name} is used nowhere"
    operations = [one for path in made["paths"].values() for one in path.values()]
    ids = [one["operationId"] for one in operations]
    assert len(set(ids)) == len(ids)
    assert all(one["summary"] and one["responses"]["default"] for one in operations)
    assert {one["x-role"] for one in operations} <= {role.word for role in Role}


@pytest.mark.parametrize("loaded", ["import wakeline", "import wakeline; wakeline.App", "import wakeline_workers.cli"])
def test_the_web_face_is_loaded_by_those_alone_who_ask_for_it(loaded: str) -> None:
    code = f"import sys; {loaded}; print([n for n in ('starlette', 'uvicorn', 'wakeline.web') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_docs_http_is_written_from_the_routes_and_the_statuses() -> None:
    assert (Path(__file__).parents[2] / "docs/http.md").read_text(encoding="utf-8") == markdown()
