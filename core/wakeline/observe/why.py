"""Why a process, or a schedule, is as it is: what it waits for, since when, until when, and what to type.

Invariant: pure; the words stand here and in `wakeline.observe.reasons`, and every face shows them as they are. It fits
a screen: of many waits the first are named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wakeline.observe.findings.finding import Finding
from wakeline.observe.processes import ProcessView, Status
from wakeline.observe.runs import lease_said, place_said
from wakeline.observe.triggers import ScheduleView
from wakeline.observe.view import View
from wakeline.observe.waits import WaitView
from wakeline.processes.lifecycle import TERMINAL
from wakeline.processes.outputs import AbandonedOutput, CancelledOutput, Failure
from wakeline.sessions.addresses import argument
from wakeline.shown import moment
from wakeline.triggers.schedule import NO_ZONE, knows_zone
from wakeline.values import age
from wakeline.waits.kinds import WaitKind

NAMED = 4
"""How many waits are named; the others are counted."""
LATE_MS = 5_000
"""From when on what is due and has not come is late, in ms."""
INDENT = "  "


@dataclass(frozen=True, slots=True)
class WhyView(View):
    """Why a process or a schedule is as it is."""

    subject: str
    """Its id, or the name of the schedule."""
    status: str
    """The status of the process, or ``schedule``."""
    says: str
    """The answer in a sentence."""
    facts: tuple[str, ...]
    """What else is known of it."""
    to_do: tuple[str, ...]
    """What to type or to do; empty if there is nothing to do."""
    of_child: WhyView | None = None
    """The same of the child that it waits for."""

    @property
    def text(self) -> str:
        """All of it as lines for people."""
        return "\n".join(self._lines())

    def more_than(self, said: str) -> Iterator[str]:
        """The lines that a reader of ``said`` does not know yet: for one who asked about something that depends on
        this."""
        for line in (*(one for one in self.facts if not one.startswith("queue ")), *(f"→ {one}" for one in self.to_do)):
            if line.removeprefix("→ ") not in said:
                yield INDENT + line

    def _lines(self) -> Iterator[str]:
        yield f"{self.subject}: {self.says}"
        for line in (*self.facts, *(f"→ {one}" for one in self.to_do)):
            yield INDENT + line
        if self.of_child is not None:
            for line in self.of_child._lines():
                yield INDENT + line


def why_process(view: ProcessView, of_child: WhyView | None = None, hindrance: Finding | None = None) -> WhyView:
    """Why a process is as it is. ``of_child``: of a child that it waits for; ``hindrance``: what keeps the whole
    namespace from going on."""
    says, facts, to_do = _said_of(view)
    more = [*facts, *_setbacks(view)]
    if hindrance is not None:
        more.insert(0, hindrance.what)
        to_do.insert(0, hindrance.to_do or "")
    if view.cancel_requested and view.status not in TERMINAL:
        more.append("it was asked to end")
    if view.deadline_ms is not None and view.status not in TERMINAL:
        more.append(f"its deadline is {_until(view.deadline_ms, view.seen_ms)}")
    return WhyView(view.id, view.status, says, tuple(more), tuple(to_do), of_child)


def awaited_child(view: ProcessView) -> str | None:
    """The first child for whose end a process waits; None if it waits for no child."""
    if view.status != "waiting":
        return None
    named = next((wait.name for wait in view.waits if wait.kind == WaitKind.CHILD and wait.name), None)
    if named is None and any(wait.kind == WaitKind.CHILDREN for wait in view.waits):
        named = next((child.id for child in view.children if child.status not in (None, *TERMINAL)), None)
    return named


def _said_of(view: ProcessView) -> tuple[str, list[str], list[str]]:
    since = age(view.seen_ms - view.updated_ms)
    match view.status:
        case "queued":
            return _queued(view, since)
        case "running":
            facts = [f"worker {run.worker}, {lease_said(run, view.seen_ms)}" for run in view.runs]
            return f"runs since {since}, by worker {view.owner}", [f"attempt {view.attempt}", *facts], []
        case "waiting":
            return _waiting(view, since)
        case _:
            return _ended(view, since)


def _queued(view: ProcessView, since: str) -> tuple[str, list[str], list[str]]:
    reason = view.because
    if reason is None:
        return f"queued since {since}: it waits for a worker with room", [f"queue {view.queue}"], []
    facts = [f"queue {view.queue}", *(place_said(run, view.seen_ms) for run in view.runs)]
    if view.places_taken > len(view.runs) > 0:
        facts.append(f"and {view.places_taken - len(view.runs)} more have places")
    if reason.code in ("held", "rated"):
        facts.append("`wakeline queues` shows how many run under it")
    return f"queued since {since}: it waits for {reason.what}", facts, [reason.to_do] if reason.to_do else []


def _waiting(view: ProcessView, since: str) -> tuple[str, list[str], list[str]]:
    waits = view.waits[:NAMED]
    if not waits:
        return f"waits since {since}, and for nothing: the next tick puts it right", [], ["`wakeline doctor`"]
    facts = [_wait(wait, view.seen_ms, named=view.waits_count > 1) for wait in waits]
    if view.waits_count > len(waits):
        facts.append(f"and {view.waits_count - len(waits)} more; `wakeline show {argument(view.id)}` shows them")
    late = [wait for wait in view.waits if wait.due_ms is not None and view.seen_ms - wait.due_ms > LATE_MS]
    to_do = ["no process ticks: start `wakeline worker` or `wakeline clock`"] if late else []
    for wait in waits:
        way = _way(wait, view.id)
        if way is not None and way not in to_do:
            to_do.append(way)
    return f"waits since {since} for {_called(waits[0])}{_more(view.waits_count)}", facts, to_do


def _more(waits: int) -> str:
    return "" if waits < 2 else f" and {waits - 1} more"


def _called(wait: WaitView) -> str:
    """A wait in words."""
    match wait.kind:
        case WaitKind.SIGNAL:
            return f"the signal {wait.name!r}"
        case WaitKind.TIMER:
            return "its time"
        case WaitKind.CHILD:
            return f"the end of {wait.name}"
        case WaitKind.CHILDREN:
            return "the ends of its children"
        case WaitKind.APPROVAL:
            return f"an answer to the approval {wait.name!r}"
        case WaitKind.COMPLETION:
            return f"the result of {wait.name}, which said that it comes later"
        case WaitKind.ANSWER:
            return f"the answer of the session {wait.name}"
        case _:
            return f"{wait.kind} {wait.name or ''}".rstrip()


def _wait(wait: WaitView, now_ms: int, *, named: bool) -> str:
    """Since when it waits for this, and until when; ``named``: there are others, so it says for what."""
    parts = [_called(wait)] if named else []
    if wait.since_ms is not None:
        parts.append(f"asked {age(now_ms - wait.since_ms)} ago")
    if wait.due_ms is None:
        parts.append("no timeout")
    else:
        parts.append(("due " if wait.kind == WaitKind.TIMER else "gives up ") + _until(wait.due_ms, now_ms))
    return ", ".join(parts)


def _way(wait: WaitView, process_id: str) -> str | None:
    """Who can give what is waited for, and by which command."""
    match wait.kind:
        case WaitKind.SIGNAL:
            return f"`wakeline signal {argument(process_id)} {argument(wait.name or '')} JSON` sends it"
        case WaitKind.APPROVAL:
            return "`wakeline approvals` shows its id, and `wakeline answer ID JSON` answers it"
        case WaitKind.COMPLETION:
            return "`wakeline resolve TOKEN JSON` gives it, by the token that the tool was given"
        case WaitKind.CHILDREN:
            return f"`wakeline ps --parent {argument(process_id)} --status live` lists them"
        case WaitKind.ANSWER:
            return f"`wakeline why {argument(wait.name or '')}` says what the session does"
        case _:
            return None


def _ended(view: ProcessView, since: str) -> tuple[str, list[str], list[str]]:
    """How it ended, and what runs it again."""
    again, facts = [f"`wakeline retry {argument(view.id)}` runs it again"], list[str]()
    match view.outcome:
        case Failure(code=code, message=message):
            first = message.partition("\n")[0]
            if view.failed_effect is not None:
                facts.append(f"in {view.failed_effect.kind} {view.failed_effect.name}")
            facts += [line.strip() for line in (view.trace or "").splitlines() if line.startswith("  File ")][-1:]
            if view.trace:
                again.insert(0, f"`wakeline show {argument(view.id)}` shows where")
            return f"failed {since} ago: {code}: {first}", facts, again
        case CancelledOutput(message=message):
            return f"was cancelled {since} ago: {message}", facts, again
        case AbandonedOutput(evidence=evidence):
            return f"was abandoned {since} ago: {evidence}", facts, again
        case _:
            return f"{view.status} {since} ago", facts, []


def _setbacks(view: ProcessView) -> Iterator[str]:
    """The latest that went wrong and did not end it."""
    if not view.setbacks or view.status == "completed":
        return
    last = view.setbacks[-1]
    if isinstance(view.outcome, Failure) and last.code == view.outcome.code:
        return  # it is what ended it
    what = {"attempt": f"attempt {last.number} failed", "loss": "it was lost with its worker"}.get(
        last.kind, "the code did not fit"
    )
    again = (
        ""
        if last.next_ms is None or view.status not in ("queued", "waiting")
        else f"; again {_until(last.next_ms, view.seen_ms)}"
    )
    said = f": {last.code}: {last.message.partition(chr(10))[0]}" if last.kind != "loss" else f": {last.message}"
    yield f"{age(view.seen_ms - last.at_ms)} ago {what}{said}{again}"


def why_schedule(schedule: ScheduleView, last: Status | None, now_ms: int) -> WhyView:
    """When a schedule starts something next, and what became of its latest moment. ``last``: the process that this
    started; None if there is none, or it is no longer retained."""
    of, facts, to_do = schedule.schedule, list[str](), list[str]()
    if not knows_zone(of.timezone):
        facts.append(f"this machine does not know its time zone {of.timezone!r}")
        to_do.append(NO_ZONE)
    due = "its next moment is not set yet" if schedule.due_ms is None else f"is due {_until(schedule.due_ms, now_ms)}"
    if schedule.due_ms is not None and now_ms - schedule.due_ms > LATE_MS:
        to_do.append("no process ticks: start `wakeline worker` or `wakeline clock`")
    facts.append(f"{of.expression} in {of.timezone}, starts {of.subscription.target.name}")
    facts += _last_moment(schedule, last, now_ms)
    return WhyView(schedule.name, "schedule", due, tuple(facts), tuple(to_do))


def _last_moment(schedule: ScheduleView, last: Status | None, now_ms: int) -> Iterator[str]:
    if schedule.last is None:
        yield "it has started nothing yet"
    elif last is None:
        yield f"its latest moment started {schedule.last}, which is no longer retained"
    else:
        since = age(now_ms - last.updated_ms)
        yield f"its latest moment started {last.id}, which is {last.status} since {since}"
        if last.status not in TERMINAL and schedule.schedule.overlap == "skip":
            yield "moments are left out until it has ended (overlap=skip)"


def _until(at_ms: int, now_ms: int) -> str:
    """A moment in words: ``in 5m (2026-11-30 11:46:01 UTC)``."""
    if at_ms >= now_ms:
        return f"in {age(at_ms - now_ms)} ({moment(at_ms)})"
    return f"since {age(now_ms - at_ms)} ({moment(at_ms)})"
