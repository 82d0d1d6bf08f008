"""What a client asks of a session: send, ask, look, delete, offer again.

Invariant: an answer is the outcome of the turn that took the entry, never of another one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Container, Sequence
from typing import Any, cast

from wakeline import typed
from wakeline.attachments.attachment import owner_of_session
from wakeline.errors import (
    EntryNotFound,
    InvalidArguments,
    InvalidId,
    InvalidPayload,
    NothingBlocks,
    ProcessNoLongerRetained,
    ProcessNotFound,
    SessionNotFound,
    WaitFailed,
    WaitTimeout,
    WakelineError,
)
from wakeline.names import check_agent, check_key, check_name, check_process_id, split_session_id
from wakeline.observe import wakes
from wakeline.observe.entries import EntryView, entry_of, explain, why_unread
from wakeline.observe.sessions import (
    Message,
    SessionView,
    history_of,
    session_of,
    state_of,
    turn_held_up,
    turn_waits,
    with_contents,
)
from wakeline.pages import Page, first_of
from wakeline.processes.outputs import raise_for
from wakeline.sessions.addresses import argument, missing, readings
from wakeline.store import entries, feed, processes, queues, sessions
from wakeline.store.calls import Change, Program
from wakeline.store.entries import StoredInbox
from wakeline.store.feed import FeedPage, SessionNode
from wakeline.store.keys import queue_name
from wakeline.store.queues import QueueState
from wakeline.store.sessions import Deleted, StoredSession
from wakeline.store.starts import SessionAddress
from wakeline.tools.tool import Duration
from wakeline.values import MAX_PAYLOAD, check_number, check_size, content_json, parse_duration, to_json
from wakeline.verbs.attachments import handed
from wakeline.verbs.looks import Looking

FIRST_LOOK_MS, LAST_LOOK_MS = 25, 500
MOST_AT_ONCE = 256


def address_of(session: str, namespace: str, queue: str | None = None) -> SessionAddress:
    """A session id ``<agent>/<key>`` as the store addresses it; sending to it creates it."""
    agent, _ = split_session_id(session)
    check_agent(agent)
    return SessionAddress(session, agent, queue_name(namespace, queue), secrets.token_hex(8))


class SessionVerbs:
    """The verbs of sessions."""

    def __init__(
        self, namespace: str, now_ms: Callable[[], int], looking: Looking, agents: Container[str] | None = None
    ) -> None:
        """``agents``: those that this client has the code of, where it knows."""
        self._namespace = namespace
        self._now_ms = now_ms
        self._looking = looking
        self._agents = agents

    def send(self, session: str, queue: str | None, text: Any, key: str | None) -> Program[int]:
        """Put input into a session's inbox; its number there."""
        if key is not None:
            check_key(key, "key of an input")
        data, body = input_body(text)
        yield from handed(body, owner_of_session(session))
        sent = yield sessions.send(
            address_of(session, self._namespace, queue), body, key=key, canonical=content_json(data)
        )
        return int(sent.entry)

    def command(self, session: str, queue: str | None, name: str, payload: Any, key: str | None) -> Program[int]:
        """Put a command into a session's inbox; its number there."""
        if key is not None:
            check_key(key, "key of a command")
        data = typed.asked(payload, what=f"command {name}")
        body = to_json({"kind": "command", "name": check_name(name, "command"), "input": data})
        check_size(f"command {name}", body, MAX_PAYLOAD)
        canonical = content_json([name, data])
        yield from handed(body, owner_of_session(session))
        sent = yield sessions.send(
            address_of(session, self._namespace, queue), body, key=key, canonical=canonical, kind="command"
        )
        return int(sent.entry)

    def create(self, session: str, queue: str | None) -> Program[None]:
        """Create the session where it does not exist."""
        yield sessions.create(address_of(session, self._namespace, queue))

    def delete(self, session: str) -> Program[Deleted]:
        """Delete it for ever."""
        done = yield sessions.delete(session)
        return cast("Deleted", done)

    def ask(self, session: str, queue: str | None, text: Any, key: str | None, timeout: Duration) -> Program[Any]:
        """Send, and wait for what the turn that takes it returns; raises `WaitFailed` where it is undeliverable."""
        limit = parse_duration(timeout)
        entry = yield from self.send(session, queue, text, key)
        deadline, pause = self._now_ms() + limit, FIRST_LOOK_MS
        while True:
            view: StoredInbox = yield entries.look(session, limit=1, n=entry)
            found = entry_of(view.entries[0])
            if found.state in ("settled", "failed"):
                output = yield from self._looking.await_output(str(found.turn), 1000)
                return raise_for(str(found.turn), output)
            if found.state == "undeliverable":
                raise WaitFailed(
                    what=f"an answer of session {session}", failure_code="undeliverable", failure_message=explain(found)
                )
            if found.by is not None:
                entry = found.by  # somebody offered it again
                continue
            left = deadline - self._now_ms()
            if left <= 0:
                raise WaitTimeout(what=f"an answer of session {session}")
            yield Change(view.head.turn or "none", 0, min(left, pause))
            pause = min(pause * 2, LAST_LOOK_MS)

    def follow(self, session: str, cursor: str | None) -> Program[FeedPage]:
        """What changed after a cursor, once something did; from now on without one."""
        pause = FIRST_LOOK_MS
        while True:
            page: FeedPage = yield feed.follow(session, cursor)
            if page.items or page.over or cursor is None:
                return page
            yield Change(session, page.reached, pause, "feed")
            pause = min(pause * 2, LAST_LOOK_MS)

    def append(self, session: str, messages: Sequence[Any], ancestor: int | None) -> Program[int]:
        """Append messages to the history; the revision now."""
        if len(messages) > MOST_AT_ONCE:
            raise InvalidArguments(
                name="append", reason=f"it has {len(messages)} messages, at most {MOST_AT_ONCE} are appended at once"
            )
        revision: int = yield feed.append(session, [as_stored(one) for one in messages], ancestor=ancestor)
        return revision

    def graph(self, session: str) -> Program[SessionNode]:
        """Where it stands among others."""
        node: SessionNode = yield feed.graph(session)
        return node

    def view(self, session: str, *, after: int = 0, count: int = 100, entries: int = 50) -> Program[SessionView]:
        """Head, state, history and inbox of one moment; raises `SessionNotFound`."""
        for what, given in (("after", after), ("count", count), ("entries", entries)):
            check_number(what, given, least=0)
        seen: StoredSession = yield sessions.read(session, after=after, count=count, entries=entries)
        view = yield from self._shown(seen)
        return with_contents(view, seen)

    def _shown(self, seen: StoredInbox | StoredSession) -> Program[SessionView]:
        """A session, with why its turn waits: where the turn's own record does not say, its queue is looked at."""
        view, queue = session_of(seen), turn_waits(seen)
        if queue is None:
            return view
        [[state], _] = yield queues.list_queues([queue])
        return turn_held_up(view, state)

    def history(self, session: str, *, after: int, count: int, frame: str | None) -> Program[Page[Message]]:
        """Messages after a number, of one frame or all, oldest first."""
        check_number("count", count, least=0)
        check_number("after", after, least=0)
        found: list[Message] = []
        while len(found) <= count:
            view: StoredSession = yield sessions.read(
                session, after=after, count=count + 1 - len(found), entries=0, frame=frame
            )
            found += history_of(view)
            if view.stopped is None:
                break
            after = view.stopped
        return first_of(found, count)

    def state(self, session: str) -> Program[dict[str, Any]]:
        """The agent's state as of the latest committed turn."""
        seen: StoredSession = yield sessions.read(session, count=0, entries=0)
        return state_of(seen)

    def turn(self, session: str) -> Program[str | None]:
        """The id of the turn that runs or waits now, if any."""
        seen: StoredSession = yield sessions.read(session, count=0, entries=0)
        return seen.head.turn

    def frames(self, session: str) -> Program[dict[str, int]]:
        """Its agent frames, each with the ms at which it was opened."""
        found = yield sessions.frames(session)
        return dict(found)

    # -- the life of entries
    # -----------------------------------------------------------------------------------------------------

    def inspect(self, session: str) -> Program[SessionView]:
        """What there is to know of it but its contents; also of a deleted one."""
        seen = yield entries.look(session, limit=0)
        view = yield from self._shown(seen)
        return view

    def listed(self, limit: int) -> Program[Page[SessionView]]:
        """Sessions by last activity, latest first."""
        check_number("limit", limit)
        found: list[StoredInbox] = yield sessions.list_sessions(limit + 1)
        page = first_of(found, limit)
        waits = {seen.session_id: queue for seen in page if (queue := turn_waits(seen)) is not None}
        states: dict[str, QueueState] = {}
        if waits:
            known, _ = yield queues.list_queues(sorted(set(waits.values())))
            states = {state.name: state for state in known}
        shown = [(session_of(seen), states.get(waits.get(seen.session_id, ""))) for seen in page]
        return Page([turn_held_up(one, queue) if queue else one for one, queue in shown], more=page.more)

    def wakes(self, session: str, *, after: int | None, before: int | None, limit: int) -> Program[Page[EntryView]]:
        """The latest entries, those before a number, or those after one, by number."""
        check_number("limit", limit)
        for what, given in (("after", after), ("before", before)):
            if given is not None:
                check_number(what, given, least=0)
        if after is not None and before is not None:
            raise InvalidArguments(name="wakes", reason="after= and before= exclude each other: page in one direction")
        found: list[EntryView] = []
        while len(found) <= limit:
            view: StoredInbox = yield entries.look(
                session, after=after, before=before, limit=min(limit + 1 - len(found), entries.MOST)
            )
            waits = why_unread(view.head, self._agents)
            page = [entry_of(entry, waits) for entry in view.entries]
            found = [*found, *page] if after is not None else [*page, *found]
            if view.following is None:
                break
            after, before = (view.following, None) if after is not None else (None, view.following)
        if after is not None:
            return first_of(found, limit)
        return Page(found[-limit:], more=len(found) > limit)

    def why(self, session: str, entry: int | None) -> Program[str]:
        """Why it does, or does not, go on; or why it did, or did not, wake for an entry."""
        if entry is not None:
            check_number("entry", entry)
            seen = yield entries.look(session, limit=1, n=entry)
            found = entry_of(seen.entries[0])
            if found.state not in ("delivered", "admitted"):
                return explain(found)
            # A waiting entry waits for what its session waits for.
            view = yield from self._shown(seen)
            return f"{explain(found)}; {view.why}"
        view = yield from self.inspect(session)
        return view.why

    def why_address(self, address: str) -> Program[str]:
        """`why` of ``<agent>/<key>``, of an entry ``<agent>/<key>#<n>``, or of the wake that an event ``<process
        id>#<sequence>`` is.

        An address that can be read in several ways means what is there: the entry of a session, else the event of a
        process, else a session whose key
        ends like a number.
        """
        try:
            meanings = readings(address)
        except InvalidId as error:
            raise (yield from self._of_a_process(address, error)) from None
        first: WakelineError | None = None
        for meant in meanings:
            try:
                if meant.session is not None:
                    told = yield from self.why(meant.session, meant.n)
                else:
                    told = yield from self._why_event(str(meant.process), meant.n or 0)
            except (SessionNotFound, EntryNotFound, ProcessNotFound) as error:
                first = first or error
            else:
                return told
        assert first is not None
        raise missing(address, first)

    def _of_a_process(self, address: str, error: InvalidId) -> Program[InvalidId]:
        """The error about a text that is no address, which says where to look where it is the id of a process."""
        try:
            yield processes.read(check_process_id(address, system=True))
        except (InvalidId, ProcessNotFound, ProcessNoLongerRetained):
            return error
        also = f"; it is the id of a process, of which `wakeline show {argument(address)}` tells"
        return InvalidId(kind=error.kind, value=address, grammar=f"{error.grammar}{also}")

    def _why_event(self, process_id: str, sequence: int) -> Program[str]:
        view: processes.StoredProcess = yield processes.read(process_id, after=sequence - 1, count=1)
        if not view.events or view.events[0].sequence != sequence:
            return wakes.no_event(view, sequence)
        targets = wakes.targets_of(view)
        for session in targets:
            try:
                inbox: StoredInbox = yield entries.look(session, limit=1000)
            except SessionNotFound:
                continue
            for entry in map(entry_of, inbox.entries):
                if (entry.process_id, entry.sequence) == (process_id, sequence):
                    told = yield from self.why(session, entry.n)
                    return wakes.woke(view, entry, told)
                if f"{process_id}#{sequence}" in entry.swallowed_wakes:
                    return wakes.superseded(view, entry)
        return wakes.no_wake(view, targets)

    def redrive(self, session: str, entry: int | None) -> Program[int]:
        """Offer an entry again: the one that blocks the session, unless told which. The number it has now."""
        if entry is None:
            entry = yield from self._blocking(session)
        check_number("entry", entry)
        again = yield entries.redrive(session, entry)
        return int(again)

    def skip(self, session: str) -> Program[int]:
        """Give up on the entry that blocks the session; its number."""
        n = yield from self._blocking(session)
        skipped = yield entries.skip(session, n)
        return int(skipped)

    def _blocking(self, session: str) -> Program[int]:
        view = yield from self.inspect(session)
        if view.blocked_by is None:
            raise NothingBlocks(session_id=session, state=view.status)
        return int(view.blocked_by)

    def undeliverable(self, limit: int, session: str | None = None) -> Program[Page[EntryView]]:
        """Entries of one session or of all that are undeliverable, failed or blocking, the latest first."""
        check_number("limit", limit)
        found: list[EntryView] = []
        behind: str | None = None
        seen = 0
        while len(found) <= limit:
            page, behind = yield entries.undeliverable(
                limit + 1 - len(found) if session is None else entries.MOST, behind=behind, seen=seen
            )
            found += [entry_of(entry) for entry in page if session in (None, entry.session_id)]
            seen += len(page)
            if behind is None:
                break
        return first_of(found, limit)


def as_stored(message: Any) -> tuple[str, str]:
    """A message of a history as it is stored, and its id, which is random where it has none: even then a resend of the
    call is no second message.

    Raises `InvalidPayload`, `PayloadTooLarge`.
    """
    data: Any = typed.dump(message, what="the message")
    if not isinstance(data, dict) or not isinstance(cast("Any", data).get("role"), str):
        raise InvalidPayload(what="The message", reason="it has to be an object with a role, and with content")
    kept = cast("dict[str, Any]", data)
    text = to_json(kept)
    check_size("the message", text, MAX_PAYLOAD)
    return text, check_key(kept["id"], "message id") if "id" in kept else secrets.token_hex(12)


def input_body(text: Any) -> tuple[Any, str]:
    """A user's input as JSON data, and as the body of an entry; raises `InvalidPayload`, `PayloadTooLarge`."""
    data = typed.asked(text, what="the input")
    body = to_json({"kind": "input", "input": data})
    check_size("the input", body, MAX_PAYLOAD)
    return data, body
