"""Tables in a terminal: how many cells a text takes, and which columns of a table give way where room is short.

Invariant: pure. No row is wider than its room, and no id is cut: a text that has to stay whole has a line of its own if
it is wider than its column. A pipe has all the room it needs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from unicodedata import category, combining, east_asian_width

GAP = 2
LEAST = 6
"""A column that would get less room than this, and needs more, is left out."""
INDENT = 2
"""Where a row goes on below its first text, if no first text fits beside the others."""
BOLD, RED, GREEN, YELLOW, PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
COLOURED = ("STATUS", "STATE")
"""The headings of columns whose words have a colour."""
COLOURS = {
    "running": GREEN,
    "waiting": YELLOW,
    "failed": RED,
    "abandoned": RED,
    "blocked": RED,
    "undeliverable": RED,
    "paused": YELLOW,
    "no worker": RED,
    "paused, no worker": RED,
    "disabled": YELLOW,
}


@dataclass(frozen=True, slots=True)
class Table:
    """The lines of a table, and the headings of the columns for which there was no room."""

    lines: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def columns(text: str) -> int:
    """How many cells of a terminal a text takes. A wide character takes two, and a combining one takes none."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(one: str) -> int:
    if combining(one) or category(one) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(one) in "WF" else 1


def beginning(text: str, room: int) -> str:
    """As much of a text as fits into so many cells of a terminal; a text that is cut ends with ``…``."""
    taken, end = 0, 0
    if text.isascii():
        return text if len(text) <= room else f"{text[: room - 1]}…" if room > 0 else ""
    for at, one in enumerate(text):
        taken += _width(one)
        if taken < room:
            end = at + 1
        if taken > room:
            return f"{text[:end]}…" if room > 0 else ""
    return text


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    room: int | None = None,
    *,
    headed: bool = True,
    keep: int = 1,
    ids: Collection[int] = (),
    spare: Collection[int] = (),
    colours: bool = False,
) -> Table:
    """Rows in columns, ``headed`` below their headings. ``room``: the cells of a line of the terminal.

    The first ``keep`` columns, such as an id, always stay, and are never cut. Where room is short, the columns
    ``spare`` go first: they have only what is left where all others are whole. Then the columns ``ids`` go, from the
    right, because half of an id is of no use. Then the others give way from the right: each gets what those before it
    leave, and one for which less than `LEAST` is left goes. A first text for which there is no room beside the others
    has a line of its own, and its row goes on below it.
    """
    told = [headings, *rows] if headed else rows
    if not told:
        return Table(())
    widths = _widths(told, room, keep, ids, spare)
    shown = [at for at, width in enumerate(widths) if width is not None]
    lines: list[str] = []
    for number, row in enumerate(told):
        paint = partial(_painted, headings if colours else None, headed and number == 0)
        cells = [row[at] for at in shown]
        needed = [widths[at] or 0 for at in shown]
        if columns(cells[0]) > needed[0]:
            lines.append(paint(shown[0], cells[0]))
            cells[0] = ""
            if not any(cells):
                continue
        cut = [beginning(cell, width) for cell, width in zip(cells, needed, strict=True)]
        last = max((at for at, cell in enumerate(cut) if cell), default=0)
        padded = [
            paint(column, cell) + " " * (0 if at == last else width - columns(cell))
            for at, (column, cell, width) in enumerate(zip(shown, cut, needed, strict=True))
        ]
        lines.append((" " * GAP).join(padded[: last + 1]).rstrip())
    return Table(tuple(lines), tuple(heading for heading, width in zip(headings, widths, strict=True) if width is None))


def _painted(headings: Sequence[str] | None, heads: bool, column: int, text: str) -> str:
    if not text or headings is None:
        return text
    colour = BOLD if heads else COLOURS.get(text) if headings[column] in COLOURED else None
    return text if colour is None else f"{colour}{text}{PLAIN}"


def _widths(
    told: Sequence[Sequence[str]], room: int | None, keep: int, ids: Collection[int], giving: Collection[int]
) -> list[int | None]:
    """The width of each column in so much room; None for one that is left out."""
    needs = [max(columns(row[at]) for row in told) for at in range(len(told[0]))]
    if room is None:
        return list(needs)
    whole = {*range(1, keep), *ids}
    least = [need if at in whole else min(need, LEAST) for at, need in enumerate(needs)]
    wide = sum(need + GAP for at, need in enumerate(needs) if at not in giving)
    others = [at for at in range(1, len(needs)) if at not in giving or wide + least[at] <= room]

    def left() -> int:
        return room - sum(GAP + least[at] for at in others)

    first = min(needs[0], INDENT)
    while others and left() < first:
        goes = [at for at in others if at in ids] or [at for at in others if at >= keep] or others
        others.remove(goes[-1])
    if not others:
        return [min(needs[0], room), *(None for _ in needs[1:])]
    firsts = [width for row in told if (width := columns(row[0])) <= left()]
    widest = max(max(firsts, default=0), first)
    spare = left() - widest
    widths: list[int | None] = [widest, *(None for _ in needs[1:])]
    for at in others:
        more = min(needs[at] - least[at], spare)
        widths[at], spare = least[at] + more, spare - more
    return widths
