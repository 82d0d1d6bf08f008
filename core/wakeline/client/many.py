"""`Many` and `AsyncMany`: one verb for all processes that a filter fits, blocking and awaited.

Invariant: without a filter a verb means nothing, unless it is told that it means everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from wakeline.client.drivers import AwaitedDriver, BlockingDriver
from wakeline.observe.many import ManyReport
from wakeline.tools.tool import Duration
from wakeline.verbs import many
from wakeline.verbs.many import How


@dataclass(frozen=True, slots=True)
class Many:
    """Verbs for all that a filter fits. Each counts first, and then acts in batches.

    ``everything`` says that no filter is meant. ``expect`` is the highest number that may match: the verb raises
    `CountMoved` before it does anything if more do. ``dry_run`` only counts. ``progress`` is called with the report so
    far after each batch. All of them may be repeated, so what was interrupted goes on.
    """

    client: BlockingDriver = field(repr=False)

    def prune(
        self,
        status: str | None = None,
        *,
        older_than: Duration | None = None,
        everything: bool = False,
        expect: int | None = None,
        dry_run: bool = False,
        progress: Callable[[ManyReport], object] | None = None,
    ) -> ManyReport:
        """Remove ended processes now, and not at the end of their retention: those of one status or of all four, which
        ended longer ago than ``older_than``. Their ids stay used up, as after the retention. A child stays while its
        living parent has not read its result. Raises `InvalidArguments`, `InvalidDuration`, `CountMoved`."""
        how = How(expect, dry_run, progress)
        return self.client.run("many.prune", many.prune(self.client.caller, how, status, older_than, everything))


@dataclass(frozen=True, slots=True)
class AsyncMany:
    """`Many`, awaited."""

    client: AwaitedDriver = field(repr=False)

    async def prune(
        self,
        status: str | None = None,
        *,
        older_than: Duration | None = None,
        everything: bool = False,
        expect: int | None = None,
        dry_run: bool = False,
        progress: Callable[[ManyReport], object] | None = None,
    ) -> ManyReport:
        """Remove ended processes now, and not at the end of their retention."""
        how = How(expect, dry_run, progress)
        return await self.client.run("many.prune", many.prune(self.client.caller, how, status, older_than, everything))
