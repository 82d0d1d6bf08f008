"""What is shown and kept of an error in user code: its type, its message and the user's frames, without those between.

Invariant: it is at most 8 KB, and made of any error. The deepest frames stay when it is cut. It has no values of
variables, no bearer token and no password of a URL.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from traceback import StackSummary, walk_tb
from types import FrameType
from typing import Any, cast

from wakeline.processes.failures import bare, fit, parts_of
from wakeline.shown import without_secrets

LONGEST_TRACE = 8_192
"""In bytes of UTF-8."""
LONGEST_MESSAGE = 1_000
MOST_LINKS, MOST_PARTS, DEEPEST_GROUP, MOST_NOTES = 8, 8, 4, 4
FRAMES = (64, 32, 16, 8, 4, 2, 1)
"""How many frames of each error are shown: the first number with which all of it fits."""
CAUSE = "The above exception was the direct cause of the following exception:"
CONTEXT = "During handling of the above exception, another exception occurred:"
_BETWEEN = ("wakeline", "wakeline_workers", "pydantic", "asyncio", "concurrent")
_INSIDE = tuple(
    os.path.join(path, "")
    for name in _BETWEEN
    if (spec := find_spec(name))
    for path in spec.submodule_search_locations or ()
)
"""The folders of the packages between a worker and a body. Their lines do not help to find an error in the body."""


def trace_of(error: BaseException) -> str:
    """The traceback of an error and its causes, behind a line break, with only the lines of user code. It is empty if
    no line is the user's."""
    try:
        parts = _Parts()
        links = list(_links(error, parts))
        if not parts.found:
            return ""
        whole = b""
        for most in FRAMES:
            text = "\n" + "\n".join(_lines(links, most))
            whole = without_secrets(text.encode("utf-8", "backslashreplace").decode()).encode()
            if len(whole) <= LONGEST_TRACE:
                return whole.decode()
        return "\n…" + whole[4 - LONGEST_TRACE :].decode(errors="ignore")
    except Exception:  # noqa: BLE001 - texts, notes and chains are the user's and may raise too; the error is still recorded
        return ""


class _Parts:
    """Whether a frame of the user's was found anywhere."""

    found = False


class _Link:
    """One error of a chain: what leads to it, its frames of user code, what it says, and the errors of a group."""

    def __init__(self, error: BaseException, leads: str, seen: _Parts, depth: int) -> None:
        frames = deque[tuple[FrameType, int]](maxlen=FRAMES[0])
        self.leads, self.count = leads, 0
        for frame in walk_tb(error.__traceback__):
            if not frame[0].f_code.co_filename.startswith(_INSIDE):
                frames.append(frame)
                self.count += 1
        self.stack = list(StackSummary.extract(iter(frames)))
        self.far = str(getattr(error, "far_trace", ""))
        self.head = _head(error)
        seen.found = seen.found or bool(self.stack or self.far)
        parts = parts_of(error) if depth < DEEPEST_GROUP else ()
        self.parts = [list(_links(part, seen, depth + 1)) for part in parts[:MOST_PARTS]]
        self.more_parts = len(parts) - len(self.parts)


def _links(error: BaseException, seen: _Parts, depth: int = 0) -> Iterator[_Link | str]:
    """The chain of an error, what came first first; of a long one its ends, and a text between them."""
    chain: list[tuple[BaseException, str]] = []
    met, one, leads = set[int](), cast("BaseException | None", bare(error)), ""
    while one is not None and id(one) not in met:
        met.add(id(one))
        before = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        leads = CAUSE if one.__cause__ is not None else CONTEXT
        chain.append((one, leads))
        one = None if before is None else bare(before)
    chain.reverse()
    left_out = len(chain) - MOST_LINKS
    for i, (found, leads) in enumerate(chain):
        if left_out <= 0 or i < MOST_LINKS // 2 or i >= left_out + MOST_LINKS // 2:
            yield _Link(found, leads if i else "", seen, depth)
        elif i == MOST_LINKS // 2:
            yield f"… ({left_out} exceptions between are left out)"


def _head(error: BaseException) -> str:
    """Type, message and notes of an error, as far as they can be made."""
    kind: Any = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide the frames
        message = "(it cannot be shown as text)"
    lines = [f"{name}: {fit(message, LONGEST_MESSAGE)}" if message else name]
    with suppress(Exception):
        lines += [fit(str(note), LONGEST_MESSAGE) for note in getattr(error, "__notes__", ())[:MOST_NOTES]]
    return "\n".join(lines)


def _lines(links: list[_Link | str], most: int) -> Iterator[str]:
    for link in links:
        if isinstance(link, str):
            yield f"\n{link}"
            continue
        if link.leads:
            yield f"\n{link.leads}\n"
        if link.far:
            yield link.far.strip("\n")
            continue
        if link.stack:
            yield "Traceback (most recent call last):"
            shown = link.stack[-most:]
            if link.count > len(shown):
                yield f"  … ({link.count - len(shown)} outer frames are left out)"
            yield "".join(StackSummary.from_list(shown).format()).rstrip("\n")
        yield link.head
        for i, part in enumerate(link.parts, 1):
            yield f"  +-- {i} of {len(link.parts) + link.more_parts}"
            yield "\n".join("  | " + line for line in "\n".join(_lines(part, most)).split("\n"))
