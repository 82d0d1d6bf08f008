"""Writes docs/races.md: each race in words (here), with the rules that decide it and their tests (from the rows of
`fails_without`).

``python -m tests.races.document > docs/races.md``
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from tests.races.rules import Row

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"test_(wake_)?race_(\d\d)_\w+")
WAKES = ROOT / "docs/conformance/wakes.md"

RACES: dict[int, tuple[str, str]] = {
    1: (
        "The reply of a take is lost",
        "A worker takes doorbells; the server claims for it, and the reply never arrives. The worker asks again, "
        "or beats "
        "without naming a claim that it never heard of.",
    ),
    2: (
        "A cancel meets a wait",
        "A sender cancels a process while its run opens a wait or parks: neither has seen the other yet.",
    ),
    3: ("A reaped worker goes on", "The fleet reaps an owner while that owner takes or claims more work."),
    4: (
        "A wait is opened twice",
        "A run opens a wait, and a duplicate of that call, or a hint about it, arrives after the wait was consumed "
        "or given up. "
        "The duplicate would swallow the next signal.",
    ),
    5: (
        "A resolution meets a park",
        "A run is about to park while a sender resolves what it waits for, between the run's last look and its park.",
    ),
    6: (
        "Several waits at once",
        "Tasks of one body wait for slots alone and in groups, and a sender resolves them one by one: before, at "
        "and after the park.",
    ),
    7: (
        "A turn ends without its commit",
        "A cancel, a deadline, used-up attempts or losses end a turn while its session has entries for it and for "
        "the next.",
    ),
    8: (
        "A session is deleted while it is in use",
        "A client deletes a session while its turn runs, a wake or an input arrives, or a start names it.",
    ),
    9: (
        "A replay asks in another order",
        "A worker dies between two records of calls that its body made at once. The next run asks for them in "
        "another order, "
        "or for something else.",
    ),
    10: (
        "A generation leaves something behind",
        "A body continues as new while its waits are open and signals are on their way; the next generation asks for "
        "the same things again.",
    ),
    11: (
        "A signal meets a wait that is given up",
        "A sender resolves a wait while the task behind it is cancelled, or loses a race of its own.",
    ),
    12: (
        "A failover loses a claim",
        "A primary fails after it answered a claim that its replica never had. Two owners then hold claims of one "
        "epoch.",
    ),
    13: (
        "A run writes after its process went to another",
        "A run goes on although its process was reaped, or parked, and may run elsewhere.",
    ),
    14: (
        "A run acts on others without its lease",
        "A run that lost its lease starts a child, sends a signal, appends an event or cancels, beside the run that "
        "has the process now.",
    ),
    15: (
        "The next release sends a start again",
        "A client sends a start, and after a deploy sends it again with defaults that differ.",
    ),
    16: (
        "A start comes after the pruning",
        "A client sends a start again, or late, when the process of that id has ended and was pruned.",
    ),
    17: (
        "An id is used again",
        "A holder of an old token resolves an approval while a later process of the same id asks its own.",
    ),
    18: (
        "A doorbell is lost, or looks lost",
        "RQ or a dying worker loses a doorbell, while a long backlog makes other doorbells look as old.",
    ),
    19: (
        "A cancel finds no worker",
        "A sender cancels a process that no worker looks after: the request alone would end nothing.",
    ),
    20: (
        "A result is pruned before it is read",
        "The tick prunes an ended child while its parent has not journaled the child's result.",
    ),
    21: (
        "A process kills its workers",
        "A body takes its worker process with it, and with that worker the runs of its neighbours.",
    ),
    22: (
        "Foreign code holds the interpreter",
        "A body calls C code that holds the interpreter for longer than a lease, so nothing in that process can beat.",
    ),
    23: (
        "A worker leaves while a body goes on",
        "A SIGTERM, or the end of the shutdown time, meets a body that still runs in a thread.",
    ),
    24: (
        "Entries come faster than turns end",
        "Senders add entries to a session whose agent lets them interrupt its turn.",
    ),
    25: (
        "A crash after an early entry",
        "A turn takes an entry early and dies; its next run must have the same batch.",
    ),
    26: (
        "Entries that no turn takes",
        "Entries that the agent does not admit stand before, or between, those that it admits.",
    ),
    27: (
        "The server's clock jumps back",
        "A failover or an operator sets the clock back while leases and suspicions hold times of before.",
    ),
    28: (
        "A crash before a deadline",
        "A worker dies while a wait with a deadline is open; the next run opens the wait again, later.",
    ),
    29: (
        "The fleet after an outage",
        "Redis was away for longer than a lease. The first worker that is back ticks before the others have beaten.",
    ),
    30: (
        "An end with a thousand followers",
        "A cancel or an end has a thousand slots, waiters or children to tell, while the server serves everyone else.",
    ),
    31: (
        "Two releases side by side",
        "A worker of the old release takes a process whose engine only the new release has.",
    ),
    32: (
        "The end of a child is told twice",
        "A body awaits a child, and the child's end would also wake the session that the body belongs to.",
    ),
    33: (
        "The store goes back under a run",
        "A crash or a failover loses what the store had answered to a run, or what it waited for and was given. The "
        "run goes on from what it has in memory.",
    ),
    34: (
        "The hint of a hand-off is lost, or comes late",
        "A start or a signal claims the process for an idle worker. The hint that brings the claim is lost, or meets "
        "the take that the worker sends at that moment.",
    ),
}


def modules() -> list[ModuleType]:
    """The modules whose tests are named after races."""
    files = [*sorted((ROOT / "tests" / "races").glob("test_*.py")), ROOT / "tests" / "e2e" / "test_races.py"]
    return [importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts)) for file in files]


def tests_of(number: int, *, wakes: bool = False) -> Iterator[tuple[str, Callable[..., None]]]:
    """Path and function of every test that is named after this race."""
    for module in modules():
        for name, test in sorted(vars(module).items()):
            named = NAMED.fullmatch(name)
            if named and (bool(named[1]), int(named[2])) == (wakes, number):
                yield f"{(module.__name__).replace('.', '/')}.py::{name}", test


def wake_races() -> dict[int, str]:
    """What holds in each race of wakes, as the conformance table says it."""
    return {
        int(number): says
        for number, says in re.findall(r"^\| W(\d+) \| ([^|]+) \|", WAKES.read_text(encoding="utf-8"), re.MULTILINE)
    }


def place(where: str) -> str:
    """Where a rule stands, from the root of the repository's packages."""
    return f"`store/lua/{where}`" if where.endswith(".lua") else f"`{where}`"


def table(tests: Iterator[tuple[str, Callable[..., None]]]) -> Iterator[str]:
    """One line per rule and test."""
    yield "| the rule that decides | where it stands | shown by |"
    yield "|---|---|---|"
    for path, test in tests:
        rows: list[Row] = getattr(test, "rows", [])
        for rule in [row.rule for row in rows if row.rule] or [None]:
            yield f"| {rule.says} | {place(rule.where)} | {path} |" if rule else f"| (no rule of its own) | | {path} |"


def markdown() -> str:
    """docs/races.md."""
    lines = [
        "# Races",
        "",
        "Written by `python -m tests.races.document > docs/races.md`; a test compares the two.",
        "",
        (
            "In each race two actors touch the same thing at the same moment. Code and tests cite a race by its number,"
            " as in *race 5*."
        ),
        (
            "Its tests run twice: as the product stands, where they pass, and with a rule taken out, where they fail"
            " (`tests/races/rules.py`)."
        ),
        (
            "`tests/races/test_interleavings.py` and `tests/races/test_session_interleavings.py` try every order of a"
            " few calls as well."
        ),
    ]
    for number, (title, actors) in RACES.items():
        lines += ["", f"## {number}. {title}", "", actors, "", *table(tests_of(number))]
    lines += [
        "",
        "## Races of wakes",
        "",
        (
            "Numbered W1 to W36 in [the table of wakes](conformance/wakes.md), which also names those that cannot"
            " happen here."
        ),
    ]
    for number, says in wake_races().items():
        if found := list(tests_of(number, wakes=True)):
            lines += ["", f"### W{number}", "", says, "", *table(iter(found))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
