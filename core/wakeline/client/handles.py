"""`Handle`: one process from outside, blocking; `External` reports work that runs elsewhere, `Starter` starts with
options.

Invariant: a handle is a name and reads nothing by itself; every verb asks the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar

from wakeline.attachments.attachment import owner_of_process
from wakeline.client.drivers import Blocking
from wakeline.engines.engine import Engine
from wakeline.observe.events import EventView
from wakeline.observe.processes import ProcessView, Status
from wakeline.processes.events import EventType
from wakeline.tools.tool import Duration, Tool
from wakeline.verbs.attachments import Attachments
from wakeline.verbs.options import Options, WakeTarget
from wakeline.verbs.starts import bound

P = ParamSpec("P")
R = TypeVar("R")


def as_json(data: Any) -> Any:
    """Without the body's types a result stays what JSON says."""
    return data


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts with options."""

    client: Blocking = field(repr=False)
    options: Options

    def start(self, body: Engine[P, R] | Tool[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start a process; one round trip. Raises `ProcessConflict`, `InvalidArguments`, `PayloadTooLarge`."""
        program = self.client.service.start(body, bound(body, *args, **kwargs), self.options)
        return Handle(self.client, self.client.run("app.start", program), body.signature.load_result)

    def start_many(
        self,
        body: Engine[..., R] | Tool[..., R],
        rows: Iterable[Mapping[str, Any]],
        *,
        ids: Sequence[str] | None = None,
    ) -> list[Handle[R]]:
        """Start a process for each row of named arguments, hundreds in one write; ``ids``: one for each, so that a
        repetition starts nothing twice.

        All are checked before the first is started. Raises `InvalidArguments`, `ProcessConflict`, `PayloadTooLarge`."""
        program = self.client.service.start_many(body, [bound(body, **row) for row in rows], self.options, ids)
        return [
            Handle(self.client, pid, body.signature.load_result) for pid in self.client.run("app.start_many", program)
        ]


@dataclass(frozen=True, slots=True)
class Handle(Generic[R]):
    """One process, from outside."""

    client: Blocking = field(repr=False)
    id: str
    load: Callable[[Any], R] = field(repr=False)

    @property
    def attachments(self) -> Attachments:
        """Attachments of this process: kept as long as it is retained."""
        return self.client.attachments(owner_of_process(self.id))

    def result(self, timeout: Duration | None = None) -> R:
        """Wait for its end. Raises `ProcessFailed`, `ProcessCancelled`, `ProcessAbandoned`, `WaitTimeout`,
        `ProcessNotFound`."""
        return self.client.run("handle.result", self.client.service.result(self.id, timeout, self.load))

    def status(self) -> Status:
        """One look. Raises `ProcessNotFound`, `ProcessNoLongerRetained`."""
        return self.client.run("handle.status", self.client.service.status(self.id))

    def view(self) -> ProcessView:
        """All that there is to know of it: what it waits for, why it is queued, how it ended. Raises
        `ProcessNotFound`, `ProcessNoLongerRetained`."""
        return self.client.run("handle.view", self.client.service.process(self.id))

    def signal(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Send a signal; the same ``key`` again is the same signal. Its sequence.

        Raises `UndeclaredEvent`, `PayloadSchemaMismatch`, `ProcessAlreadyTerminal`, `MailboxFull`.
        """
        return self.client.run("handle.signal", self.client.service.signal(self.id, name, payload, key)).sequence

    def cancel(self, reason: str = "requested") -> str:
        """Ask it to end; ends it after the grace whatever happens. Its status now."""
        return self.client.run("handle.cancel", self.client.service.cancel(self.id, reason))

    def retry(self) -> Handle[R]:
        """Run it again once it has ended, as a process of its own with id ``<id>~r<n>``; asked again, the same one.

        Raises `ProcessNotEnded`, `ProcessNotRetryable`, `ProcessNotFound`, and `ProcessConflict` where a process of its
        own has that id.
        """
        return Handle(self.client, self.client.run("handle.retry", self.client.service.retry(self.id)), self.load)

    def retarget(self, session: WakeTarget | str | None) -> None:
        """Have it wake another session from now on, or none. What no session had received yet is undeliverable; what
        one has stays there."""
        self.client.run("handle.retarget", self.client.service.retarget(self.id, session))

    def events(self, *, after: int = 0, follow: bool = False) -> Iterator[EventView]:
        """Its events after a sequence; ``follow`` goes on until its end."""
        self.client.check("handle.events")
        return self._events(after, follow)

    def _events(self, after: int, follow: bool) -> Iterator[EventView]:
        more = True
        while more:
            page = self.client.run("handle.events", self.client.service.events(self.id, after, follow=follow))
            yield from page.events
            after, more = page.after, page.more


@dataclass(frozen=True, slots=True)
class External(Handle[Any]):
    """Work that runs elsewhere, and how it is reported."""

    declared: tuple[EventType, ...] = field(default=(), repr=False)
    """The types of events that its reporter declares, where an earlier release registered it."""

    def emit(self, event_type: str, payload: Any = None, *, key: str | None = None) -> int:
        """Append an event; the same ``key`` again is the same event. Its sequence."""
        return self.client.run(
            "external.emit",
            self.client.service.emit(self.id, event_type, payload, key, external=True, also=self.declared),
        )

    def finish(self, value: Any = None) -> int:
        """Report success; the sequence of its end."""
        return self.client.run("external.finish", self.client.service.succeed_external(self.id, value))

    def fail(self, code: str, message: str) -> int:
        """Report failure; the sequence of its end."""
        return self.client.run("external.fail", self.client.service.fail_external(self.id, code, message))
