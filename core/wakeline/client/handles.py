"""`Handle` and `AsyncHandle`: one process from outside, blocking and awaited.

Invariant: a handle is a name, and reads nothing by itself. Every verb asks the store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from wakeline.attachments.attachment import owner_of_process
from wakeline.client.drivers import AwaitedDriver, BlockingDriver
from wakeline.engines.engine import Engine
from wakeline.errors import InvalidArguments
from wakeline.observe.effects import EffectView
from wakeline.observe.events import EventView
from wakeline.observe.processes import ProcessView, Status
from wakeline.observe.why import WhyView
from wakeline.pages import Page
from wakeline.tools.tool import Duration, Tool
from wakeline.verbs import looks, processes, signals, starts, why
from wakeline.verbs.attachments import AsyncAttachments, Attachments
from wakeline.verbs.options import WakeTarget

R = TypeVar("R")


def as_json(data: Any) -> Any:
    """Without the types of a body a result stays JSON data."""
    return data


def check_load(load: Engine[..., R] | Tool[..., R] | Callable[[Any], R]) -> Callable[[Any], R]:
    """What turns JSON data into a result: that of a body, or a function. Raises `InvalidArguments` for what cannot be
    called."""
    if isinstance(load, Engine | Tool):
        return load.signature.load_result
    if not callable(load):  # pyright: ignore[reportUnnecessaryComparison]
        raise InvalidArguments(
            name="handle", reason=f"load= turns JSON data into a result, and {load!r} cannot be called"
        )
    return load


@dataclass(frozen=True, slots=True)
class Handle(Generic[R]):
    """One process, from outside."""

    client: BlockingDriver = field(repr=False)
    id: str
    load: Callable[[Any], R] = field(repr=False)

    @property
    def attachments(self) -> Attachments:
        """Attachments of this process; they are kept while it is retained."""
        return self.client.attachments(owner_of_process(self.id))

    def result(self, timeout: Duration | None = None) -> R:
        """Wait for its end. Raises `ProcessFailed`, `ProcessCancelled`, `ProcessAbandoned`, `WaitTimeout`,
        `ProcessNotFound`."""
        return self.client.run("handle.result", looks.result(self.client.caller, self.id, timeout, self.load))

    def status(self) -> Status:
        """One look. Raises `ProcessNotFound`, `ProcessNoLongerRetained`."""
        return self.client.run("handle.status", looks.status(self.id))

    def view(self) -> ProcessView:
        """All that is known of it: what it waits for, why it is queued, how it ended. Raises `ProcessNotFound`,
        `ProcessNoLongerRetained`."""
        return self.client.run("handle.view", looks.process(self.id))

    def why(self) -> WhyView:
        """Why it is as it is: what it waits for, since when and until when, why it is queued or how it ended, and what
        to type; `.text` is for people. Raises `ProcessNotFound`, `ProcessNoLongerRetained`."""
        return self.client.run("handle.why", why.process(self.id))

    def signal(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Send a signal; the same ``key`` is the same signal.

        Returns the sequence of its event. Raises `UndeclaredEvent`, `PayloadSchemaMismatch`, `ProcessAlreadyTerminal`,
        `MailboxFull`.
        """
        return self.client.run(
            "handle.signal", signals.signal(self.client.caller, self.id, name, payload, key)
        ).sequence

    def cancel(self, reason: str = "requested") -> str:
        """Ask it to end. After the grace it is ended in any case. Returns its present status."""
        return self.client.run("handle.cancel", processes.cancel(self.client.caller, self.id, reason))

    def retry(self) -> Handle[R]:
        """Run it again once it has ended, as a new process with the id ``<id>~r<n>``. A second call gives the same one.

        Raises `ProcessNotEnded`, `ProcessNotRetryable`, `ProcessNotFound`, and `ProcessConflict` if another process has
        that id.
        """
        return Handle(
            self.client, self.client.run("handle.retry", starts.retry(self.client.caller, self.id)), self.load
        )

    def retarget(self, session: WakeTarget | str | None) -> None:
        """Let it wake another session from now on, or none. Wakes that no session has received yet become
        undeliverable; others stay where they are."""
        self.client.run("handle.retarget", processes.retarget(self.id, session))

    def effects(self, *, after: int | str = 0, limit: int = 50) -> Page[EffectView]:
        """What its body has done: a page of the effects that were recorded since it began, or last went on as new.

        They are in order, behind effect ``after``; ``.more`` says whether others follow. An outcome over 64 KB is not
        loaded. A body that does several things at once may record one after another that has a higher number. So to
        follow a body that still runs, give ``after`` the ``.next`` of a page. That brings each effect once, so a call
        that is tried again later is not brought again.
        """
        return self.client.run("handle.effects", looks.effects(self.id, after, limit))

    def children(self, status: str | None = None, *, limit: int = 50, after: str | None = None) -> Page[Status]:
        """The processes that it started itself: a page of those that are retained, newest first within each status.

        ``status`` is a word of `App.processes`. ``.more`` says whether others follow, and ``after`` takes the ``.next``
        of a page. Children of every generation are there. A process that started none has an empty page.
        Raises `ProcessNotFound`, and `ProcessNoLongerRetained` where it was pruned: then `App.processes` with
        ``parent=`` still finds children of it that are retained. Raises `InvalidArguments` for another status, a limit
        below 1, and a cursor of another list.
        """
        return self.client.run("handle.children", looks.children(self.id, status=status, limit=limit, after=after))

    def events(self, *, after: int = 0, follow: bool = False) -> Iterator[EventView]:
        """Its events after a sequence. ``follow`` goes on until its end."""
        self.client.check("handle.events")
        return self._events(after, follow)

    def _events(self, after: int, follow: bool) -> Iterator[EventView]:
        more, told = True, None
        while more:
            page = self.client.run("handle.events", looks.events(self.id, after, follow=follow, told=told))
            yield from page.events
            after, more, told = page.after, page.more, page.last or told


@dataclass(frozen=True, slots=True)
class AsyncHandle(Generic[R]):
    """`Handle`, awaited; awaiting it is awaiting its result."""

    client: AwaitedDriver = field(repr=False)
    id: str
    load: Callable[[Any], R] = field(repr=False)

    def __await__(self) -> Generator[Any, None, R]:
        return self.result().__await__()

    @property
    def attachments(self) -> AsyncAttachments:
        """Attachments of this process; they are kept while it is retained."""
        return self.client.attachments(owner_of_process(self.id))

    async def result(self, timeout: Duration | None = None) -> R:
        """Wait for its end."""
        return await self.client.run("handle.result", looks.result(self.client.caller, self.id, timeout, self.load))

    async def status(self) -> Status:
        """One look."""
        return await self.client.run("handle.status", looks.status(self.id))

    async def view(self) -> ProcessView:
        """All that is known of it: what it waits for, why it is queued, how it ended."""
        return await self.client.run("handle.view", looks.process(self.id))

    async def why(self) -> WhyView:
        """Why it is as it is, and what to type."""
        return await self.client.run("handle.why", why.process(self.id))

    async def signal(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Send a signal; returns the sequence of its event."""
        return (
            await self.client.run("handle.signal", signals.signal(self.client.caller, self.id, name, payload, key))
        ).sequence

    async def cancel(self, reason: str = "requested") -> str:
        """Ask it to end; returns its present status."""
        return await self.client.run("handle.cancel", processes.cancel(self.client.caller, self.id, reason))

    async def retry(self) -> AsyncHandle[R]:
        """Run it again once it has ended, as a new process; a second call gives the same one."""
        return AsyncHandle(
            self.client, await self.client.run("handle.retry", starts.retry(self.client.caller, self.id)), self.load
        )

    async def retarget(self, session: WakeTarget | str | None) -> None:
        """Let it wake another session from now on, or none."""
        await self.client.run("handle.retarget", processes.retarget(self.id, session))

    async def effects(self, *, after: int | str = 0, limit: int = 50) -> Page[EffectView]:
        """What its body has done: the effects recorded since it began, or last went on as new."""
        return await self.client.run("handle.effects", looks.effects(self.id, after, limit))

    async def children(self, status: str | None = None, *, limit: int = 50, after: str | None = None) -> Page[Status]:
        """The processes that it started itself: a page of those that are retained."""
        return await self.client.run(
            "handle.children", looks.children(self.id, status=status, limit=limit, after=after)
        )

    async def events(self, *, after: int = 0, follow: bool = False) -> AsyncIterator[EventView]:
        """Its events after a sequence. ``follow`` goes on until its end."""
        more, told = True, None
        while more:
            page = await self.client.run("handle.events", looks.events(self.id, after, follow=follow, told=told))
            for event in page.events:
                yield event
            after, more, told = page.after, page.more, page.last or told
