"""How a verb runs: `BlockingDriver` drives its program to the end, `AwaitedDriver` lets an event loop do it.

Invariant: before it does anything, a verb refuses to run where it would stop a loop or escape a body's journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from wakeline.attachments.attachment import HOST
from wakeline.errors import REPEATED, WrongVerb
from wakeline.store.awaited import AsyncStore
from wakeline.store.blocking import SyncStore
from wakeline.store.calls import Program
from wakeline.tools.tool import RunningBody, current_body
from wakeline.verbs.attachments import AsyncAttachments, Attachments, AttachmentVerbs
from wakeline.verbs.caller import Caller

T = TypeVar("T")
IN_A_BODY = {
    "app.start": "start(…)",
    "app.start_many": "start(…) for each",
    "handle.signal": "signal(id, …)",
    "handle.cancel": "cancel(id)",
    "session.ask": "ask(session, …)",
    "trigger.emit": "trigger(source).emit(…)",
    "trigger.subscribe": "trigger(source).subscribe(…)",
    "many.signal": "signal(id, …) for each",
    "many.cancel": "cancel(id) for each",
    "attachments.put": "attachments.put(…)",
    "attachments.get": "attachments.get(…)",
    "attachments.head": "attachments.head(…)",
    "attachments.delete": "attachments.delete(…)",
    "attachments.list": "attachments.list(…)",
    "handle.result": "start(…) and the result of the child it returns",
}
"""The recorded verb of a context for each verb of a client. A verb without one belongs into a step, whose function may
call anything."""
ON_A_LOOP = {
    "app": "app.aio.{verb}(…)",
    "handle": "app.aio.handle(id).{verb}(…)",
    "external": "{verb}(…) of what app.aio.external(…) gives",
    "trigger": "app.aio.trigger(source).{verb}(…)",
    "attachments": "app.aio.attachments.{verb}(…)",
    "many": "app.aio.many.{verb}(…)",
    "session": "app.aio.session(agent, key).{verb}(…)",
}


def right_verb(verb: str) -> str | None:
    """What to use here instead of a blocking verb ('app.start', 'session.send', …); None if it may block."""
    run = current_body.get()
    if run is not None:
        return _in_body(run, verb)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return None
    noun, _, name = verb.rpartition(".")
    how = "async for … in" if name in ("events", "follow") else "await"
    return f"{how} {ON_A_LOOP[noun or 'app'].format(verb=name)}"


def _in_body(run: RunningBody, verb: str) -> str:
    return run.named(IN_A_BODY.get(verb, "step(name, function) with a function that calls it,"))


class BlockingDriver:
    """Runs verbs in the calling thread, over one client per OS process, which is made on first use."""

    def __init__(self, caller: Caller, connect: Callable[[], SyncStore]) -> None:
        self.caller = caller
        self._connect = connect

    def check(self, verb: str) -> None:
        """Raises `WrongVerb` on a running loop and in a body."""
        use = right_verb(verb)
        if use is not None:
            raise WrongVerb(verb=verb, use=use)

    def run(self, verb: str, program: Program[T]) -> T:
        """Drives a program of a verb to its end; raises `WrongVerb` before its first step."""
        try:
            self.check(verb)
        except WrongVerb:
            program.close()
            raise
        return self._connect().run(program)

    def attachments(self, owner: str = HOST) -> Attachments:
        """The attachments of an owner, with the rights of code that holds the app."""
        return Attachments(self.run, AttachmentVerbs(lambda: self._connect().blobs, owner))


class AwaitedDriver:
    """Runs verbs on the running loop, over one client per loop, which is made on first use."""

    def __init__(self, caller: Caller, connect: Callable[[], AsyncStore]) -> None:
        self.caller = caller
        self._connect = connect
        self._stores: dict[asyncio.AbstractEventLoop, AsyncStore] = {}

    @property
    def store(self) -> AsyncStore:
        """The client of the running loop."""
        loop = asyncio.get_running_loop()
        store = self._stores.get(loop)
        if store is None:
            for ended in [known for known in self._stores if known.is_closed()]:
                del self._stores[ended]
            store = self._stores[loop] = self._connect()
        return store

    def check(self, verb: str) -> None:
        """Raises `WrongVerb` in a body. What it does outside of its context is not recorded, so each replay would
        repeat it."""
        run = current_body.get()
        if run is not None:
            raise WrongVerb(verb=f"app.aio.{verb.removeprefix('app.')}", use=_in_body(run, verb), harm=REPEATED)

    async def run(self, verb: str, program: Program[T]) -> T:
        """Drives a program of a verb to its end; raises `WrongVerb` before its first step."""
        try:
            self.check(verb)
        except WrongVerb:
            program.close()
            raise
        return await self.store.run(program)

    def attachments(self, owner: str = HOST) -> AsyncAttachments:
        """The attachments of an owner, with the rights of code that holds the app."""
        return AsyncAttachments(self.run, AttachmentVerbs(lambda: self.store.blobs, owner))

    async def close(self) -> None:
        """Closes the client of the running loop; the next verb makes a new one."""
        store = self._stores.pop(asyncio.get_running_loop(), None)
        if store is not None:
            await store.close()
