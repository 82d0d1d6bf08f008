"""The text of docs/keys.md: ``python -m wakeline.store > docs/keys.md``.

Invariant: every table in it is data of the code; a test compares the file with this.
"""

from __future__ import annotations

from collections.abc import Mapping

from wakeline.store import codes, hashes, heads, letters, marks
from wakeline.store.hashes import Field, Fields, row_of
from wakeline.store.keys import JOINTS, RQ_TABLE, TABLE, KeyFamily
from wakeline.store.uses import Use, uses


def markdown() -> str:
    """The tables as a document."""
    lines = [
        "# Keys",
        "",
        "Written by `python -m wakeline.store > docs/keys.md`. Tests compare it with the tables of the code,",
        "and those with the scripts.",
        "",
        "## Wakeline's keys",
        "All begin with `{<namespace>}:`, braces included: one namespace is one Cluster slot.",
        "",
        *_rows(TABLE, ""),
        "",
        *heads.markdown(),
        "",
        "## Fields",
        "The fields of hashes and streams; the head of a session has a table of its own. The unit `ms` is a moment of",
        "the server's clock, `ms long` a time; a `flag` is there or not.",
        *_fields(),
        "",
        "## Letters",
        "How members of `timers`, rows of `todo` and kinds of waits begin. They are stored, so no meaning changes.",
        "",
        *letters.rows(),
        "",
        "## Codes",
        "The letters and words by which kinds of things are told apart.",
        *codes.markdown(),
        "",
        "## RQ's keys that scripts write",
        (
            "They begin with `rq:`, or with what `RQ_KEY_PREFIX` says. A doorbell's id is `wl-<namespace>-<process"
            " id>-<epoch>`, both escaped."
        ),
        "",
        *_rows(RQ_TABLE, "rq:"),
        "",
        "## Counters and marks",
        (
            "What says something of a run, a claim or an owner, and what takes it back, so that nothing is counted"
            " against a run that comes later."
        ),
        "",
        *marks.rows(),
        "",
        "## Joints",
        (
            "Names that are made of several, and why no two of them are ever the same one. A property test holds every"
            " pair of them against each other,"
        ),
        "and what Python makes against what the scripts make.",
        "",
        "| made | told apart | made or kept by |",
        "|---|---|---|",
        *(f"| `{joint.made}` | {joint.told_apart} | `{joint.by}` |" for joint in JOINTS),
    ]
    return "\n".join(lines) + "\n"


def _rows(table: tuple[KeyFamily, ...], before: str) -> list[str]:
    rows = [f"| `{before}{f.pattern}` | {f.type} | {f.content} | {f.owner} | {f.reclaimed_by} |" for f in table]
    return ["| key | type | content | owner | reclaimed by |", "|---|---|---|---|---|", *rows]


def family_of(use: Use) -> str:
    """The family of a use as the tables have it."""
    return "rq" if use.family.startswith("rq:") else use.family


def _writers() -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Who writes a field, by family and letters."""
    found: dict[tuple[str, str], set[str]] = {}
    tables = {one.family: one.rows for one in hashes.every()}
    for use in uses():
        row = row_of(tables.get(family_of(use), ()), use.field)
        if row is not None and use.how == "writes":
            found.setdefault((family_of(use), row.letters), set()).add(use.script)
    return {key: tuple(sorted(scripts)) for key, scripts in found.items()}


def _writers_of(table: Fields, row: Field, by: Mapping[tuple[str, str], tuple[str, ...]]) -> tuple[str, ...]:
    """The writers of a row; where no script says its letters, those that write what a wider row stands for: a row of a
    journal is written under the key that its run sends."""
    own = by.get((table.family, row.letters))
    wider = row_of(tuple(one for one in table.rows if one != row), row.as_scripts_say)
    return own or (by.get((table.family, wider.letters), ()) if wider else ())


def _fields() -> list[str]:
    by = _writers()
    lines: list[str] = []
    for one in (*hashes.HASHES, *hashes.STREAMS):
        lines += [
            "",
            f"### `{one.pattern}`",
            "",
            "| field | name | what it says | unit | written by |",
            "|---|---|---|---|---|",
        ]
        for row in one.rows:
            scripts = ", ".join(f"`{name}`" for name in _writers_of(one, row, by))
            lines.append(f"| `{row.letters}` | {row.name} | {row.meaning} | {row.unit} | {scripts} |")
    return lines
