"""Ids and names: their grammars, how new ones are made, and the event types and replay keys built from them.

Invariant: names in Redis are data. Golden tests pin them, and their meaning never changes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NewType

from wakeline.clock import machine_ms
from wakeline.errors import InvalidId
from wakeline.shown import is_seen
from wakeline.values import framed

ProcessId = NewType("ProcessId", str)
SessionId = NewType("SessionId", str)
OwnerId = NewType("OwnerId", str)
Incarnation = NewType("Incarnation", str)

NAME_GRAMMAR = "[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}"
"""The grammar of names in code and on command lines: tools, engines, agents, frames."""
NAMESPACE_GRAMMAR = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
QUEUE_NAME_GRAMMAR = "[A-Za-z0-9][A-Za-z0-9_.-]{0,192}"
SIGNAL_GRAMMAR = "[A-Za-z0-9_-]{1,64}"
EVENT_TYPE_GRAMMAR = "[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}"
SYSTEM_PREFIX = "process:"
EPHEMERAL_AGENT = "process-env"
"""The agent name of the session under which a process without a session acts. No agent, send, wake or grant may use
it."""
LONGEST_ID = 200
"""The most bytes of UTF-8 of a process id or a session key that a user chooses."""
LONGEST_OWN_ID = LONGEST_ID + 24
"""The most bytes of an id that is made of such an id, for its retries."""
LONGEST_KEY = 1024

PROCESS_STARTED = "process.started"
PROCESS_WAITING = "process.waiting"
PROCESS_RESUMED = "process.resumed"
PROCESS_RECOVERED = "process.recovered"
PROCESS_ATTEMPT_FAILED = "process.attempt_failed"
PROCESS_MISFIT = "process.misfit"
PROCESS_CANCEL_REQUESTED = "process.cancel_requested"
PROCESS_EXTERNAL_REF_SET = "process.external_ref_set"
PROCESS_RETARGETED = "process.retargeted"
PROCESS_CONTINUED = "process.continued"
PROCESS_COMPLETED = "process.completed"
PROCESS_FAILED = "process.failed"
PROCESS_CANCELLED = "process.cancelled"
PROCESS_ABANDONED = "process.abandoned"
LOG = "log"
PROGRESS = "progress"
WAKE = "wake"
SIGNAL_PREFIX = "signal."

TERMINAL_TYPES = frozenset({PROCESS_COMPLETED, PROCESS_FAILED, PROCESS_CANCELLED, PROCESS_ABANDONED})
LIFECYCLE_TYPES = TERMINAL_TYPES | {
    PROCESS_STARTED,
    PROCESS_WAITING,
    PROCESS_RESUMED,
    PROCESS_RECOVERED,
    PROCESS_ATTEMPT_FAILED,
    PROCESS_MISFIT,
    PROCESS_CANCEL_REQUESTED,
    PROCESS_EXTERNAL_REF_SET,
    PROCESS_RETARGETED,
    PROCESS_CONTINUED,
}
PRODUCER_TYPES = frozenset({LOG, PROGRESS, WAKE})

# Digits sort before letters here, as bytes and as numbers, which plain base32 does not.
_SORTABLE = "0123456789abcdefghijklmnopqrstuv"
_FOLDED = bytes(ord(_SORTABLE[byte & 31]) for byte in range(256))


def _checked(kind: str, value: object, grammar: str) -> str:
    if not isinstance(value, str) or re.fullmatch(grammar, value) is None:
        raise InvalidId(kind=kind, value=value, grammar=grammar)
    return value


def _printable(kind: str, value: object, longest: int) -> str:
    """Any text that a terminal shows as it is. An id is its bytes, so two texts that only look alike are two ids."""
    if (
        not isinstance(value, str)
        or not value.strip()
        or len(value) > longest
        or not is_seen(value)
        or len(value.encode()) > longest
    ):
        raise InvalidId(kind=kind, value=value, grammar=f"1 to {longest} bytes of printable text, not all of it blank")
    return value


def check_process_id(value: str, system: bool = False) -> ProcessId:
    """The value as a process id: 1 to 200 bytes of printable text, not all of it blank.

    `InvalidId` if it is anything else, or begins `process:` without `system`.
    """
    checked = _printable("process id", value, LONGEST_OWN_ID if system else LONGEST_ID)
    if checked.startswith(SYSTEM_PREFIX) and not system:
        raise InvalidId(
            kind="process id",
            value=value,
            grammar=f"any other text: {SYSTEM_PREFIX!r} begins the ids that Wakeline makes",
        )
    return ProcessId(checked)


def called(value: str) -> ProcessId:
    """The id by which a caller names a process, which need not exist. Any text is accepted; a text that is no valid id
    finds no process. Raises `InvalidId` for a value that is no text."""
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidId(kind="process id", value=value, grammar="a text")
    # No encoding writes a lone surrogate, and no id has a NUL, so this id has no process.
    return ProcessId(value if _encodable(value) else "\0" + value.encode(errors="backslashreplace").decode())


def check_namespace(value: str) -> str:
    """The value as a namespace, else `InvalidId`."""
    return _checked("namespace", value, NAMESPACE_GRAMMAR)


def check_queue(value: str) -> str:
    """The value as a queue name (without its namespace), else `InvalidId`."""
    return _checked("queue name", value, NAMESPACE_GRAMMAR)


def check_queue_name(value: str) -> str:
    """The value as RQ's name of a queue, namespace included, else `InvalidId`."""
    return _checked("queue name", value, QUEUE_NAME_GRAMMAR)


def check_name(value: str, kind: str = "name") -> str:
    """The value as the name of a tool, engine or agent, else `InvalidId`."""
    return _checked(kind, value, NAME_GRAMMAR)


def check_agent(value: str) -> str:
    """The value as an agent's name, else `InvalidId`."""
    if value == EPHEMERAL_AGENT:
        raise InvalidId(
            kind="agent name", value=value, grammar="any other name: this one stands for processes without a session"
        )
    return check_name(value, "agent name")


def check_frame(value: str) -> str:
    """The value as the id of an agent frame, else `InvalidId`."""
    return _checked("agent frame", value, NAME_GRAMMAR)


def check_signal_name(value: str) -> str:
    """The value as a signal name, else `InvalidId`."""
    return _checked("signal name", value, SIGNAL_GRAMMAR)


def check_event_type(value: str) -> str:
    """The value as an event type, else `InvalidId`; the registration decides whether it may be declared."""
    return _checked("event type", value, EVENT_TYPE_GRAMMAR)


def check_source(value: str) -> str:
    """The value as the source of a trigger, such as ``github.push``, else `InvalidId`."""
    return _checked("trigger source", value, EVENT_TYPE_GRAMMAR)


def check_key(value: str, kind: str) -> str:
    """The value as a key that its sender chose (for a signal, an input, an event, an effect): any text that is not
    blank, else `InvalidId`."""
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_KEY or not _encodable(value):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidId(kind=kind, value=value, grammar=f"1 to {LONGEST_KEY} characters, not all of them blank")
    return value


def check_label(value: str, kind: str) -> str:
    """The value as a name that people read and that is no key (of an approval, a step, a change): any printable text,
    not all of it blank, else `InvalidId`."""
    return _printable(kind, value, LONGEST_KEY)


def check_replay_key(value: str) -> str:
    """The value as the replay key of an effect that its caller chose, else `InvalidId`. "@" begins the rows that
    Wakeline itself keeps in a journal."""
    if check_key(value, "replay key").startswith("@"):
        raise InvalidId(kind="replay key", value=value, grammar="a text that does not begin with '@'")
    return value


PART_OF_A_CALL = re.compile(r"(?P<call>.+)~(?:(?P<attempt>\d+)|\d+~backoff|completion|after|admit)", re.DOTALL)
"""Replay keys of what belongs to a call: its later attempts, its pauses, its hooks and its completion."""


def check_effect_key(value: str) -> str:
    """The value as the key of an effect of the caller's own, else `InvalidId`. It must not read like the key of a part
    of a call, which a call of that key would take for its own."""
    if PART_OF_A_CALL.fullmatch(check_replay_key(value)):
        raise InvalidId(
            kind="replay key", value=value, grammar="a text that does not end like a part of a call: '~2', '~after'"
        )
    return value


def _encodable(text: str) -> bool:
    # A lone surrogate is a str that no encoding can write.
    return not re.search("[\ud800-\udfff]", text)


def session_id(agent: str, key: str) -> SessionId:
    """The id of the session of an agent and a key: `<agent>/<key>`. A key may be any text that may be a process id."""
    return SessionId(f"{check_agent(agent)}/{_printable('session key', key, LONGEST_ID)}")


def split_session_id(value: str) -> tuple[str, str]:
    """Agent and key of a session id, else `InvalidId`."""
    agent, slash, key = value.partition("/") if isinstance(value, str) else ("", "", "")  # pyright: ignore[reportUnnecessaryIsInstance]
    if not slash:
        raise InvalidId(kind="session id", value=value, grammar="<agent>/<key>")
    # A process without a session acts as a session under its own id.
    return check_name(agent, "agent name"), _printable(
        "session key", key, LONGEST_OWN_ID if agent == EPHEMERAL_AGENT else LONGEST_ID
    )


def new_process_id(now_ms: int | None = None) -> ProcessId:
    """A new process id: `p_`, ten characters of time and ten random ones; later ids sort after earlier ones."""
    moment = machine_ms() if now_ms is None else now_ms
    return ProcessId("p_" + _stamp(moment) + _random(10))


@lru_cache(maxsize=16)
def _stamp(moment: int) -> str:
    return "".join(_SORTABLE[(moment >> shift) & 31] for shift in range(45, -1, -5))


def new_incarnation() -> Incarnation:
    """Eight random characters that keep two registrations of one id apart."""
    return Incarnation(_random(8))


def new_owner_id() -> OwnerId:
    """A new owner id: `o_` and sixteen random characters; never a host name, which may come back."""
    return OwnerId("o_" + _random(16))


def new_claim_id() -> str:
    """Ten random characters that keep two claims of one epoch apart."""
    return _random(10)


def _random(length: int) -> str:
    # 256 is a multiple of 32, so the low five bits of a random byte are a fair choice among 32.
    return os.urandom(length).translate(_FOLDED).decode()


def all_of(was: Sequence[str] | str, what: str) -> tuple[str, ...]:
    """Former names as they were given, one as a text or several; raises `InvalidId` for what is no text."""
    found = (was,) if isinstance(was, str) else tuple(was) if isinstance(was, Sequence) else (was,)  # pyright: ignore[reportUnnecessaryIsInstance]
    for one in found:
        if not isinstance(one, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidId(kind=f"former name of {what}", value=one, grammar="a text")
    return found


def former_names(
    name: str, was: Sequence[str] | str, what: str, *, check: Callable[[str], str] | None = None
) -> tuple[str, ...]:
    """The former names of something, oldest first. A single name may be given as a text. Raises `InvalidId` as
    `check_name` (or as ``check``), and for its own name.
    """
    found = tuple(check(one) if check else check_name(one, f"former name of {what}") for one in all_of(was, what))
    if name in found:
        raise InvalidId(kind=f"former name of {what}", value=name, grammar="another name than it has now")
    return found


def child_id(parent: str, incarnation: str, generation: int, replay_key: str) -> ProcessId:
    """The id of the child that a body starts at this point. A replay of the body derives the same id."""
    digest = hashlib.sha256(framed("wakeline.child:1", parent, incarnation, str(generation), replay_key)).digest()
    return ProcessId("c_" + base64.b32encode(digest).decode().lower()[:26])


def word(text: str) -> str:
    """The text as one word, for lists and hints whose parts stand between blanks. Its blanks, ``%`` and ``#`` become
    ``%xx``."""
    return text.replace("%", "%25").replace(" ", "%20").replace("#", "%23")


def unword(text: str) -> str:
    """The text that `word` made into this word."""
    return text.replace("%23", "#").replace("%20", " ").replace("%25", "%")


def doorbell_namespace(doorbell: str) -> str | None:
    """The namespace in a doorbell's id; None for an id of the release before, which has none."""
    found = re.fullmatch("wl-([A-Za-z0-9_]+)-[A-Za-z0-9_]+-[0-9]+", doorbell)
    return re.sub("_([0-9a-f]{2})", lambda byte: chr(int(byte[1], 16)), found[1]) if found else None


def signal_event_type(name: str) -> str:
    """The event type of a signal."""
    return SIGNAL_PREFIX + check_signal_name(name)


def signal_replay_key(process_id: str, name: str, signal_id: str) -> str:
    """The replay key of a signal; `signal_id` is the sender's idempotency key, not blank."""
    return f"process:{process_id}:signal.{check_signal_name(name)}:{check_key(signal_id, 'signal id')}"


def terminal_replay_key(process_id: str, event_type: str) -> str:
    """The replay key of a terminal event. Each type has one, so that a repeated end is recognised."""
    return f"process:{process_id}:terminal:{event_type}"
