"""`Session` and `AsyncSession`: one agent's conversation from outside, blocking and awaited.

Invariant: a session is a name; the first send, or a start with ``wake=`` it, creates what it names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from wakeline.attachments.attachment import owner_of_session
from wakeline.client.drivers import AwaitedDriver, BlockingDriver
from wakeline.client.handles import AsyncHandle, Handle, as_json
from wakeline.observe.entries import EntryView
from wakeline.observe.sessions import Message, SessionView
from wakeline.pages import Page
from wakeline.sessions.feed import FeedItem
from wakeline.store.feed import FeedPage, SessionNode
from wakeline.store.sessions import Deleted
from wakeline.tools.tool import Duration
from wakeline.verbs import inbox, sessions
from wakeline.verbs.attachments import AsyncAttachments, Attachments


@dataclass(frozen=True, slots=True)
class Session:
    """One agent's conversation: an inbox, a state, a history, one turn at a time."""

    client: BlockingDriver = field(repr=False)
    id: str
    queue: str | None = None

    @property
    def attachments(self) -> Attachments:
        """Attachments of this session. They are kept until it is deleted, and its turns may read them."""
        return self.client.attachments(owner_of_session(self.id))

    def send(self, text: Any, *, key: str | None = None) -> int:
        """Put input into the inbox; the same ``key`` is the same input. Returns its number. Raises `ReplayConflict`."""
        return self.client.run("session.send", sessions.send(self.client.caller, self.id, self.queue, text, key))

    def ask(self, text: Any, *, key: str | None = None, timeout: Duration = 60) -> Any:
        """Send, and wait for the return value of the turn that takes it. Raises `WaitTimeout`, `ProcessFailed`."""
        return self.client.run("session.ask", sessions.ask(self.client.caller, self.id, self.queue, text, key, timeout))

    def command(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Put a command into the inbox. It is alone in its turn. Returns its number. Raises `ReplayConflict`,
        `SessionDeleted`."""
        return self.client.run(
            "session.command", sessions.command(self.client.caller, self.id, self.queue, name, payload, key)
        )

    def create(self) -> None:
        """Create it if it does not exist. Raises `SessionDeleted`."""
        self.client.run("session.create", sessions.create(self.client.caller, self.id, self.queue))

    def delete(self) -> Deleted:
        """Delete it permanently. Its turn ends, its entries become undeliverable, and its id stays used. Other
        processes go on."""
        return self.client.run("session.delete", sessions.delete(self.id))

    def inspect(self) -> SessionView:
        """All that is known of it except its contents, also for a deleted session."""
        return self.client.run("session.inspect", sessions.inspect(self.id))

    def wakes(self, *, after: int | None = None, before: int | None = None, limit: int = 50) -> Page[EntryView]:
        """The latest entries of its inbox, and what became of each, also for a deleted session. ``.more`` says whether
        there are others.

        ``before`` the first number of a page gives the page before it, and ``after`` the last number gives the page
        after it.
        """
        return self.client.run(
            "session.wakes", inbox.wakes(self.client.caller, self.id, after=after, before=before, limit=limit)
        )

    def why(self, entry: int | None = None) -> str:
        """Why it does, or does not, go on; with an entry, why it did, or did not, wake for that. Raises
        `EntryNotFound`."""
        return self.client.run("session.why", inbox.why(self.id, entry))

    def redrive(self, entry: int | None = None) -> int:
        """Offer a failed or undeliverable entry again, or the one that blocks it. Returns its new number. Raises
        `RedriveRefused`, `EntryNotFound`."""
        return self.client.run("session.redrive", inbox.redrive(self.id, entry))

    def skip(self) -> int:
        """Give up on the entry that blocks it; returns its number. Raises `RedriveRefused`."""
        return self.client.run("session.skip", inbox.skip(self.id))

    def view(self, *, after: int = 0, count: int = 100, entries: int = 50) -> SessionView:
        """Head, state, history and inbox at one moment. Raises `SessionNotFound`, as all verbs that read."""
        return self.client.run("session.view", sessions.view(self.id, after=after, count=count, entries=entries))

    def history(self, *, after: int = 0, count: int = 100, frame: str | None = None) -> Page[Message]:
        """Messages after a number, oldest first; of one agent frame, or of all. ``.more``: there are others after the
        last one."""
        return self.client.run("session.history", sessions.history(self.id, after=after, count=count, frame=frame))

    def follow(self, cursor: str | None = None) -> Iterator[FeedItem]:
        """What changes from now on, or after the cursor of an item: entries, commits, what turns do. It goes on until
        the session is deleted.

        A `Gap` stands for items that are gone, because the session had no follower for a minute, or they are more than
        1,000 items ago. Raises `SessionNotFound`, `ForeignCursor`.
        """
        page = self.client.run("session.follow", sessions.follow(self.id, cursor))
        return self._follow(page)

    def _follow(self, page: FeedPage) -> Iterator[FeedItem]:
        yield from page.items
        while not page.over:
            page = self.client.run("session.follow", sessions.follow(self.id, page.cursor))
            yield from page.items

    def append(self, messages: Sequence[Any], *, ancestor: int | None = None) -> int:
        """Append messages to the history, if the head is still at revision ``ancestor``. Messages are objects with
        ``role`` and ``content``. An ``id`` makes a repetition the same message, and ``transient`` keeps it out of
        projections. Returns the new revision. Raises `StaleBranch`, `SessionNotFound`."""
        return self.client.run("session.append", sessions.append(self.id, messages, ancestor))

    def graph(self) -> SessionNode:
        """Its links: the session whose turn first wrote to it, the sessions to which its own turns first wrote, and its
        frames."""
        return self.client.run("session.graph", sessions.graph(self.id))

    def frames(self) -> dict[str, int]:
        """Its agent frames, each with the ms at which it was opened."""
        return self.client.run("session.frames", sessions.frames(self.id))

    def state(self) -> dict[str, Any]:
        """The agent's state as of the latest committed turn."""
        return self.client.run("session.state", sessions.state(self.id))

    def turn(self) -> Handle[Any] | None:
        """The turn that runs or waits now, if any."""
        pid = self.client.run("session.turn", sessions.turn(self.id))
        return Handle(self.client, pid, as_json) if pid else None


@dataclass(frozen=True, slots=True)
class AsyncSession:
    """`Session`, awaited."""

    client: AwaitedDriver = field(repr=False)
    id: str
    queue: str | None = None

    @property
    def attachments(self) -> AsyncAttachments:
        """Attachments of this session: kept until it is deleted."""
        return self.client.attachments(owner_of_session(self.id))

    async def send(self, text: Any, *, key: str | None = None) -> int:
        """Put input into the inbox; returns its number."""
        return await self.client.run("session.send", sessions.send(self.client.caller, self.id, self.queue, text, key))

    async def ask(self, text: Any, *, key: str | None = None, timeout: Duration = 60) -> Any:
        """Send, and wait for the return value of the turn that takes it."""
        return await self.client.run(
            "session.ask", sessions.ask(self.client.caller, self.id, self.queue, text, key, timeout)
        )

    async def command(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Put a command into the inbox, alone in its turn; returns its number."""
        return await self.client.run(
            "session.command", sessions.command(self.client.caller, self.id, self.queue, name, payload, key)
        )

    async def create(self) -> None:
        """Create it if it does not exist."""
        await self.client.run("session.create", sessions.create(self.client.caller, self.id, self.queue))

    async def delete(self) -> Deleted:
        """Delete it permanently."""
        return await self.client.run("session.delete", sessions.delete(self.id))

    async def inspect(self) -> SessionView:
        """All that is known of it except its contents."""
        return await self.client.run("session.inspect", sessions.inspect(self.id))

    async def wakes(self, *, after: int | None = None, before: int | None = None, limit: int = 50) -> Page[EntryView]:
        """The latest entries of its inbox, or those after a number, and what became of each."""
        return await self.client.run(
            "session.wakes", inbox.wakes(self.client.caller, self.id, after=after, before=before, limit=limit)
        )

    async def why(self, entry: int | None = None) -> str:
        """Why it does, or does not, go on; or why it did, or did not, wake for an entry."""
        return await self.client.run("session.why", inbox.why(self.id, entry))

    async def redrive(self, entry: int | None = None) -> int:
        """Offer a failed or undeliverable entry again, or the one that blocks it; the number it has now."""
        return await self.client.run("session.redrive", inbox.redrive(self.id, entry))

    async def skip(self) -> int:
        """Give up on the entry that blocks it; returns its number."""
        return await self.client.run("session.skip", inbox.skip(self.id))

    async def view(self, *, after: int = 0, count: int = 100, entries: int = 50) -> SessionView:
        """Head, state, history and inbox at one moment."""
        return await self.client.run("session.view", sessions.view(self.id, after=after, count=count, entries=entries))

    async def history(self, *, after: int = 0, count: int = 100, frame: str | None = None) -> Page[Message]:
        """Messages after a number, oldest first; of one agent frame, or of all. ``.more``: there are others after the
        last one."""
        return await self.client.run(
            "session.history", sessions.history(self.id, after=after, count=count, frame=frame)
        )

    async def follow(self, cursor: str | None = None) -> AsyncIterator[FeedItem]:
        """What changes from the first step on, or after the cursor of an item, until the session is deleted."""
        over = False
        while not over:
            page = await self.client.run("session.follow", sessions.follow(self.id, cursor))
            for item in page.items:
                yield item
            cursor, over = page.cursor, page.over

    async def append(self, messages: Sequence[Any], *, ancestor: int | None = None) -> int:
        """Append messages to the history, if the head is still at revision ``ancestor``; the revision now."""
        return await self.client.run("session.append", sessions.append(self.id, messages, ancestor))

    async def graph(self) -> SessionNode:
        """Its links to other sessions."""
        return await self.client.run("session.graph", sessions.graph(self.id))

    async def frames(self) -> dict[str, int]:
        """Its agent frames, each with the ms at which it was opened."""
        return await self.client.run("session.frames", sessions.frames(self.id))

    async def state(self) -> dict[str, Any]:
        """The agent's state as of the latest committed turn."""
        return await self.client.run("session.state", sessions.state(self.id))

    async def turn(self) -> AsyncHandle[Any] | None:
        """The turn that runs or waits now, if any."""
        pid = await self.client.run("session.turn", sessions.turn(self.id))
        return AsyncHandle(self.client, pid, as_json) if pid else None
