"""Every shape in which something is stored as text: its number, where it lies, and what a reader does with one that it
does not know.

``python -m wakeline.store formats > docs/formats.md`` writes the table down.

Invariant: a shape whose fields change gets the next number; what is written without one has number 1. tests/compat
keeps what each number looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wakeline.effects.journal import JournalRow
from wakeline.environments.spec import EnvironmentSpec
from wakeline.processes.events import Materialised, Terminal, WakeInput
from wakeline.processes.grants import HandleDescriptor
from wakeline.processes.limits import Limit
from wakeline.processes.outputs import AbandonedOutput, CancelledOutput, Failure, Success, to_data
from wakeline.processes.registration import SHAPE, Registration
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.triggers.schedule import Schedule
from wakeline.triggers.subscription import Subscription
from wakeline.values import Stored, from_json
from wakeline.waits.resolutions import Cancelled, Err, Ok, TimedOut
from wakeline.waits.resolutions import to_json as resolution_json

LEFT_ALONE = "left to a release that can read it, and said in the log"
SHOWN = "what is known of it is shown"


@dataclass(frozen=True, slots=True)
class Shape:
    """One row of the table. ``says``: where the number stands; ``unknown``: what a reader does with fields, words or a
    number that it does not know."""

    name: str
    number: int
    where: str
    says: str
    unknown: str
    fields: tuple[str, ...]


def _of(model: type[Stored]) -> tuple[str, ...]:
    """The fields of a model and of all that it holds, by the name of what holds them."""
    schema: dict[str, Any] = model.model_json_schema()
    holders = {model.__name__: schema, **schema.get("$defs", {})}
    return tuple(sorted(f"{holder}.{field}" for holder, one in holders.items() for field in one.get("properties", ())))


def _in(*samples: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of some objects, which have all that there can be."""
    return tuple(sorted({field for one in samples for field in one}))


_ROW = JournalRow(1, "call", "call:a", "h", "ok", 1, 1, {"a": 1}, True, "key", 1, 0, 1)
_FAILED = Failure("execution", "a", "b", raw={})
_OUTPUTS = [to_data(one) for one in (Success(1), _FAILED, CancelledOutput("a"), AbandonedOutput({}))]
_RESOLUTIONS = [from_json(resolution_json(one)) for one in (Ok(1), Err("a", "b", 1), TimedOut(), Cancelled())]
_MEANS = Materialised(Terminal("failed", _FAILED), WakeInput("a", "b"))
_POLICY = AdmissionPolicy(
    kinds=frozenset({"wake"}),
    on_arrival="early",
    debounce_ms=1,
    debounce_max_ms=2,
    linger_ms=1,
    max_entries=2,
    on_failure="block",
    max_attempts=3,
)

OTHERS = "other fields are ignored"
UNTIL = "until a worker writes it again"

SHAPES: tuple[Shape, ...] = (
    Shape(
        "registration",
        SHAPE,
        "`spec:<pid>`",
        "`schema_version`",
        f"{SHOWN}; the process is handed back as it is, and not retried",
        _of(Registration),
    ),
    Shape(
        "journal row",
        2,
        "`journal:<pid>`",
        "`v`",
        f"{OTHERS}; if a row says another number than 1, or cannot be read, its process is handed back; number 2 has"
        " `d`, how long the effect took, which a reader of 1 ignores, so its rows say no number",
        (*_in(from_json(_ROW.to_json())), "x"),
    ),
    Shape(
        "recorded error",
        1,
        "`x` of a journal row, `wakes:<sid>`",
        "the code",
        f"{OTHERS}; an error whose code is not known is an `UnknownError` with that code and message",
        ("code", "fields", "message", "retryable"),
    ),
    Shape(
        "await output",
        1,
        "events that end, resolutions",
        "`type`",
        f"{OTHERS}; a caller that asks for one of another type gets `InvalidPayload`",
        _in(*_OUTPUTS),
    ),
    Shape(
        "resolution",
        1,
        "`slot:<key id>`, journal rows of waits",
        "`status`",
        f"{OTHERS}; a process whose resolution has another status is handed back",
        _in(*_RESOLUTIONS),
    ),
    Shape("meaning of an event", 1, "`events:<pid>` s", "nothing", OTHERS, _in(from_json(_MEANS.to_json() or "{}"))),
    Shape(
        "event",
        2,
        "`events:<pid>`",
        "the type",
        "an event of any type is listed; one without a payload has null; number 2 has `r`, the run of which it tells",
        ("at", "k", "p", "r", "s", "t"),
    ),
    Shape("handle descriptor", 1, "`grants:<scope>`", "nothing", SHOWN, _of(HandleDescriptor)),
    Shape(
        "execution environment",
        1,
        "`env:<hash>`",
        "its name, `process-env:sha256:`",
        "the process is handed back, like one whose code is missing",
        _of(EnvironmentSpec),
    ),
    Shape("subscription", 1, "`subs:<source>`", "nothing", LEFT_ALONE, _of(Subscription)),
    Shape("schedule", 1, "`schedule:<name>` s", "nothing", LEFT_ALONE, _of(Schedule)),
    Shape(
        "limit",
        1,
        "`limits`",
        "nothing",
        f"{OTHERS}; a text that is no object limits nothing, {UNTIL}",
        _in(from_json(Limit(concurrency=1, rate="1/1s", burst=2).wire())),
    ),
    Shape(
        "what turns take",
        1,
        "`agents`",
        "nothing",
        f"{OTHERS}; a text that is no object counts as the default, {UNTIL}",
        _in(from_json(_POLICY.wire())),
    ),
    Shape(
        "inbox entry",
        1,
        "`wakes:<sid>`",
        "`kind`",
        SHOWN,
        ("at_ms", "by", "event_type", "incarnation", "input", "kind", "name", "process_id", "sequence"),
    ),
    Shape("message", 1, "`hist:<sid>`", "`role`", SHOWN, ("content", "id", "n", "role", "transient")),
    Shape(
        "item of a feed",
        1,
        "`feed:<sid>`",
        "`w`",
        "a follower gets a gap in its place",
        ("at", "by", "c", "e", "id", "l", "n", "rev", "s", "w"),
    ),
    Shape(
        "doorbell id",
        2,
        "RQ's lists and jobs",
        "how many parts it has",
        "it goes back to its list, for a worker of the release that rang it; workers say what they know (`knows`)",
        (),
    ),
    Shape("token", 2, "nowhere: people hold it", "`wt1`, `wt2`", "the token counts as unknown or revoked", ()),
    Shape(
        "keys",
        1,
        "`meta` format",
        "`format`",
        "a client of an earlier release is refused when it connects (`key_format_too_new`)",
        (),
    ),
)


def markdown() -> str:
    """The table as a document."""
    lines = [
        "# Stored shapes",
        "",
        "Written by `python -m wakeline.store formats > docs/formats.md`. Tests compare it with the table of the code,",
        "and the table with what is written.",
        "",
        "During a deploy, releases run side by side. After a rollback, an earlier release reads what a later one",
        "wrote. So a reader may find fields, words or numbers that it does not know. It ignores them where that is",
        "safe. It leaves alone what it would have to guess: the process is handed back as it is, and goes on under a",
        "release that can read it. Meanwhile the log has one line about it, `wakeline show` and `ps --json` show it as",
        "`unread`, and `wakeline doctor` has a finding. No stored text ends a worker or a list.",
        "",
        "If the fields of a shape change, the shape gets the next number. What is written without a number has number",
        "1. A field that is added to an error has a default. `tests/compat/stores` keeps a store of every release.",
        "Later code lists each of these stores, finishes what is in it, and leaves alone what has an unknown field.",
        "",
        "| shape | number | where it lies | where its number stands | what a reader does with what it does not know |",
        "|---|---|---|---|---|",
        *(f"| {one.name} | {one.number} | {one.where} | {one.says} | {one.unknown} |" for one in SHAPES),
        "",
        "## Fields",
        "",
        "| shape | fields |",
        "|---|---|",
        *(f"| {one.name} | {', '.join(f'`{field}`' for field in one.fields)} |" for one in SHAPES if one.fields),
    ]
    return "\n".join(lines) + "\n"
