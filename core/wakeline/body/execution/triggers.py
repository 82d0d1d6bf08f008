"""Triggers as running work sees them: the store of subscriptions, for whom it registers one, and what its tools
emitted.

Invariant: a subscription belongs to the session that a chain began in, never to the ephemeral scope of a process.
"""

from __future__ import annotations

from wakeline.body.execution.facts import Facts, is_ephemeral
from wakeline.body.triggers import Registrar
from wakeline.causality import Originator, SessionOriginator, SessionScope
from wakeline.store.awaited import AsyncStore
from wakeline.store.triggers import Subscribed, SubscriptionView
from wakeline.triggers.occurrence import Occurrence
from wakeline.triggers.subscription import Subscription
from wakeline.verbs import triggers as verbs
from wakeline.verbs.triggers import Receipt


class TriggerStore:
    """Subscriptions and occurrences of the namespace, at the low level: nothing here is recorded as an effect, every
    verb may be repeated."""

    def __init__(self, facts: Facts, store: AsyncStore, registrar: Registrar) -> None:
        self._facts, self._store, self._registrar = facts, store, registrar

    async def subscribe(self, subscription: Subscription, *, revision: int | None = None) -> Subscribed:
        """Subscribe, or change a subscription; with ``revision`` only if it is still that one.

        Originator and wake target are those of this work, whatever the subscription says: nobody subscribes in the name
        of another session.
        """
        own = {"originator": self._registrar.originator, "wake_target": self._registrar.wake_target}
        return await self._store.run(verbs.subscribe(subscription.model_copy(update=own), revision))

    async def cancel(self, source: str, subscription_id: str) -> bool:
        """Disable a subscription of the own session, or the host's where there is none; whether that changed
        anything."""
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
        """Where subscriptions and occurrences are; None outside a process, where `App.trigger` is."""
        run = self.services.run
        return None if run is None else TriggerStore(self, run.store, self.trigger_registrar)

    @property
    def trigger_registration_originator(self) -> Originator:
        """Who a subscription made here belongs to: whoever the chain began with; outside a process the own session."""
        return self.process_originator or SessionOriginator(scope=self.session_scope)

    @property
    def trigger_registration_wake_target(self) -> SessionScope | None:
        """Whom what a subscription starts wakes: the chain's target, else the own session. None for a process that has
        neither: its ephemeral
        scope ends with it, and nobody would ever read what is sent there."""
        if self.process_wake_target is not None or self.runtime_process_id is not None or is_ephemeral(self.session_id):
            return self.process_wake_target
        return self.session_scope

    @property
    def trigger_registrar(self) -> Registrar:
        """Both of them."""
        return Registrar(self.trigger_registration_originator, self.trigger_registration_wake_target)

    def drain_tool_trigger_outcomes(self) -> list[Receipt]:
        """What tools of this run emitted since the last drain, in order; a replayed call has its own again."""
        return self.services.dispatch.trigger_outcomes.drain()
