"""Triggers for running work: the store of subscriptions, for whom it registers one, and what its tools emitted.

Invariant: a subscription belongs to the session in which a chain began, never to the ephemeral scope of a process.
"""

from __future__ import annotations

from wakeline.body.execution.facts import Facts, is_ephemeral
from wakeline.body.triggers import Registrar
from wakeline.causality import Originator, SessionOriginator, SessionScope
from wakeline.observe.triggers import SubscriptionView
from wakeline.store.awaited import AsyncStore
from wakeline.store.triggers import Subscribed
from wakeline.triggers.occurrence import Occurrence
from wakeline.triggers.subscription import Subscription
from wakeline.verbs import triggers as verbs
from wakeline.verbs.triggers import Receipt


class TriggerStore:
    """Subscriptions and occurrences of the namespace, at the low level. Nothing here is recorded as an effect, and
    every verb may be repeated."""

    def __init__(self, facts: Facts, store: AsyncStore, registrar: Registrar) -> None:
        self._facts, self._store, self._registrar = facts, store, registrar

    async def subscribe(self, subscription: Subscription, *, revision: int | None = None) -> Subscribed:
        """Subscribe, or change a subscription; with ``revision`` only if it still has that revision.

        Originator and wake target are those of this work, and not those in the subscription. So no work subscribes in
        the name of another session.
        """
        own = {"originator": self._registrar.originator, "wake_target": self._registrar.wake_target}
        return await self._store.run(verbs.subscribe(subscription.model_copy(update=own), revision))

    async def cancel(self, source: str, subscription_id: str) -> bool:
        """Disable a subscription of the own session, or of the host if there is no session. Returns whether that
        changed anything."""
        scope = self._facts.session_id
        owner = "" if is_ephemeral(scope) else scope
        return await self._store.run(verbs.switch(source, subscription_id, "0", owner=owner))

    async def list(self, source: str | None = None) -> list[SubscriptionView]:
        """Subscriptions of a source, or of all."""
        return await self._store.run(verbs.subscriptions(source))

    async def emit(self, occurrence: Occurrence) -> Receipt:
        """Record an occurrence and start what it reaches."""
        run = self._facts.in_process("trigger_store.emit")
        return await self._store.run(verbs.emit(run.caller, occurrence))


class Triggering(Facts):
    """Registering for triggers, and what was emitted."""

    @property
    def trigger_store(self) -> TriggerStore | None:
        """The store of subscriptions and occurrences; None outside a process, which uses `App.trigger`."""
        run = self.services.run
        return None if run is None else TriggerStore(self, run.store, self.trigger_registrar)

    @property
    def trigger_registration_originator(self) -> Originator:
        """The owner of a subscription made here: the originator of the chain; outside a process, its own session."""
        return self.process_originator or SessionOriginator(scope=self.session_scope)

    @property
    def trigger_registration_wake_target(self) -> SessionScope | None:
        """The session that processes of a subscription wake: the chain's target, or else the own session. None for a
        process with neither, because its ephemeral scope ends with it, and no reader would ever look there."""
        if self.process_wake_target is not None or self.runtime_process_id is not None or is_ephemeral(self.session_id):
            return self.process_wake_target
        return self.session_scope

    @property
    def trigger_registrar(self) -> Registrar:
        """Originator and wake target of subscriptions made here."""
        return Registrar(self.trigger_registration_originator, self.trigger_registration_wake_target)

    def drain_tool_trigger_outcomes(self) -> list[Receipt]:
        """The receipts of what tools of this run emitted since the last drain, in order. A replayed call has its
        receipts again."""
        return self.services.dispatch.trigger_outcomes.drain()
