"""`Trigger`: a source from outside, where code says what happened and what that starts.

Invariant: a source is a name, and needs no declaration. If a type of its payload is given, it is checked before
anything is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wakeline.client.drivers import AwaitedDriver, BlockingDriver
from wakeline.names import check_source
from wakeline.observe.triggers import SubscriptionView
from wakeline.store.calls import Program
from wakeline.store.triggers import Subscribed
from wakeline.typed import check_kind
from wakeline.verbs import triggers
from wakeline.verbs.caller import Caller
from wakeline.verbs.options import WakeTarget
from wakeline.verbs.triggers import Body, Receipt, occurrence_of, subscription_to


@dataclass(frozen=True, slots=True)
class Source:
    """A source and its code: the programs of both faces of a trigger."""

    caller: Caller = field(repr=False)
    source: str
    kind: Any = Any

    @classmethod
    def of(cls, caller: Caller, source: str, kind: Any) -> Source:
        """The source of a name; raises `InvalidId`, and `BodyInvalid` for a type of payload that is not JSON."""
        check_kind(f"trigger {source}", kind)
        return cls(caller, check_source(source), kind)

    def emitting(self, payload: Any, key: str | None, source_key: str | None) -> Program[Receipt]:
        return triggers.emit(self.caller, occurrence_of(self.source, self.kind, payload, key, source_key))

    def subscribing(self, body: Body, revision: int | None, options: dict[str, Any]) -> Program[Subscribed]:
        subscription = subscription_to(self.source, body, captured=self.caller.environment, **options)
        return triggers.subscribe(subscription, revision)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A source, blocking: emit what happened there, subscribe bodies to it."""

    client: BlockingDriver = field(repr=False)
    at: Source

    def emit(self, payload: Any = None, *, key: str | None = None, source_key: str | None = None) -> Receipt:
        """Record an occurrence and start what is subscribed; the same ``key`` is the same occurrence.

        Raises `InvalidPayload`, `PayloadTooLarge`, `OccurrenceConflict`. The receipt names subscriptions whose start
        failed.
        """
        return self.client.run("trigger.emit", self.at.emitting(payload, key, source_key))

    def subscribe(
        self,
        body: Body,
        *,
        name: str | None = None,
        source_key: str | None = None,
        input: Mapping[str, Any] | None = None,  # noqa: A002
        wake: WakeTarget | str | None = None,
        queue: str | None = None,
        labels: dict[str, str] | None = None,
        revision: int | None = None,
    ) -> Subscribed:
        """Start a body with every occurrence, or with those of one ``source_key``.

        The same ``name`` (the body's, unless given) is the same subscription. With ``revision`` it is changed only if
        it still has that revision. ``input`` says the value of each argument, such as ``{"order": "{order.id}", "all":
        "{}", "why": "pushed by {user}", "limit": 3}``. Without it the payload's fields are the arguments by name, or
        the payload is the one argument. Raises `SubscriptionChanged`, `SubscriptionLimit`, `InvalidArguments`.
        """
        options = {
            "name": name,
            "source_key": source_key,
            "input": input,
            "wake": wake,
            "queue": queue,
            "labels": labels,
        }
        return self.client.run("trigger.subscribe", self.at.subscribing(body, revision, options))

    def subscriptions(self) -> list[SubscriptionView]:
        """The subscriptions of all owners."""
        return self.client.run("trigger.subscriptions", triggers.subscriptions(self.at.source))

    def enable(self, subscription: str, *, revision: int | None = None) -> bool:
        """Let it take occurrences again; returns whether that changed anything. Raises `SubscriptionNotFound`,
        `SubscriptionChanged`."""
        return self.client.run("trigger.enable", triggers.switch(self.at.source, subscription, "1", revision=revision))

    def disable(self, subscription: str, *, revision: int | None = None) -> bool:
        """Let it take no occurrences until it is enabled. Reserved deliveries are still made."""
        return self.client.run("trigger.disable", triggers.switch(self.at.source, subscription, "0", revision=revision))

    def remove(self, subscription: str, *, revision: int | None = None) -> None:
        """Forget it. Reserved deliveries are still made."""
        self.client.run("trigger.remove", triggers.switch(self.at.source, subscription, "", revision=revision))


@dataclass(frozen=True, slots=True)
class AsyncTrigger:
    """`Trigger`, awaited."""

    client: AwaitedDriver = field(repr=False)
    at: Source

    async def emit(self, payload: Any = None, *, key: str | None = None, source_key: str | None = None) -> Receipt:
        """Record that it happened and start what is subscribed."""
        return await self.client.run("trigger.emit", self.at.emitting(payload, key, source_key))

    async def subscribe(
        self,
        body: Body,
        *,
        name: str | None = None,
        source_key: str | None = None,
        input: Mapping[str, Any] | None = None,  # noqa: A002
        wake: WakeTarget | str | None = None,
        queue: str | None = None,
        labels: dict[str, str] | None = None,
        revision: int | None = None,
    ) -> Subscribed:
        """Start this body with every occurrence, or those of one ``source_key``."""
        options = {
            "name": name,
            "source_key": source_key,
            "input": input,
            "wake": wake,
            "queue": queue,
            "labels": labels,
        }
        return await self.client.run("trigger.subscribe", self.at.subscribing(body, revision, options))

    async def subscriptions(self) -> list[SubscriptionView]:
        """The subscriptions of all owners."""
        return await self.client.run("trigger.subscriptions", triggers.subscriptions(self.at.source))

    async def enable(self, subscription: str, *, revision: int | None = None) -> bool:
        """Let it take occurrences again; returns whether that changed anything."""
        return await self.client.run(
            "trigger.enable", triggers.switch(self.at.source, subscription, "1", revision=revision)
        )

    async def disable(self, subscription: str, *, revision: int | None = None) -> bool:
        """Let it take no occurrences until it is enabled."""
        return await self.client.run(
            "trigger.disable", triggers.switch(self.at.source, subscription, "0", revision=revision)
        )

    async def remove(self, subscription: str, *, revision: int | None = None) -> None:
        """Forget it."""
        await self.client.run("trigger.remove", triggers.switch(self.at.source, subscription, "", revision=revision))
