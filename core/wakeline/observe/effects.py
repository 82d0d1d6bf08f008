"""What an engine has done, as a reader sees it: each recorded effect, with what came of it and how long it took.

Invariant: pure; a row that cannot be read, which a later release may have written, is shown by its key and stops no
list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

from wakeline.effects.journal import NEVER, PENDING, TRIGGERS, JournalRow
from wakeline.errors import InvalidPayload, WaitCancelled, WaitFailed, WaitTimeout, WakelineError
from wakeline.names import PART_OF_A_CALL
from wakeline.observe.view import View
from wakeline.processes import outputs
from wakeline.processes.failures import fit
from wakeline.shown import without_secrets, without_tokens
from wakeline.store.journal import RecordedKey, RecordedRow
from wakeline.store.stand_ins import stands_in
from wakeline.values import from_json, to_json
from wakeline.waits.resolutions import Cancelled, Err, Ok, TimedOut, resolution_of

CALL = "tool_call"
WAITS = ("wait", "await")
CARRIED = "start"
"""The kind of an attempt that a process of its own carried out."""
MOST_SHOWN, LONGEST_MESSAGE = 6, 500
"""How many failed attempts of a call are shown, and how much of the message of each."""
OF_A_CALL = ("wait", "after", "admit")
"""The kinds of what belongs to a call beside its attempts: pauses, its completion, its hooks."""


@dataclass(frozen=True, slots=True)
class FailedAttemptView(View):
    """An attempt of a call that failed."""

    number: int
    """Which one it was, from 1."""
    code: str
    message: str
    """What was raised, cut after 500 characters."""
    at_ms: int
    """When its error was recorded (server ms)."""
    next_ms: int | None
    """When the next one was to come (server ms); None if none followed, or a release before this one recorded it."""


@dataclass(frozen=True, slots=True)
class EffectView(View):
    """One recorded effect of a process: a step, a call with all its attempts, a start, a wait, …"""

    n: int
    """Its place in the order of recording. Where an effect is recorded in several parts (the attempts of a call), of
    the first."""
    kind: str
    """step, tool_call, start, signal, emit, wait, await, approval, …"""
    name: str
    key: str
    """The replay key: what a replay finds it by."""
    status: str
    """ok, or err where it ended with an error."""
    args_hash: str
    """Thirty-two hex digits over kind, name and arguments: what a replay compares."""
    attempts: int
    """How many of its attempts are recorded; one that died with its worker is not."""
    started_ms: int | None
    """When it began (server ms); None if the store did it in the step that recorded it, and in rows of a release
    before this one."""
    took_ms: int | None
    """From its start to its outcome, pauses between attempts included."""
    recorded_ms: int
    """When its outcome was recorded (server ms)."""
    outcome: Any
    """JSON data, with bearer tokens masked; None for an error, for a call whose completion is awaited, and for an
    outcome that is too large."""
    error: Mapping[str, Any] | None
    """The recorded error: code, message, and its fields."""
    size: int
    """The size of outcome or error as JSON, in bytes."""
    is_whole: bool
    """Whether outcome or error is here; one over 64 KB is not, and only its size is known."""
    failed: tuple[FailedAttemptView, ...] = ()
    """The attempts of a call that failed, in order; the first 3 and the latest 3 if they are more."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An effect by its keys: its own, those of later attempts, and what completes or changes its outcome."""

    n: int
    key: str
    attempts: tuple[str, ...] = ()
    last: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All that have to be read for it."""
        return (self.key, *self.shown.values(), *self.last)

    @property
    def shown(self) -> dict[int, str]:
        """The later attempts that are read, by number: two at the beginning, and the last ones."""
        numbered = dict(enumerate(self.attempts, 2))
        left_out = range(MOST_SHOWN // 2 + 1, len(numbered) + 1 - MOST_SHOWN // 2)
        return {n: key for n, key in numbered.items() if n not in left_out}


def effects_of(keys: Sequence[RecordedKey]) -> list[Recorded]:
    """The effects of a journal, in the order of recording; attempts and pauses of a call are parts of it."""
    known = {one.key: one for one in keys}
    parts: dict[str, list[tuple[int, str]]] = {}
    last: dict[str, list[str]] = {}
    alone: list[RecordedKey] = []
    for one in sorted(keys, key=lambda found: (found.n, found.key)):
        part = PART_OF_A_CALL.fullmatch(one.key)
        if part is None or not _is_part(one, part, known):
            alone.append(one)
        elif part["attempt"] is not None:
            parts.setdefault(part["call"], []).append((int(part["attempt"]), one.key))
        elif one.key.endswith(("~completion", "~after")):
            last.setdefault(part["call"], []).append(one.key)
    attempts = {call: tuple(key for _, key in sorted(found)) for call, found in parts.items()}
    return [Recorded(one.n, one.key, attempts.get(one.key, ()), tuple(last.get(one.key, ()))) for one in alone]


def _is_part(one: RecordedKey, part: re.Match[str], known: Mapping[str, RecordedKey]) -> bool:
    """Whether a row belongs to the call that its key names. The caller of another call may have chosen a key that reads
    like that of an attempt (``c~2``), but an attempt asks for the same as its call, and one before it failed."""
    call = known.get(part["call"])
    if call is None or call.kind != CALL:
        return False
    if part["attempt"] is None:
        return one.kind in OF_A_CALL
    n = int(part["attempt"])
    before = known.get(call.key if n == 2 else f"{call.key}~{n - 1}")
    asks_the_same = one.kind == CARRIED or (one.kind, one.digest) == (CALL, call.digest)
    return asks_the_same and before is not None and before.failed


def effect_view(recorded: Recorded, rows: Mapping[str, RecordedRow]) -> EffectView | None:
    """An effect and what came of it; None if its row is gone, as the process went on as new meanwhile."""
    found = [rows[key] for key in recorded.keys if key in rows and rows[key].text]
    if not found or found[0].key != recorded.key:
        return None
    views = [_view_of(row) for row in found]
    first, end = views[0], views[-1]
    numbers = {recorded.key: 1} | {key: n for n, key in recorded.shown.items()}
    started = first.started_ms
    took = None if started is None or end is first else max(0, end.recorded_ms - started)
    return replace(
        end,
        n=recorded.n or first.n,
        kind=first.kind,
        name=first.name,
        key=first.key,
        args_hash=first.args_hash,
        attempts=1 + len(recorded.attempts),
        started_ms=started,
        took_ms=first.took_ms if took is None else took,
        failed=_shown([one for row in found if row.key in numbers for one in _failed(numbers[row.key], row)])
        if first.kind == CALL
        else (),
    )


def _shown(failed: list[FailedAttemptView]) -> tuple[FailedAttemptView, ...]:
    """The first and the latest ones."""
    half = MOST_SHOWN // 2
    return tuple(failed if len(failed) <= MOST_SHOWN else failed[:half] + failed[-half:])


def _failed(number: int, row: RecordedRow) -> Iterator[FailedAttemptView]:
    """The failed attempt of which a row tells, if it tells of one."""
    with suppress(ValueError, InvalidPayload):
        is_whole, read = _row_of(row.text)
        if read.status == "err":
            said: Mapping[str, Any] = read.outcome if is_whole else {}
            fields = cast("Mapping[str, Any]", said.get("fields") or {})
            code = str(fields.get("failure_code") or said.get("code") or "")
            message = fit(
                without_secrets(str(fields.get("failure_message") or said.get("message") or "")), LONGEST_MESSAGE
            )
            follows = read.next_ms is not None and read.next_ms != NEVER
            yield FailedAttemptView(
                number, code, message, read.at_ms, read.at_ms + (read.next_ms or 0) if follows else None
            )


def _view_of(row: RecordedRow) -> EffectView:
    size = max(row.sizes, default=len(row.text.encode()))
    try:
        is_whole, read = _row_of(row.text)
    except (ValueError, InvalidPayload):
        return EffectView(0, "", row.key, row.key, "ok", "", 1, None, None, 0, None, None, size, is_whole=False)
    outcome, error = _came_of(read) if is_whole else (None, None)
    return EffectView(
        n=read.n,
        kind=read.kind,
        name=read.name,
        key=row.key,
        status=read.status if error is None else "err",
        args_hash=read.hash,
        attempts=1,
        started_ms=None if read.took_ms is None else read.at_ms - read.took_ms,
        took_ms=read.took_ms,
        recorded_ms=read.at_ms,
        outcome=without_tokens(outcome),
        error=without_tokens(error),
        size=len(to_json(outcome if error is None else error).encode()) if is_whole else size,
        is_whole=is_whole,
    )


def _row_of(text: str) -> tuple[bool, JournalRow]:
    """A row, and whether its outcome or error is in it. Raises `ValueError` for what is no row, and for a row that an
    earlier release stored apart as a whole."""
    data: Any = from_json(text)
    if not isinstance(data, dict):
        raise ValueError("a row is an object")
    row = cast("dict[str, Any]", data)
    apart = [part for part in ("o", "x") if part in row and stands_in(to_json(row[part]))]
    for part in apart:
        row[part] = {"code": "", "message": ""}
    return not apart, JournalRow.from_json(to_json(row))


def _answered(row: JournalRow) -> Any:
    """What a wait gave to the body; raises the error that it had instead."""
    match resolution_of(row.outcome):
        case Ok(value):
            output = outputs.parse(value) if row.kind == "await" else None
            return value if output is None else outputs.raise_for(row.name.partition(":")[2], output)
        case Err(code, message):
            raise WaitFailed(what=row.name, failure_code=code, failure_message=message)
        case TimedOut():
            raise WaitTimeout(what=row.name)
        case Cancelled():
            raise WaitCancelled(what=row.name)


def _came_of(row: JournalRow) -> tuple[Any, Mapping[str, Any] | None]:
    """Outcome and error of a row, as the body had them."""
    if row.status == "err":
        return None, cast("Mapping[str, Any]", row.outcome)
    try:
        if row.kind in WAITS:
            return _answered(row), None
        if row.kind == "after":
            return outputs.raise_for("", outputs.from_data(row.outcome)), None
    except WakelineError as error:
        return None, error.to_json()
    outcome = row.outcome
    if row.kind == CALL and isinstance(outcome, dict):
        called = cast("dict[str, Any]", outcome)
        # An attempt that emitted to triggers has its outcome beside the receipts; a pending call has none yet.
        outcome = called["outcome"] if TRIGGERS in called else None if PENDING in called else called
    return outcome, None
