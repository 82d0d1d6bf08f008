"""`Many` and `AsyncMany`: one verb for all processes that a filter fits, blocking and awaited.

Invariant: without a filter a verb means nothing, unless it is told that it means everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Unpack

from wakeline.client.drivers import AwaitedDriver, BlockingDriver
from wakeline.observe.many import ManyReport
from wakeline.verbs import many, redrives
from wakeline.verbs.choosing import ManyOptions


@dataclass(frozen=True, slots=True)
class Many:
    """Verbs for all that a filter fits. Each counts first, then acts in batches, and gives a report.

    The filter is that of `App.processes`, and ``older_than``, a duration for which they have their status at least.
    ``everything=True`` says that no filter is meant. ``expect`` is the highest number that may match: the verb raises
    `CountMoved` before it does anything if more do. ``dry_run=True`` only counts. ``progress`` is called with the
    report so far, after each batch.

    What is refused for some is in the report, and the others are done. All of them may be repeated, so that what was
    interrupted goes on. All raise `InvalidArguments`, `InvalidId`, `InvalidDuration`, `CountMoved`.
    """

    client: BlockingDriver = field(repr=False)

    def cancel(
        self, status: str | None = None, *, reason: str = "requested", **options: Unpack[ManyOptions]
    ) -> ManyReport:
        """Ask them to end, as `Handle.cancel` does: those of a status (running, waiting, queued), or all that live.
        What was asked before is not counted."""
        return self.client.run("many.cancel", many.cancel(self.client.caller, status, reason, options))

    def retry(self, status: str | None = None, **options: Unpack[ManyOptions]) -> ManyReport:
        """Run them again, as `Handle.retry` does: those of a status (completed, failed, cancelled, abandoned, or ended
        for all of these), or those that failed. One that has its retry is ``unchanged``."""
        return self.client.run("many.retry", many.retry(self.client.caller, status, options))

    def signal(
        self,
        name: str,
        payload: Any = None,
        /,
        *,
        key: str | None = None,
        status: str | None = None,
        **options: Unpack[ManyOptions],
    ) -> ManyReport:
        """Send a signal to them, as `Handle.signal` does: to those of a status (running, waiting, queued), or to all
        that live. Each gets it once under ``key``; the report has the key, for a repetition of an interrupted one."""
        program = many.signal(self.client.caller, name, payload, key, status, options)
        return self.client.run("many.signal", program)

    def redrive(
        self, state: str | None = None, *, agent: str | None = None, **options: Unpack[ManyOptions]
    ) -> ManyReport:
        """Offer entries of inboxes again, as `Session.redrive` does: those of a state (undeliverable, failed, blocked),
        or of all three; those of an agent, or of all. The first ones come first."""
        return self.client.run("many.redrive", redrives.redrive(state, agent, options))

    def prune(self, status: str | None = None, **options: Unpack[ManyOptions]) -> ManyReport:
        """Remove ended processes now, and not at the end of their retention: those of a status (completed, failed,
        cancelled, abandoned), or all. Their ids stay used up, as after the retention. A child stays while its living
        parent has not read its result."""
        return self.client.run("many.prune", many.prune(self.client.caller, status, options))


@dataclass(frozen=True, slots=True)
class AsyncMany:
    """`Many`, awaited."""

    client: AwaitedDriver = field(repr=False)

    async def cancel(
        self, status: str | None = None, *, reason: str = "requested", **options: Unpack[ManyOptions]
    ) -> ManyReport:
        """Ask them to end."""
        return await self.client.run("many.cancel", many.cancel(self.client.caller, status, reason, options))

    async def retry(self, status: str | None = None, **options: Unpack[ManyOptions]) -> ManyReport:
        """Run them again."""
        return await self.client.run("many.retry", many.retry(self.client.caller, status, options))

    async def signal(
        self,
        name: str,
        payload: Any = None,
        /,
        *,
        key: str | None = None,
        status: str | None = None,
        **options: Unpack[ManyOptions],
    ) -> ManyReport:
        """Send a signal to them."""
        program = many.signal(self.client.caller, name, payload, key, status, options)
        return await self.client.run("many.signal", program)

    async def redrive(
        self, state: str | None = None, *, agent: str | None = None, **options: Unpack[ManyOptions]
    ) -> ManyReport:
        """Offer entries of inboxes again."""
        return await self.client.run("many.redrive", redrives.redrive(state, agent, options))

    async def prune(self, status: str | None = None, **options: Unpack[ManyOptions]) -> ManyReport:
        """Remove ended processes now, and not at the end of their retention."""
        return await self.client.run("many.prune", many.prune(self.client.caller, status, options))
