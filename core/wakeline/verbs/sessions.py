"""What is asked of a session: send, ask, look, delete. What becomes of its entries is in `wakeline.verbs.inbox`.

Invariant: an answer is the outcome of the turn that took the entry, never of another one.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from wakeline import typed
from wakeline.attachments.attachment import owner_of_session
from wakeline.errors import EntryNotFound, InvalidArguments, InvalidId, InvalidPayload, WaitFailed, WaitTimeout
from wakeline.names import check_agent, check_frame, check_key, check_name, split_session_id
from wakeline.observe.entries import entry_of, explain
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
from wakeline.pages import Page, first_of, place_of
from wakeline.processes.outputs import raise_for
from wakeline.sessions.admission import EntryKind
from wakeline.store import entries, feed, queues, sessions
from wakeline.store.calls import Change, Program
from wakeline.store.entries import StoredInbox
from wakeline.store.feed import FeedPage, SessionNode
from wakeline.store.keys import queue_name
from wakeline.store.queues import QueueState
from wakeline.store.sessions import Deleted, StoredSession
from wakeline.store.starts import SessionAddress
from wakeline.telemetry.headers import Headers
from wakeline.tools.tool import Duration
from wakeline.values import MAX_PAYLOAD, check_number, check_size, content_json, parse_duration, to_json
from wakeline.verbs.attachments import handed
from wakeline.verbs.caller import Caller
from wakeline.verbs.looks import await_output
from wakeline.verbs.recorder import Recorder, opened, written
from wakeline.verbs.sendings import told

MOST_AT_ONCE = 256


def address_of(session: str, namespace: str, queue: str | None = None) -> SessionAddress:
    """The store's address of a session id ``<agent>/<key>``. The first send to it creates it."""
    agent, _ = split_session_id(session)
    check_agent(agent)
    return SessionAddress(session, agent, queue_name(namespace, queue), secrets.token_hex(8))


def send(
    caller: Caller, session: str, queue: str | None, text: Any, key: str | None, *, effect: Recorder | None = None
) -> Program[int]:
    """Put input into a session's inbox; returns its number there. Raises `ReplayConflict`, `SessionDeleted`."""
    if key is not None and effect is None:  # that of a body was checked when it had no replay key, or is made of one
        check_key(key, "key of an input")
    data = typed.asked(text, what="the input")
    body = to_json({"kind": "input", "input": data})
    check_size("the input", body, MAX_PAYLOAD)
    address = address_of(session, caller.namespace, queue)
    return (yield from _put(caller, address, body, key, content_json(data), "input", effect))


def command(caller: Caller, session: str, queue: str | None, name: str, payload: Any, key: str | None) -> Program[int]:
    """Put a command into a session's inbox; returns its number there."""
    if key is not None:
        check_key(key, "key of a command")
    data = typed.asked(payload, what=f"command {name}")
    body = to_json({"kind": "command", "name": check_name(name, "command"), "input": data})
    check_size(f"command {name}", body, MAX_PAYLOAD)
    address = address_of(session, caller.namespace, queue)
    return (yield from _put(caller, address, body, key, content_json([name, data]), "command", None))


def _put(
    caller: Caller,
    address: SessionAddress,
    body: str,
    key: str | None,
    canonical: str,
    kind: EntryKind,
    effect: Recorder | None,
) -> Program[int]:
    program = partial(_put_with, address, body, key, canonical, kind, effect)
    if not caller.instruments.sendings:
        return program(None)
    agent, _ = split_session_id(address.session_id)
    return told(caller.instruments, program, "send", address.session_id, agent, key=key)


def _put_with(
    address: SessionAddress,
    body: str,
    key: str | None,
    canonical: str,
    kind: EntryKind,
    effect: Recorder | None,
    headers: Headers | None,
) -> Program[int]:
    yield from handed(body, owner_of_session(address.session_id), effect)
    sent = yield from written(
        lambda made: sessions.send(address, body, key=key, canonical=canonical, kind=kind, effect=made).with_headers(
            headers
        ),
        effect,
        opened(effect),
    )
    return sent.entry


def create(caller: Caller, session: str, queue: str | None) -> Program[None]:
    """Create the session if it does not exist."""
    yield sessions.create(address_of(session, caller.namespace, queue))


def delete(session: str) -> Program[Deleted]:
    """Delete it permanently."""
    done = yield sessions.delete(session)
    return cast("Deleted", done)


def ask(caller: Caller, session: str, queue: str | None, text: Any, key: str | None, timeout: Duration) -> Program[Any]:
    """Send, and wait for the return value of the turn that takes it; raises `WaitFailed` if it is undeliverable, and
    `EntryNotFound` or `SessionNotFound` if the store went back and lost it."""
    limit = parse_duration(timeout)
    entry = yield from send(caller, session, queue, text, key)
    deadline, recorded_ms = caller.now_ms() + limit, 0
    while True:
        view: StoredInbox = yield entries.look(session, limit=1, n=entry)
        found = entry_of(view.entries[0])
        recorded_ms = recorded_ms or found.recorded_ms
        if found.recorded_ms != recorded_ms:  # the store went back, and another entry has the number
            raise EntryNotFound(session_id=session, entry=entry)
        if found.state in ("settled", "failed"):
            output = yield from await_output(caller, str(found.turn), 1000)
            return raise_for(str(found.turn), output)
        if found.state == "undeliverable":
            raise WaitFailed(
                what=f"an answer of session {session}", failure_code="undeliverable", failure_message=explain(found)
            )
        if found.by is not None:
            entry, recorded_ms = found.by, 0  # it was offered again
            continue
        left = deadline - caller.now_ms()
        if left <= 0:
            raise WaitTimeout(what=f"an answer of session {session}")
        yield Change(f"{session}#{entry}", 0, left, "entry")


def follow(session: str, cursor: str | None) -> Program[FeedPage]:
    """Waits for a change after a cursor, and returns what changed; without a cursor it begins now."""
    while True:
        page: FeedPage = yield feed.follow(session, cursor)
        if page.items or page.over or cursor is None:
            return page
        yield Change(session, page.reached, of="feed")


def append(session: str, messages: Sequence[Any], ancestor: int | None) -> Program[int]:
    """Append messages to the history; returns the new revision."""
    if isinstance(messages, str | bytes) or not isinstance(messages, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArguments(name="append", reason=f"it takes a list of messages, not {messages!r}")
    if ancestor is not None:
        check_number("ancestor", ancestor, least=0)
    if len(messages) > MOST_AT_ONCE:
        raise InvalidArguments(
            name="append", reason=f"it has {len(messages)} messages, at most {MOST_AT_ONCE} are appended at once"
        )
    revision: int = yield feed.append(session, [as_stored(one) for one in messages], ancestor=ancestor)
    return revision


def graph(session: str) -> Program[SessionNode]:
    """Its links to other sessions."""
    node: SessionNode = yield feed.graph(session)
    return node


def view(session: str, *, after: int = 0, count: int = 100, entries: int = 50) -> Program[SessionView]:
    """Head, state, history and inbox at one moment; raises `SessionNotFound`."""
    for what, given in (("after", after), ("count", count), ("entries", entries)):
        check_number(what, given, least=0)
    seen: StoredSession = yield sessions.read(session, after=after, count=count, entries=entries)
    view = yield from shown_of(seen)
    return with_contents(view, seen)


def shown_of(seen: StoredInbox | StoredSession) -> Program[SessionView]:
    """A session, with the reason why its turn waits. If the turn's own record does not say it, its queue is looked
    at."""
    view, queue = session_of(seen), turn_waits(seen)
    if queue is None:
        return view
    [[state], _] = yield queues.list_queues([queue])
    return turn_held_up(view, state)


def history(session: str, *, after: int, count: int, frame: str | None) -> Program[Page[Message]]:
    """Messages after a number, of one frame or of all, oldest first."""
    check_number("count", count)
    check_number("after", after, least=0)
    if frame:  # "" is what was said before any frame
        check_frame(frame)
    elif frame not in (None, ""):
        raise InvalidId(kind="agent frame", value=frame, grammar="the name of a frame")
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


def state(session: str) -> Program[dict[str, Any]]:
    """The agent's state as of the latest committed turn."""
    seen: StoredSession = yield sessions.read(session, count=0, entries=0)
    return state_of(seen)


def turn(session: str) -> Program[str | None]:
    """The id of the turn that runs or waits now, if any."""
    seen: StoredSession = yield sessions.read(session, count=0, entries=0)
    return seen.head.turn


def frames(session: str) -> Program[dict[str, int]]:
    """Its agent frames, each with the time (ms) at which it was opened."""
    node = yield from graph(session)
    return dict(node.frames)


def inspect(session: str) -> Program[SessionView]:
    """All that is known of it except its contents, also for a deleted session."""
    seen = yield entries.look(session, limit=0)
    view = yield from shown_of(seen)
    return view


def listed(limit: int, after: str | None = None) -> Program[Page[SessionView]]:
    """Sessions by last activity, latest first, behind a cursor."""
    check_number("limit", limit)
    score, sid = place_of(after) if after is not None else (None, None)
    seen: dict[str, StoredInbox] = {}
    while len(seen) <= limit:
        asked = min(limit + 1 - len(seen), sessions.LISTED_AT_ONCE)
        part: list[StoredInbox] = yield sessions.list_sessions(asked, score=score, session_id=sid)
        for one in part:  # one that was active between two looks is shown once
            seen.setdefault(one.session_id, one)
        if len(part) < asked:
            break
        score, sid = part[-1].listed_at, part[-1].session_id
    found = list(seen.values())
    page = first_of(found, limit, [f"{one.listed_at}:{one.session_id}" for one in found])
    waits = {seen.session_id: queue for seen in page if (queue := turn_waits(seen)) is not None}
    states: dict[str, QueueState] = {}
    if waits:
        known, _ = yield queues.list_queues(sorted(set(waits.values())))
        states = {state.name: state for state in known}
    shown = [(session_of(seen), states.get(waits.get(seen.session_id, ""))) for seen in page]
    views = [turn_held_up(one, queue) if queue else one for one, queue in shown]
    return Page(views, more=page.more, following=page.next)


def as_stored(message: Any) -> tuple[str, str]:
    """A message of a history in its stored form, and its id. Without an id it gets a random one, so that a resend of
    the call is no second message.

    Raises `InvalidPayload`, `PayloadTooLarge`.
    """
    data: Any = typed.dump(message, what="the message")
    if not isinstance(data, dict) or not isinstance(cast("Any", data).get("role"), str):
        raise InvalidPayload(what="The message", reason="it has to be an object with a role, and with content")
    kept = cast("dict[str, Any]", data)
    text = to_json(kept)
    check_size("the message", text, MAX_PAYLOAD)
    return text, check_key(kept["id"], "message id") if "id" in kept else secrets.token_hex(12)
