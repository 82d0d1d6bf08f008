"""Addresses of sessions, entries and events, as people type them and as messages suggest them.

Invariant: an address in a message can be pasted into a shell, and means what the message is about.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from wakeline.errors import InvalidId, WakelineError
from wakeline.names import check_process_id, split_session_id

_NUMBERED = re.compile("(.*)#([1-9][0-9]{0,14})", re.DOTALL)
_BARE = re.compile("[A-Za-z0-9_@%+=:,./][A-Za-z0-9_@%+=:,./~#-]*")


@dataclass(frozen=True, slots=True)
class Reading:
    """One meaning of an address: a session or one entry of it, or the event of a process."""

    session: str | None
    process: str | None
    n: int | None


def readings(address: str) -> list[Reading]:
    """What ``<agent>/<key>``, ``<agent>/<key>#<entry>`` or ``<process id>#<sequence>`` may mean, likeliest first;
    raises `InvalidId` if the text is no address.

    Ids and keys may hold slashes, and numbers behind a ``#``. The first reading that exists in the store is meant.
    """
    if not isinstance(address, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise no_address(address)
    found: list[Reading] = []
    numbered = _NUMBERED.fullmatch(address)
    if numbered:
        subject, n = numbered[1], int(numbered[2])
        found += [Reading(subject, None, n)] if _is_session(subject) else []
        found += [Reading(None, subject, n)] if _is_process(subject) else []
    if not address.endswith("#") and _is_session(address):
        found.append(Reading(address, None, None))
    if not found:
        raise no_address(address)
    return found


def no_address(address: str) -> InvalidId:
    """The error about a text that is no address and no id of anything in the store."""
    return InvalidId(
        kind="address", value=address, grammar="<agent>/<key>, <agent>/<key>#<entry> or <process id>#<sequence>"
    )


def missing(address: str, error: WakelineError) -> WakelineError:
    """The error about an address without an existing reading. It takes what stands behind a ``#`` for a number, which
    is more likely than a key with a ``#``."""
    return no_address(address) if "#" in address and not _NUMBERED.fullmatch(address) else error


def argument(text: str) -> str:
    """An id or an address as a word of a shell: in quotes if it would be several words, or mean something else."""
    return text if _BARE.fullmatch(text) else shlex.quote(text)


def _is_session(text: str) -> bool:
    try:
        split_session_id(text)
    except InvalidId:
        return False
    return True


def _is_process(text: str) -> bool:
    try:
        check_process_id(text, system=True)
    except InvalidId:
        return False
    return True
