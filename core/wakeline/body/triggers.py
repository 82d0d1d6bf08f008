"""A trigger inside a body: emitting and subscribing as effects of the run.

Invariant: the key of an occurrence without a given key follows from the call. So after a crash between the occurrence
and its record, the same occurrence is emitted again, and no second one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wakeline.causality import Originator, SessionScope
from wakeline.run.bridge import Bridge
from wakeline.run.run import Run
from wakeline.store.triggers import Subscribed
from wakeline.verbs import triggers
from wakeline.verbs.options import WakeTarget
from wakeline.verbs.triggers import Body, Receipt, occurrence_of, receipt_from, subscription_to


@dataclass(frozen=True, slots=True)
class Registrar:
    """For whom a run subscribes: the owner of the subscription, and the session that its starts wake."""

    originator: Originator | None
    wake_target: SessionScope | None


class AsyncBodyTrigger:
    """A source, in an ``async def`` body."""

    def __init__(self, run: Run, source: str, kind: Any, registrar: Registrar) -> None:
        self._run, self._source, self._kind, self._registrar = run, source, kind, registrar

    async def emit(self, payload: Any = None, *, key: str | None = None, source_key: str | None = None) -> Receipt:
        """Record an occurrence and start what is subscribed, once, even after a crash.

        Raises `InvalidPayload`, `PayloadTooLarge`, `OccurrenceConflict`.
        """
        run = self._run
        async with run.journal.asking():
            given = occurrence_of(self._source, self._kind, payload, key, source_key)
        args = {"payload": given.payload, "key": key, "source_key": source_key}

        async def perform(row_key: str) -> Any:
            own = key if key is not None else f"{run.idempotency_key}:{row_key}"
            occurrence = occurrence_of(self._source, self._kind, payload, own, source_key)
            return asdict(await run.store.run(triggers.emit(run.caller, occurrence)))

        return receipt_from(await run.journal.effect("trigger", f"trigger:{self._source}", args, perform))

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
    ) -> Subscribed:
        """Start a body with every occurrence, or with those of one ``source_key``. A subscription of a session is
        removed with it, and wakes it unless ``wake`` says otherwise. Raises `SubscriptionLimit`, `InvalidArguments`,
        `SessionDeleted`."""
        run, registrar = self._run, self._registrar
        target = wake if wake is not None or registrar.wake_target is None else registrar.wake_target.session_id
        async with run.journal.asking():
            subscription = subscription_to(
                self._source,
                body,
                name=name,
                source_key=source_key,
                input=input,
                wake=target,
                queue=queue,
                labels=labels,
                originator=registrar.originator,
                captured=run.captured,
            )

        async def perform(_: str) -> Any:
            return asdict(await run.store.run(triggers.subscribe(subscription)))

        # Only the arguments of the body. The environment of the app is left out, because a deploy may change it while a
        # turn is parked.
        said = subscription.model_copy(update={"environment": None}).content_hash
        return Subscribed(
            **await run.journal.effect("subscribe", f"subscribe:{self._source}", {"content": said}, perform)
        )


class BodyTrigger:
    """A source, in a ``def`` body."""

    def __init__(self, inner: AsyncBodyTrigger, bridge: Bridge) -> None:
        self._inner, self._bridge = inner, bridge

    def emit(self, payload: Any = None, *, key: str | None = None, source_key: str | None = None) -> Receipt:
        """Record an occurrence and start what is subscribed, once, even after a crash."""
        return self._bridge.block(self._inner.emit(payload, key=key, source_key=source_key))

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
    ) -> Subscribed:
        """Start this body with every occurrence, or those of one ``source_key``."""
        verb = self._inner.subscribe(
            body, name=name, source_key=source_key, input=input, wake=wake, queue=queue, labels=labels
        )
        return self._bridge.block(verb)
