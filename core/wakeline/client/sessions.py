"""`Session`: one agent's conversation from outside, blocking.

Invariant: a session is a name; the first send, or a start with ``wake=`` it, creates what it names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from wakeline.attachments.attachment import owner_of_session
from wakeline.client.drivers import Blocking
from wakeline.client.handles import Handle, as_json
from wakeline.observe.entries import EntryView
from wakeline.observe.sessions import Message, SessionView
from wakeline.pages import Page
from wakeline.sessions.feed import FeedItem
from wakeline.store.feed import FeedPage, SessionNode
from wakeline.store.sessions import Deleted
from wakeline.tools.tool import Duration
from wakeline.verbs.attachments import Attachments


@dataclass(frozen=True, slots=True)
class Session:
    """One agent's conversation: an inbox, a state, a history, one turn at a time."""

    client: Blocking = field(repr=False)
    id: str
    queue: str | None = None

    @property
    def attachments(self) -> Attachments:
        """Attachments of this session: kept until it is deleted; its turns may read them."""
        return self.client.attachments(owner_of_session(self.id))

    def send(self, text: Any, *, key: str | None = None) -> int:
        """Put input into the inbox; the same ``key`` again is the same input. Its number. Raises `ReplayConflict`."""
        return self.client.run("session.send", self.client.service.sessions.send(self.id, self.queue, text, key))

    def ask(self, text: Any, *, key: str | None = None, timeout: Duration = 60) -> Any:
        """Send, and wait for what the turn that takes it returns. Raises `WaitTimeout`, `ProcessFailed`."""
        return self.client.run("session.ask", self.client.service.sessions.ask(self.id, self.queue, text, key, timeout))

    def command(self, name: str, payload: Any = None, *, key: str | None = None) -> int:
        """Put a command into the inbox: it is alone in its turn. Its number. Raises `ReplayConflict`,
        `SessionDeleted`."""
        return self.client.run(
            "session.command", self.client.service.sessions.command(self.id, self.queue, name, payload, key)
        )

    def create(self) -> None:
        """Create it where it does not exist. Raises `SessionDeleted`."""
        self.client.run("session.create", self.client.service.sessions.create(self.id, self.queue))

    def delete(self) -> Deleted:
        """Delete it for ever: its turn ends, its entries are undeliverable, its id stays used. Other processes go
        on."""
        return self.client.run("session.delete", self.client.service.sessions.delete(self.id))

    def inspect(self) -> SessionView:
        """What there is to know of it but its contents; also of a deleted one."""
        return self.client.run("session.inspect", self.client.service.sessions.inspect(self.id))

    def wakes(self, *, after: int | None = None, before: int | None = None, limit: int = 50) -> Page[EntryView]:
        """The latest entries of its inbox, and what became of each; also of a deleted one. ``.more`` says whether there
        are others.

        Those before a number (the first one of a page) are the page before it, those after a number (the last one) the
        page after it.
        """
        return self.client.run(
            "session.wakes", self.client.service.sessions.wakes(self.id, after=after, before=before, limit=limit)
        )

    def why(self, entry: int | None = None) -> str:
        """Why it does, or does not, go on; or why it did, or did not, wake for an entry. Raises `EntryNotFound`."""
        return self.client.run("session.why", self.client.service.sessions.why(self.id, entry))

    def redrive(self, entry: int | None = None) -> int:
        """Offer a failed or undeliverable entry again, or the one that blocks it; the number it has now. Raises
        `RedriveRefused`, `EntryNotFound`."""
        return self.client.run("session.redrive", self.client.service.sessions.redrive(self.id, entry))

    def skip(self) -> int:
        """Give up on the entry that blocks it; its number. Raises `RedriveRefused`."""
        return self.client.run("session.skip", self.client.service.sessions.skip(self.id))

    def view(self, *, after: int = 0, count: int = 100, entries: int = 50) -> SessionView:
        """Head, state, history and inbox of one moment. Raises `SessionNotFound`, as every look does."""
        return self.client.run(
            "session.view", self.client.service.sessions.view(self.id, after=after, count=count, entries=entries)
        )

    def history(self, *, after: int = 0, count: int = 100, frame: str | None = None) -> Page[Message]:
        """Messages after a number, oldest first; of one agent frame, or of all. ``.more``: there are others after the
        last one."""
        return self.client.run(
            "session.history", self.client.service.sessions.history(self.id, after=after, count=count, frame=frame)
        )

    def follow(self, cursor: str | None = None) -> Iterator[FeedItem]:
        """What changes from now on, or after the cursor of an item: entries, commits, what turns do. Goes on until the
        session is deleted.

        What was missed (nobody followed for a minute, or more than 1,000 items ago) is a `Gap`. Raises
        `SessionNotFound`, `ForeignCursor`.
        """
        page = self.client.run("session.follow", self.client.service.sessions.follow(self.id, cursor))
        return self._follow(page)

    def _follow(self, page: FeedPage) -> Iterator[FeedItem]:
        yield from page.items
        while not page.over:
            page = self.client.run("session.follow", self.client.service.sessions.follow(self.id, page.cursor))
            yield from page.items

    def append(self, messages: Sequence[Any], *, ancestor: int | None = None) -> int:
        """Append messages (objects with ``role`` and ``content``; ``id`` makes a repetition the same one, ``transient``
        keeps it out of projections)
        to the history, if the head is still at revision ``ancestor``. The revision now. Raises `StaleBranch`,
        `SessionNotFound`."""
        return self.client.run("session.append", self.client.service.sessions.append(self.id, messages, ancestor))

    def graph(self) -> SessionNode:
        """Where it stands among others: the session whose turn first wrote to it, those its own turns first wrote to,
        its frames."""
        return self.client.run("session.graph", self.client.service.sessions.graph(self.id))

    def frames(self) -> dict[str, int]:
        """Its agent frames, each with the ms at which it was opened."""
        return self.client.run("session.frames", self.client.service.sessions.frames(self.id))

    def state(self) -> dict[str, Any]:
        """The agent's state as of the latest committed turn."""
        return self.client.run("session.state", self.client.service.sessions.state(self.id))

    def turn(self) -> Handle[Any] | None:
        """The turn that runs or waits now, if any."""
        pid = self.client.run("session.turn", self.client.service.sessions.turn(self.id))
        return Handle(self.client, pid, as_json) if pid else None
