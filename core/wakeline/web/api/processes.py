"""Routes of processes: list, start, read, result, events, effects, why, signals, cancel, retry.

Invariant: a route is a verb of `app.aio`, and decides nothing. The key of a repetition is that of the verb.
"""

from __future__ import annotations

import asyncio
from secrets import token_hex

from wakeline.causality import HostOriginator
from wakeline.errors import InvalidArguments, WaitTimeout
from wakeline.observe import EffectView, EventView, ProcessView, Status, WhyView
from wakeline.observe.events import EventPage
from wakeline.verbs import looks, starts
from wakeline.verbs.options import Options
from wakeline.web.answers import Answer, page_of, place_at, url_of
from wakeline.web.asked import Asked
from wakeline.web.documents import PageOf
from wakeline.web.routes import Route
from wakeline.web.shapes import (
    Cancelling,
    Id,
    Limited,
    Listing,
    LogWanted,
    Looking,
    Sequence,
    Standing,
    Starting,
    Waiting,
    WithResult,
)
from wakeline.web.who import Role

AT = "/v1/processes"
ONE = f"{AT}/{{id}}"


async def listed(asked: Asked) -> Answer:
    """Processes, newest first within each status. `status` is live, any, or one status."""
    query: Listing = asked.query
    found = await asked.app.aio.processes(
        query.status,
        kind=query.kind,
        session=query.session,
        waiting=query.waiting,
        parent=query.parent,
        limit=query.limit,
        after=place_at(query.after),
    )
    return page_of(asked, found, "processes")


async def start(asked: Asked) -> Answer:
    """Start an engine or a tool. The same id (or Idempotency-Key) with the same arguments is the same process: 201 if
    it is new, 200 if it was there. With `Prefer: wait=<seconds>` the answer is the result, or 202 if it has not come
    by then."""
    given: Starting = asked.body
    body = asked.app.registry.startable(given.name)
    pid, is_new = await asked.app.aio.store.run(
        starts.start_by(
            asked.app.caller,
            body,
            body.signature.bind_json(given.arguments),
            Options(**given.model_dump(exclude={"name", "arguments", "id"}), id=_own_id(asked, given)),
            HostOriginator(label=asked.who.name or None),
        )
    )
    headers = {"Location": url_of(asked, "processes", pid)}
    wait_s = asked.preferred_wait_s()
    if wait_s is None:
        return Answer({"id": pid}, 201 if is_new else 200, headers)
    headers["Preference-Applied"] = f"wait={wait_s}"
    try:
        value = await asked.app.aio.handle(pid).result(timeout=wait_s)
    except WaitTimeout:
        return Answer({"id": pid}, 202, headers)
    return Answer({"id": pid, "result": value}, 200, headers)


def _own_id(asked: Asked, given: Starting) -> str | None:
    if asked.key is not None and given.id is not None and asked.key != given.id:
        raise InvalidArguments(name="start", reason="the id of a start is its key, and Idempotency-Key is another one")
    return given.id if given.id is not None else asked.key


async def read(asked: Asked) -> Answer:
    """All that is known of a process. With `after=<sequence>` and `wait=<seconds>` it waits for a later event. An ETag
    saves sending it again."""
    query: Looking = asked.query
    handle = asked.app.aio.handle(asked.named["id"])
    if query.after is not None and query.wait:
        await _event_after(asked, query.after, query.wait)
    view = await handle.view()
    return Answer(view.to_data(), tagged=True)


async def _event_after(asked: Asked, after: int, wait_s: float) -> EventPage | None:
    """The events behind this one, once there are any or the process has ended; None if that takes longer."""
    try:
        async with asyncio.timeout(wait_s):
            return await asked.app.aio.store.run(
                looks.events(asked.app.aio.handle(asked.named["id"]).id, after, follow=True)
            )
    except TimeoutError:
        return None


async def result(asked: Asked) -> Answer:
    """The result of a process that has ended, else 202. `wait=<seconds>` waits for it. A process that failed is 424,
    one that was cancelled 409, and an abandoned one 410."""
    query: Waiting = asked.query
    handle = asked.app.aio.handle(asked.named["id"])
    try:
        value = await handle.result(timeout=query.wait)
    except WaitTimeout:
        return Answer({"id": handle.id, "status": (await handle.status()).status}, 202)
    return Answer({"id": handle.id, "result": value})


async def events(asked: Asked) -> Answer:
    """Its events behind a sequence, in pages. `wait=<seconds>` waits for the first one if there is none yet."""
    query: LogWanted = asked.query
    pid = asked.app.aio.handle(asked.named["id"]).id
    page = await _event_after(asked, query.after, query.wait) if query.wait else None
    if page is None:
        page = await asked.app.aio.store.run(looks.events(pid, query.after, follow=False))
    shown = page.events[: query.limit]
    more = len(page.events) > query.limit  # a page of the log has more than the most of one answer
    reached = shown[-1].sequence if shown else query.after
    return Answer({"events": [one.to_data() for one in shown], "more": more, "next": str(reached)})


async def effects(asked: Asked) -> Answer:
    """What its body has done since it began, or last went on as new: recorded effects in order, in pages."""
    query: Limited = asked.query
    handle = asked.app.aio.handle(asked.named["id"])
    found = await handle.effects(after=query.after if query.after is not None else 0, limit=query.limit)
    return Answer({"effects": [one.to_data() for one in found], "more": found.more, "next": found.next})


async def why(asked: Asked) -> Answer:
    """Why it is as it is: what it waits for, since when and until when, and what to do."""
    return Answer((await asked.app.aio.handle(asked.named["id"]).why()).to_data())


async def signal(asked: Asked) -> Answer:
    """Send a signal; the body is its payload. The same Idempotency-Key is the same signal."""
    key = asked.key if asked.key is not None else token_hex(12)
    handle = asked.app.aio.handle(asked.named["id"])
    sequence = await handle.signal(asked.named["name"], asked.body, key=key)
    return Answer({"sequence": sequence}, 202, {"Idempotency-Key": key})


async def cancel(asked: Asked) -> Answer:
    """Ask it to end. After the grace it is ended in any case. The answer has its present status."""
    given: Cancelling = asked.body
    by = f"requested by {asked.who.name}" if asked.who.name else "requested"
    handle = asked.app.aio.handle(asked.named["id"])
    status = await handle.cancel(given.reason if given.reason is not None else by)
    return Answer({"id": handle.id, "status": status}, 202)


async def retry(asked: Asked) -> Answer:
    """Run an ended process again, as a new process `<id>~r<n>`; asked again, it is the same one."""
    pid = (await asked.app.aio.handle(asked.named["id"]).retry()).id
    return Answer({"id": pid}, 200, {"Location": url_of(asked, "processes", pid)})


ROUTES = (
    Route("GET", AT, listed, Role.VIEW, {200: PageOf("processes", Status)}, Listing),
    Route("POST", AT, start, Role.OPERATE, {200: Id | WithResult, 201: Id, 202: Id}, body=Starting, keyed=True),
    Route("GET", ONE, read, Role.VIEW, {200: ProcessView, 304: None}, Looking),
    Route("GET", f"{ONE}/result", result, Role.VIEW, {200: WithResult, 202: Standing}, Waiting),
    Route("GET", f"{ONE}/events", events, Role.VIEW, {200: PageOf("events", EventView)}, LogWanted),
    Route("GET", f"{ONE}/effects", effects, Role.VIEW, {200: PageOf("effects", EffectView)}, Limited),
    Route("GET", f"{ONE}/why", why, Role.VIEW, {200: WhyView}),
    Route("POST", f"{ONE}/signals/{{name}}", signal, Role.ANSWER, {202: Sequence}, body=object, keyed=True),
    Route("POST", f"{ONE}/cancel", cancel, Role.OPERATE, {202: Standing}, body=Cancelling),
    Route("POST", f"{ONE}/retry", retry, Role.OPERATE, {200: Id}),
)
