"""Commands about triggers: what is subscribed and scheduled, emit, enable, disable, remove.

Invariant: its source, and its name or id, name a subscription. The source cron and its name name a schedule.
"""

from __future__ import annotations

from typing import Literal

import click
from wakeline import errors
from wakeline.shown import moment
from wakeline.store import triggers as calls
from wakeline.triggers.schedule import SOURCE

from wakeline_workers.cli.root import Console, command, group, option, payload
from wakeline_workers.cli.watching import watched


@group("triggers")
@watched
@click.pass_context
def triggers(context: click.Context) -> None:
    """List subscriptions and schedules, or emit, enable, disable, remove."""
    if context.invoked_subcommand is not None:
        return
    console: Console = context.obj
    from wakeline.verbs.triggers import listed

    subscriptions, schedules = console.app.store.run(listed())
    subscribed = [view.to_data() for view in subscriptions]
    scheduled = [view.to_data() for view in schedules]
    cells = [
        (one["source"], one["name"], one["starts"], "" if one["enabled"] else "disabled", one["owner"] or "", one["id"])
        for one in subscribed
    ]
    cells += [
        (
            one["source"],
            one["name"],
            one["starts"],
            f"next {moment(one['due_ms'])}" if one["due_ms"] else "",
            "",
            one["expression"],
        )
        for one in scheduled
    ]
    data = [*subscribed, *scheduled]
    headings = ("SOURCE", "NAME", "STARTS", "STATE", "OWNER", "ID")
    console.table(headings, cells, data, empty="nothing is subscribed", keep=2, ids=(4, 5))


@command("emit", of=triggers)
@click.argument("source")
@click.argument("text", metavar="[JSON]", required=False)
@option("--key", help="The same key again is the same occurrence.")
@option("--source-key", help="Which of the source's things the occurrence is about.")
@click.pass_obj
def emit(console: Console, source: str, text: str | None, key: str | None, source_key: str | None) -> int:
    """Say that something happened at a source.

    JSON is its payload, null unless given, or - for stdin.
    Prints the processes that it starts; exits 1 if one of them cannot be started.
    """
    receipt = console.app.trigger(source).emit(
        payload("The payload", text if text is not None else "null"), key=key, source_key=source_key
    )
    data = {
        "occurrence": receipt.occurrence_id,
        "replayed": receipt.replayed,
        "started": list(receipt.started),
        "waiting": list(receipt.waiting),
        "failed": [{"subscription": subscription, "reason": reason} for subscription, reason in receipt.failed],
    }
    console.answer(data, *receipt.started)
    for subscription in receipt.waiting:
        console.note(f"{subscription} waits for a worker that has its code")
    for subscription, reason in receipt.failed:
        console.note(f"wakeline: {subscription} starts nothing: {reason}")
    return 1 if receipt.failed else 0


def _switch(console: Console, source: str, given: str, to: Literal["1", "0", ""], word: str) -> None:
    from wakeline.verbs.triggers import listed, switch

    if source == SOURCE:
        if to != "":
            raise click.UsageError(
                "A schedule is declared in code: change it there. `triggers remove cron NAME` removes one that no "
                "code declares"
                " any more."
            )
        console.app.store.execute(calls.remove_schedule(given))
        console.answer({"source": source, "name": given, "changed": True}, f"{given} removed")
        return
    subscriptions, _ = console.app.store.run(listed(source))
    found = [view for view in subscriptions if given in (view.id, view.subscription.name)]
    if not found:
        raise errors.SubscriptionNotFound(source=source, subscription=given)
    for view in found:
        changed = console.app.store.run(switch(source, view.id, to, revision=view.revision))
        console.answer({"source": source, "id": view.id, "changed": changed}, f"{view.id} {word}")


@command("enable", of=triggers)
@click.argument("source")
@click.argument("subscription")
@click.pass_obj
def enable(console: Console, source: str, subscription: str) -> None:
    """Let a subscription take occurrences again."""
    _switch(console, source, subscription, "1", "enabled")


@command("disable", of=triggers)
@click.argument("source")
@click.argument("subscription")
@click.pass_obj
def disable(console: Console, source: str, subscription: str) -> None:
    """Let a subscription take no occurrences."""
    _switch(console, source, subscription, "0", "disabled")


@command("remove", of=triggers)
@click.argument("source")
@click.argument("subscription")
@click.pass_obj
def remove(console: Console, source: str, subscription: str) -> None:
    """Forget a subscription, or (source cron) a schedule that no code declares."""
    _switch(console, source, subscription, "", "removed")
