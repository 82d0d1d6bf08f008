"""The OpenAPI document: made from the routes, from the models that clients send, and from the views that answer.

Invariant: what is described is what is sent. A view whose JSON has other names than its fields says so here, and tests
hold every answer against the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from wakeline.web.routes import NO_BODY, Route
from wakeline.web.shapes import Problem
from wakeline.web.who import Role

REFS = "#/components/schemas/{model}"
PROBLEM = "application/problem+json"
TEXT: Mapping[str, Any] = {"type": "string"}
OWN: Mapping[str, Mapping[str, Any]] = {
    "Misfit": {"message": TEXT},
    "Reason": {"message": TEXT},
}
"""What the JSON of a view has beside its fields."""
OUTCOME: Mapping[str, Any] = {
    "description": "How it ended: `type` is success, failure, cancelled or abandoned.",
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"enum": ["success", "failure", "cancelled", "abandoned"]}},
}
OUTPUTS = ("Success", "Failure", "CancelledOutput", "AbandonedOutput")


@dataclass(frozen=True, slots=True)
class PageOf:
    """The shape of a page: a list under a name, whether there are others, and the cursor for these."""

    name: str
    of: Any


class Shapes:
    """The JSON Schemas of all shapes of a document."""

    def __init__(self, routes: Iterable[Route]) -> None:
        wanted: dict[tuple[Any, str], TypeAdapter[Any]] = {}
        for route in routes:
            if route.body is not NO_BODY:
                wanted[route.body, "validation"] = TypeAdapter(route.body)
            for gives in (*route.gives.values(), Problem):
                of = gives.of if isinstance(gives, PageOf) else gives
                if of is not None and not isinstance(of, str):
                    wanted[of, "serialization"] = TypeAdapter(of)
        found, defs = TypeAdapter.json_schemas(
            [((of, mode), cast("JsonSchemaMode", mode), adapter) for (of, mode), adapter in wanted.items()],
            ref_template=REFS,
        )
        self._found = {of: schema for ((of, _), _), schema in found.items()}
        self.all: dict[str, Any] = defs.get("$defs", {})
        for name, schema in self.all.items():
            self.all[name] = _as_sent(name, schema)

    def of(self, shape: Any) -> dict[str, Any]:
        """The schema of a shape."""
        if isinstance(shape, PageOf):
            things = {"type": "array", "items": self.of(shape.of)}
            properties = {shape.name: things, "more": {"type": "boolean"}, "next": {"type": ["string", "null"]}}
            return {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        found = self._found[shape]
        is_object = "$ref" not in found and found.get("type") == "object"
        return _as_sent(shape.__name__, found) if is_object and not _is_model(shape) else found


def _is_model(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, BaseModel)


def _as_sent(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a view as `to_data` writes it: every field is there, and some have more."""
    if name in OUTPUTS:
        return dict(OUTCOME)
    if schema.get("type") != "object" or schema.get("additionalProperties") is False or "properties" not in schema:
        return schema
    properties = schema["properties"] | OWN.get(name, {})
    return schema | {"properties": properties, "required": list(properties), "additionalProperties": False}


def document(routes: Iterable[Route], *, root: str = "") -> dict[str, Any]:
    """The OpenAPI 3.1 document of these routes; ``root`` is where the face is mounted."""
    known = list(routes)
    shapes = Shapes(known)
    paths: dict[str, dict[str, Any]] = {}
    for route in known:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, shapes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wakeline",
            "version": version("wakeline"),
            "description": "Durable processes on Redis and RQ, and agents that wake when something happens to them.",
        },
        "servers": [{"url": root or "/"}],
        "paths": paths,
        "components": {
            "schemas": shapes.all,
            "responses": {
                "Problem": {
                    "description": "Why it was not answered. `code` is stable; docs/errors.md lists all.",
                    "content": {PROBLEM: {"schema": shapes.of(Problem)}},
                }
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
        "security": [{"bearer": []}, {"basic": []}],
    }


def _operation(route: Route, shapes: Shapes) -> dict[str, Any]:
    said = " ".join((route.answer.__doc__ or "").split())
    found: dict[str, Any] = {
        "operationId": f"{route.answer.__module__.rpartition('.')[2]}_{route.answer.__name__}",
        "summary": said.partition(". ")[0].rstrip("."),
        "description": said,
        "parameters": [*_in_path(route), *_in_query(route), *_in_headers(route)],
        "responses": {str(status): _given(status, of, shapes) for status, of in route.gives.items()}
        | {"default": {"$ref": "#/components/responses/Problem"}},
        "x-role": route.role.word,
    }
    if route.role is Role.NONE:
        found["security"] = []
    if route.body is not NO_BODY:
        found["requestBody"] = {"content": {"application/json": {"schema": shapes.of(route.body)}}}
    return found


def _given(status: int, of: Any, shapes: Shapes) -> dict[str, Any]:
    if of is None:
        return {"description": "The client has it already."}
    if isinstance(of, str):
        return {"description": "A text.", "content": {of: {"schema": {"type": "string"}}}}
    what = "It has not come yet." if status == 202 else "It was done." if status == 201 else "The answer."
    return {"description": what, "content": {"application/json": {"schema": shapes.of(of)}}}


def _in_path(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]


def _in_query(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema()
    needed = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": one}
        for name, one in schema["properties"].items()
    ]


def _in_headers(route: Route) -> list[dict[str, Any]]:
    if not route.keyed:
        return []
    return [{"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}}]
