"""What surrounds an effect or a wait of a body: code that does not fit, and effects that the body gives up.

Invariant: they change nothing of what passes, unless the deploy is at fault for an error. They are classes, because a
generator in their place took a tenth of a step.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from types import TracebackType

from wakeline.effects.envelope import Envelope
from wakeline.errors import InvalidPayload, Stopped, WakelineError
from wakeline.processes.misfit import MisfitKind
from wakeline.run.fitting import Fitting
from wakeline.run.life import Life
from wakeline.run.setbacks import mark
from wakeline.tools.tool import current_body

UNGUARDED: nullcontext[None] = nullcontext()


class ReadingGuard(AbstractContextManager[None]):
    """Surrounds the reading of stored data that this release may not take; the run ends then, because the body would go
    on from a wrong value."""

    __slots__ = ("_life",)

    def __init__(self, life: Life) -> None:
        self._life = life

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, InvalidPayload):
            raise self._life.unfit("unreadable", error) from error


class AskingGuard(AbstractAsyncContextManager[None]):
    """Surrounds the binding of what the body asks for. If the deploy is at fault that it fails, the run ends. The body
    would take it for an error like any other, and compensate for it."""

    __slots__ = ("_fitting", "_unfit")

    def __init__(self, fitting: Fitting, unfit: Callable[[MisfitKind, BaseException], Awaitable[Stopped]]) -> None:
        self._fitting, self._unfit = fitting, unfit

    async def __aenter__(self) -> None:
        """Nothing has to be done before."""

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, WakelineError) and current_body.get() is not None and self._fitting.is_bug(error):
            raise await self._unfit("bug", error) from error


class MarkGuard(AbstractContextManager[None]):
    """Surrounds an effect: its error says which effect it came from."""

    __slots__ = ("_envelope", "_key")

    def __init__(self, envelope: Envelope, key: str) -> None:
        self._envelope, self._key = envelope, key

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception):
            mark(error, self._envelope, self._key)


class GivingUpGuard(AbstractContextManager[None]):
    """Surrounds an effect or a wait that the body may give up. ``told`` is called then, with its key and after how many
    ms."""

    __slots__ = ("_begun", "_key", "_told")

    def __init__(self, key: str, told: Callable[[str, int], None]) -> None:
        self._key, self._told, self._begun = key, told, time.monotonic()

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, asyncio.CancelledError):
            self._told(self._key, int((time.monotonic() - self._begun) * 1000))
