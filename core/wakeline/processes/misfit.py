"""Why the code of a release cannot go on with a process. The process keeps it while it is queued and waits for code
that fits.

Invariant: what is stored decides, so a misfit ends nothing by itself. The first run that gets further removes it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal, cast

from wakeline.errors import InvalidPayload
from wakeline.values import from_json, to_json

MisfitKind = Literal["missing", "mismatch", "unreadable", "bug", "crash"]
LONGEST_WHAT = 1_000
PATIENCE_MS = 86_400_000
"""How long, by default, a process waits for better code, if the code there fails at it, cannot read it, or ends its
worker. In ms."""
FIRST_DELAY_MS, LAST_DELAY_MS = 1_000, 60_000
_REMEDY = {
    "missing": "Deploy a release that has it, or give the worker what it lacks.",
    "mismatch": (
        "Roll back, or deploy code that does what is recorded: put the new path behind ctx.patched(), use was= for a "
        "renamed thing, or declare a version beside."
    ),
    "unreadable": (
        "Roll back, or deploy code that can read it (a default for a new argument, the wider type, a version beside)."
    ),
    "bug": "Roll back, or deploy a fix.",
    "crash": (
        "Deploy a fix. Roll back only while nothing new is recorded under this release. The log of the worker says"
        " how it died."
    ),
}
_ACTED = (
    " Something new was recorded under this release: a rollback fits only if the release before asks for that, too."
)


@dataclass(frozen=True, slots=True)
class Misfit:
    """Which code could not go on with a process, since when (ms), and after how many looks (of each release that is
    there).

    ``what`` says what differs. ``release`` is the release of the code, None if it has no name. ``kind`` is one of:

    - 'missing': the worker has no code or no backend for it, or cannot start child processes
    - 'mismatch': the code asks for other effects than the recorded ones
    - 'unreadable': the code does not take stored arguments, results or signals
    - 'bug': the body raised an error of a kind that deploys bring
    - 'crash': its worker died (scripts write this kind)
    """

    kind: MisfitKind
    what: str
    release: str | None
    since_ms: int
    looks: int = 1
    acted: bool = False
    """Whether something new was recorded under the release of this code. If so, the release before may have a mismatch
    now."""
    got_here: str | None = None
    """The release under which the process got this far; None if it is the same one, has no name, or is not known."""

    @property
    def what_differs(self) -> str:
        """A sentence that says why the code cannot go on, with the release that it is of and the one before."""
        code = f"release {self.release}" if self.release else "the code here"
        match self.kind:
            case "missing":
                says = f"{code} does not have what it needs"
            case "mismatch":
                recorded = f"release {self.got_here} recorded" if self.got_here else "what is recorded"
                says = f"{code} does something else than {recorded}"
            case "unreadable":
                says = f"{code} cannot take what {f'release {self.got_here} stored' if self.got_here else 'is stored'}"
            case "bug":
                says = f"{code} fails where {f'release {self.got_here}' if self.got_here else 'another one'} went on"
            case "crash":
                says = f"its worker died while {code} ran it"
        return f"{says}: {self.what.rstrip('.')}."

    @property
    def remedy(self) -> str:
        """What to do about it, in sentences."""
        remedy = _REMEDY[self.kind]
        return remedy.replace("Roll back, or deploy", "Deploy") + _ACTED if self.acted else remedy

    @property
    def message(self) -> str:
        """Why the code cannot go on, and what to do."""
        return f"{self.what_differs} {self.remedy}"

    @property
    def delay_ms(self) -> int:
        """How long the process waits before the next look, in ms. After a crash the script decides."""
        return int(min(FIRST_DELAY_MS * 2 ** min(self.looks - 1, 10), LAST_DELAY_MS))

    def after(self, before: Misfit | None, *, in_a_round: bool) -> Misfit:
        """This misfit as the successor of another one. If both are of one kind, it began with the other.
        ``in_a_round``: it does not count as a further look, because each release that is there has one."""
        if before is None or before.kind == "crash":
            return self
        since = before.since_ms if before.kind == self.kind else self.since_ms
        return replace(self, since_ms=since, looks=before.looks if in_a_round else before.looks + 1)

    def to_json(self) -> str:
        """Compact JSON."""
        return to_json(asdict(self))

    @classmethod
    def from_json(cls, text: str | None) -> Misfit | None:
        """The misfit of a stored text; None if there is none. It never raises, and leaves out what a later release
        added."""
        if text is None:
            return None
        try:
            data = from_json(text)
        except InvalidPayload:
            data = None
        match data:
            case {
                "kind": str(kind),
                "what": str(what),
                "release": str() | None as release,
                "since_ms": int(since_ms),
                "looks": int(looks),
            } if kind in _REMEDY:
                more = cast("dict[str, object]", data)
                got_here = more.get("got_here")
                return cls(
                    cast("MisfitKind", kind),
                    what,
                    release,
                    since_ms,
                    looks,
                    more.get("acted") is True,
                    got_here if isinstance(got_here, str) else None,
                )
            case _:
                return cls("missing", "a later release said why, in a form that this release does not know", None, 0)
