"""Writes docs/http.md from the routes and the table of problems: ``python -m wakeline.web.table > docs/http.md``."""

from __future__ import annotations

from collections.abc import Iterator

from wakeline import errors
from wakeline.errors import WakelineError
from wakeline.web.api import ROUTES
from wakeline.web.problems import status_of
from wakeline.web.routes import Route


def markdown() -> str:
    """docs/http.md."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from (
        "# The HTTP API",
        "",
        "Written by `python -m wakeline.web.table > docs/http.md`; a test compares the two. [web.md](web.md) says how",
        "to serve it, who may use it, and what holds for all. `/v1/openapi.json` describes parameters and answers.",
        "",
        "## Routes",
        "",
        "| route | role | gives | what it does |",
        "|---|---|---|---|",
    )
    yield from map(_row, ROUTES)
    yield from ("", "## Problems", "", "The status of each error; [errors.md](errors.md) says what each means.", "")
    yield from ("| status | code |", "|---|---|")
    by_status: dict[int, list[str]] = {}
    for kind in _below(WakelineError):
        by_status.setdefault(status_of(kind), []).append(kind.code)
    for status, codes in sorted(by_status.items()):
        yield f"| {status} | {', '.join(f'`{code}`' for code in sorted(codes))} |"


def _row(route: Route) -> str:
    gives = ", ".join(map(str, route.gives))
    said = " ".join((route.answer.__doc__ or "").split()).replace("<", "&lt;").replace("|", "\\|")
    return f"| {route.method} `{route.path}` | {route.role.word} | {gives} | {said} |"


def _below(kind: type[WakelineError]) -> Iterator[type[WakelineError]]:
    for one in kind.__subclasses__():
        if one.__module__ == errors.__name__:
            if not one.__subclasses__() or one.__mro__[1] is not WakelineError:
                yield one
            yield from _below(one)


if __name__ == "__main__":
    print(markdown(), end="")
