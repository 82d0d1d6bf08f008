"""Writes docs/errors.md from the tree of errors: ``python -m wakeline.error_table > docs/errors.md``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wakeline import errors
from wakeline.errors import WakelineError

_FIELD = re.compile(r"\{(\w+)(?:![rs])?\}")


def rows(kind: type[WakelineError], *above: str) -> Iterator[str]:
    """A line for each kind below this one, deepest last; ``above`` names those between it and its group."""
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            name = " → ".join([*above, below.__name__])
            yield (
                f"| {name} | `{below.code}` | {_cell(below.__doc__ or '')} | {_cell(below.template)} |"
                f" {'yes' if below.retryable else 'no'} |"
            )
            yield from rows(below, *above, below.__name__)


def _cell(text: str) -> str:
    """One line of text in a table: fields of the error in italics, the first paragraph alone."""
    first = " ".join(text.split("\n\n")[0].split())
    return _FIELD.sub(r"*\1*", first).replace("|", "\\|").replace("<", "&lt;")


def markdown() -> str:
    """docs/errors.md."""
    lines = [
        "# Errors",
        "",
        "Written by `python -m wakeline.error_table > docs/errors.md`; a test compares the two.",
        "",
        (
            "Every error has a code, which is stored and never changes, and a message, which may change and says what"
            " to do. Words in *italics* are its fields:"
        ),
        (
            "attributes of the exception, and `fields` of its JSON. *Again* says whether the same call may succeed"
            " later without a change."
        ),
        "A heading can be caught too: it stands for all errors below it.",
    ]
    for group in WakelineError.__subclasses__():
        if group.__module__ == errors.__name__:
            lines += ["", f"## {group.__name__} (`{group.code}`)", "", _cell(group.__doc__ or "")]
            lines += [] if group.template is WakelineError.template else ["It says: " + _cell(group.template)]
            if found := list(rows(group)):
                lines += [
                    "",
                    "| error | code | when | what it says, and what to do | again |",
                    "|---|---|---|---|---|",
                    *found,
                ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
