"""Why a queued process does not run.

Invariant: it is pure. A reason says what the process waits for, and what to do if something has to be done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wakeline.names import unword
from wakeline.observe.view import View
from wakeline.processes.limits import limited
from wakeline.shown import moment
from wakeline.store.fields import ProcessFields
from wakeline.store.keys import split_queue
from wakeline.store.queues import QueueState

CODES = {"e": "engine", "t": "tool", "a": "agent"}
"""The kind of body whose code a process waits for, by the store's letter."""
SAYS_HOW = "the log of the worker says how it died"


@dataclass(frozen=True, slots=True)
class Reason(View):
    """Why a queued process does not run: what it waits for, and what to do (None if there is nothing to do).

    ``code`` says for what it waits. It is one of:

    - 'unread': a release that can read what is stored of it
    - 'misfit': code that fits
    - 'lost': its next run, because it was lost with its workers
    - 'apart': a worker without other work, because it was lost with its workers
    - 'later': its time
    - 'held', 'rated': a place under a limit, a cell of a rate
    - 'code': a worker that has its code
    - 'suspended', 'paused': RQ to be resumed, its queue to be resumed
    - 'no_worker': a worker that lives
    - 'unserved': a worker that takes from its queue
    """

    code: str
    what: str
    to_do: str | None = None

    @property
    def message(self) -> str:
        """What it waits for and what to do, for people."""
        return self.what if self.to_do is None else f"{self.what}; {self.to_do}"

    def to_data(self) -> dict[str, Any]:
        """As JSON data."""
        return {"code": self.code, "what": self.what, "to_do": self.to_do, "message": self.message}


def reason_of(record: ProcessFields, *, offered_ms: int | None, unread: str | None, now_ms: int) -> Reason | None:
    """The reason in the record itself; None for a process that is not queued, or that waits for a worker."""
    if record.status != "queued":
        return None
    if unread is not None:
        what = f"a release that can read what is stored of it: {unread}"
        return Reason("unread", what, "deploy the release that wrote it, or a later one")
    if (misfit := record.misfit) is not None:
        apart = f"; it runs {_apart(record.runs_beside)}" if record.runs_beside is not None else ""
        return Reason("misfit", f"code that fits ({misfit.kind}): {misfit.what}{apart}", misfit.remedy)
    if record.runs_again_ms is not None:
        again = f"its next run, {_apart(record.runs_beside or 0)} {_seconds(record.runs_again_ms, now_ms)}"
        return Reason("lost", f"{again}: it was lost with its worker {record.losses} times in a row", SAYS_HOW)
    if record.held_at is not None:
        return Reason("held", f"a place under the limit of {_limit(record.held_at)}")
    if record.rated_at is not None:
        return Reason("rated", f"its turn under the rate of {_limit(record.rated_at)}")
    if offered_ms is not None and offered_ms > now_ms:
        return Reason("later", f"its time, {moment(offered_ms)}")
    if record.aside is not None:
        what = f"a worker that has its code ({_code(record.aside)})"
        return Reason("code", what, "start a worker whose app has it")
    if record.runs_beside is not None:
        lost = f"it was lost with its worker {record.losses} times in a row, and may be why"
        what = f"a worker without other work: {lost}, so it runs {_apart(record.runs_beside)}"
        return Reason("apart", what, SAYS_HOW)
    return None


def leaves_room(reason: Reason | None) -> bool:
    """Whether the queue of the process may say more: there is no reason, or only one that says beside what it runs."""
    return reason is None or reason.code == "apart"


def reason_of_queue(queue: QueueState) -> Reason | None:
    """Why no worker takes from a queue; None if one does."""
    namespace, own = split_queue(queue.name)
    if queue.suspended:
        return Reason("suspended", "RQ, which is suspended", "`rq resume` lets workers take again")
    if queue.paused:
        way = f"`wakeline queues resume {own or namespace}` lets workers take again"
        return Reason("paused", f"queue {queue.name}, which is paused", way)
    if queue.workers:
        return None
    if not queue.alive:
        return Reason("no_worker", "a worker: none is alive", "start `wakeline worker`")
    way = f"start `wakeline worker -Q {own or namespace}`"
    return Reason("unserved", f"a worker: none takes from queue {queue.name}", way)


def _apart(beside: int) -> str:
    return f"with at most {beside} others like it" if beside else "alone"


def _seconds(at_ms: int, now_ms: int) -> str:
    seconds = max(0, at_ms - now_ms + 999) // 1000
    return f"in {seconds} s" if seconds else "now"


def _limit(stored: str) -> str:
    kind, _, name = stored.partition(":")
    return f"queue {name}" if kind == "q" else limited(name)


def _code(stored: str) -> str:
    letter, _, name = stored.partition(":")
    body, at, version = name.partition("@")
    return f"{CODES.get(letter, letter)} {unword(body)!r}" + (f" version {unword(version)!r}" if at else "")
