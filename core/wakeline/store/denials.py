"""In words, what a server's ACL denied. For a script, servers word it in three ways, and only some name the command.

Invariant: a denial is never taken for a fault of a script.
"""

from __future__ import annotations

import re

from wakeline.store import scripts

_DENIED = re.compile(
    r"ACL failure in script|can't run this command|can't access at least one of the keys|No permissions to"
    r" access|NOPERM",
    re.IGNORECASE,
)
_NAMED = re.compile(r"permissions to run the '([^']+)' command")
_LINE = re.compile(r"@user_(script|function):(\d+)")
_CALLED = re.compile(r"\b(?:call|gather)\((?:\w+ and )?'([A-Z]+)'(?: or '([A-Z]+)')?")
_KEY = re.compile(r"access (?:a key|at least one of the keys|one of the keys)", re.IGNORECASE)


def denied(script: str, text: str) -> str | None:
    """Why a script did not run to its end, if an ACL is the reason: the command, or that it was a key. None for any
    other error."""
    if not _DENIED.search(text):
        return None
    command = _NAMED.search(text)
    name = command[1].upper() if command else _called(script, text)
    if _KEY.search(text):
        return (
            f"this user may not touch a key that script {script} works on{f' with {name}' if name else ''}; it needs"
            " all keys of the namespace and of RQ"
        )
    return f"this user may not run {name or 'a command'} in script {script}; docs/security.md names the least rights"


def _called(script: str, text: str) -> str | None:
    """The command in the line that the server names, because older servers name nothing else."""
    line = _LINE.search(text)
    if line is None or (line[1] == "script" and script not in scripts.names()):
        return None
    lines = (scripts.as_library().text if line[1] == "function" else scripts.load(script).text).splitlines()
    number = int(line[2]) - 1
    found = [name for pair in _CALLED.findall(lines[number]) for name in pair if name] if number < len(lines) else []
    return " or ".join(dict.fromkeys(found)) or None
