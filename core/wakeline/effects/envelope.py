"""What identifies an effect: its envelope, the envelope's hash, its replay key, and where two envelopes differ.

Invariant: it is all a function of the process' own facts (name, arguments, repetition). No parent, worker, attempt or
time goes in: a re-run on any worker derives the same keys, and changed arguments are another key, never silently a hit.
"""

from __future__ import annotations

from typing import Any, cast

from wakeline.plain import canonical_text
from wakeline.values import canonical_json, content_hash, is_marked

SHOWN_PATHS = 8
"""How many places a mismatch names; it counts the rest."""
SHOWN_VALUE = 60
"""How many characters of a differing value are shown."""
_ABSENT: Any = object()


class Envelope:
    """One effect as a body asks for it: its kind, its name, and its arguments as JSON data.

    ``asks``: for a start of a tool, the replay key of what asked for it: a call, or a start by itself. It does not tell
    effects apart.
    """

    __slots__ = ("_canonical_args", "_digest", "_is_plain", "args", "asks", "kind", "name")

    def __init__(self, kind: str, name: str, args: Any = None, asks: str | None = None) -> None:
        self.kind, self.name, self.args, self.asks = kind, name, args, asks
        self._canonical_args: str | None = None
        self._is_plain = False
        self._digest: str | None = None

    def asked_by(self, asks: str) -> Envelope:
        """The same effect, with what asked for it."""
        return Envelope(self.kind, self.name, self.args, asks)

    @property
    def canonical_args(self) -> str:
        """The arguments as text. It is computed once, because the replay key and the journal row of one call both need
        it."""
        if self._canonical_args is None:
            text = canonical_text(self.args)
            self._is_plain = text is not None
            self._canonical_args = text or canonical_json(self.args, f"The arguments of {self.name}")
        return self._canonical_args

    @property
    def is_marked(self) -> bool:
        """Whether its arguments have sets. A release before this one recorded sets in the order of its process."""
        _ = self.canonical_args
        return not self._is_plain and is_marked(self.args)

    @property
    def digest(self) -> str:
        """The hash that tells calls of one name apart."""
        if self._digest is None:
            self._digest = content_hash(self.kind, self.name, self.canonical_args)[:32]
        return self._digest


def envelope_hash(envelope: Envelope) -> str:
    """Thirty-two hex digits of a hash over kind, name and canonical arguments."""
    return envelope.digest


def replay_key(name: str, args_hash: str, repetition: int) -> str:
    """The key of an effect in its journal: `<name>:<argument hash>:<repetition>`, which counts from 1."""
    return f"{name}:{args_hash[:16]}:{repetition}"


def diff_paths(old: Any, new: Any) -> tuple[list[str], int]:
    """The places where two argument values differ, as `args.a[2]`: the first eight, and how many there are.

    Lists are compared place by place, so a swap shows both places. Values that are canonically equal do not differ.
    """
    found = [path for path, _, _ in _differences(old, new, "args")]
    return found[:SHOWN_PATHS], len(found)


def differences(old: Any, new: Any) -> list[str]:
    """The first eight places in words, with what was recorded there and what is asked for now."""
    found = _differences(old, new, "args")[:SHOWN_PATHS]
    return [f"{path}: recorded {_value(before)}, asked for {_value(after)}" for path, before, after in found]


def _value(value: Any) -> str:
    text = "nothing" if value is _ABSENT else canonical_json(value)
    return text if len(text) <= SHOWN_VALUE else text[:SHOWN_VALUE] + "…"


def _differences(old: Any, new: Any, path: str) -> list[tuple[str, Any, Any]]:
    befores, afters = _members(old), _members(new)
    if befores is None or afters is None or isinstance(old, list) != isinstance(new, list):
        return [] if canonical_json(old) == canonical_json(new) else [(path, old, new)]
    found: list[tuple[str, Any, Any]] = []
    for step in {**befores, **afters}:
        before, after = befores.get(step, _ABSENT), afters.get(step, _ABSENT)
        found += (
            [(path + step, before, after)] if _ABSENT in (before, after) else _differences(before, after, path + step)
        )
    return found


def _members(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {f".{key}": members[key] for key in sorted(members)}
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return {f"[{index}]": item for index, item in enumerate(items)}
    return None
