"""Sentry: one event for each process that failed, and a transaction for each run (extra ``sentry``).

Invariant: what another run goes on with is no event: a park, a hand-back, and a failed attempt unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

try:
    import sentry_sdk
except ModuleNotFoundError as missing:
    raise ImportError('errors in Sentry need an extra: pip install "wakeline[sentry]"') from missing

from wakeline.telemetry.conventions import DESTINATION, SPANNED, TARGET
from wakeline.telemetry.headers import Headers
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.seen import EndedSeen, RunSeen, SendingSeen

LATENCY, RETRIES = "messaging.message.receive.latency", "messaging.message.retry.count"
"""With the two above them, what Sentry's view of queues is made of."""
MISMATCH = "replay_mismatch"
FLUSH_S = 2.0
HOUR_MS = 3_600_000
OURS = ("wakeline", "wakeline_workers")


class Sentry(Instrument):
    """Tells Sentry, as `sentry_sdk.init` set it up in this OS process, of failures and runs.

    ``attempts``: of failed attempts that are tried again, too. An error with the attribute ``expected = True`` is told
    in no case.
    """

    def __init__(self, *, attempts: bool = False) -> None:
        self._attempts = attempts

    def sending(self, sending: SendingSeen, /) -> AbstractContextManager[Headers | None]:
        return _sent(sending) if sending.verb in SPANNED else nullcontext(_carried())

    @contextmanager
    def run(self, run: RunSeen, /) -> Generator[None]:
        with sentry_sdk.isolation_scope() as scope:
            _describe(scope, run)
            within = run.resumed_by == "start" and run.claimed_ms - run.created_ms < HOUR_MS
            headers = dict(run.headers) if within and run.headers else {}
            name = f"{run.kind}/{run.name}"
            transaction = sentry_sdk.continue_trace(headers, op="queue.process", name=name, source="task")
            with sentry_sdk.start_transaction(transaction):
                transaction.set_data(TARGET, run.process_id)
                transaction.set_data(DESTINATION, run.queue)
                transaction.set_data(RETRIES, run.attempt - 1)
                if run.became_runnable_ms is not None:
                    transaction.set_data(LATENCY, max(0, run.claimed_ms - run.became_runnable_ms))
                yield
                is_bad = run.outcome in ("failed", "lost", "retried", None)
                transaction.set_status("internal_error" if is_bad else "ok")
                if run.code == MISMATCH or (self._attempts and run.outcome == "retried"):
                    _capture(run)

    def ended(self, ended: EndedSeen, /) -> None:
        if ended.status in ("failed", "abandoned") and ended.code != MISMATCH:
            _capture(ended.run)

    def leaving(self) -> None:
        sentry_sdk.flush(timeout=FLUSH_S)


@contextmanager
def _sent(sending: SendingSeen) -> Generator[Headers | None]:
    with sentry_sdk.start_span(op="queue.publish", name=sending.name) as span:
        span.set_data(TARGET, sending.target)
        if sending.queue is not None:
            span.set_data(DESTINATION, sending.queue)
        yield _carried()


def _carried() -> Headers | None:
    given = {"sentry-trace": sentry_sdk.get_traceparent(), "baggage": sentry_sdk.get_baggage()}
    return {name: text for name, text in given.items() if text} or None


def _describe(scope: Any, run: RunSeen) -> None:
    tags: Mapping[str, Any] = {
        "process_id": run.process_id,
        "kind": run.kind,
        "session": run.session_id,
        "release": run.release,
        "attempt": run.attempt,
    }
    for name, value in tags.items():
        if value is not None:
            scope.set_tag(name, value)
    if run.originator is not None:
        scope.set_user({"id": run.originator})
    scope.add_event_processor(_with_ours_aside)


def _capture(run: RunSeen) -> None:
    error = run.error
    if getattr(error, "expected", False) is True:
        return
    with sentry_sdk.new_scope() as scope:
        scope.fingerprint = [run.name, run.code or run.outcome or "failed"]
        scope.set_tag("code", run.code or run.outcome)
        if error is not None:
            sentry_sdk.capture_exception(error)
        else:
            what = run.message or run.code or "it was given up"
            sentry_sdk.capture_message(f"{run.name} {run.outcome}: {what}", level="error")


def _with_ours_aside(event: Any, hint: Any) -> Any:
    """The event with our frames marked as a library's, so that those of the user come first."""
    failed: Any = event.get("exception") or {}
    for raised in cast("list[Any]", failed.get("values", [])):
        stack: Any = raised.get("stacktrace")
        for frame in cast("list[Any]", stack["frames"] if stack else []):
            if str(frame.get("module", "")).partition(".")[0] in OURS:
                frame["in_app"] = False
    return event
