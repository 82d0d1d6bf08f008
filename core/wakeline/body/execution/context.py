"""`ExecutionContext`: the facts and verbs together, and how one is made.

Invariant: every worker rebuilds the context of a run from the claim alone; it is never stored or sent.
"""

from __future__ import annotations

import secrets

from wakeline.body.execution.facts import ExecutionIdentity, Lineage, Services, host_identity, identity_of
from wakeline.body.execution.insession import InSession
from wakeline.body.execution.recording import Recording
from wakeline.body.execution.triggers import Triggering
from wakeline.body.execution.waits import WaitVerbs
from wakeline.causality import start_invocation
from wakeline.engines.registry import Registry
from wakeline.run.dispatch import ToolDispatch
from wakeline.run.run import Run


class ExecutionContext(InSession, Triggering, WaitVerbs, Recording):
    """What running work can see and do: ``ctx.execution``. docs/reference-map.md has a row for every member."""

    @classmethod
    def new(cls, identity: ExecutionIdentity, services: Services, lineage: Lineage | None = None) -> ExecutionContext:
        """A context of these parts. It has facts of a process only if the lineage has them."""
        return cls(identity, lineage or Lineage(), services)


def execution_of(run: Run) -> ExecutionContext:
    """The context of a running process."""
    registration = run.registration
    lineage = Lineage(
        originator=registration.provenance.originator,
        wake_target=registration.wake_target,
        env_ref=registration.env_ref,
        env_spec=run.environment,
        parent_invocation=start_invocation(registration.id, registration.provenance.caused_by),
    )
    services = Services(run.namespace, run, run.started, run.dispatch, run.instruments)
    return ExecutionContext(identity_of(run), lineage, services, run.cancellation)


def outside(namespace: str, registry: Registry, session_id: str | None = None) -> ExecutionContext:
    """The context of host code that is no process. It may have a session. Verbs that need a process raise an error that
    says so."""
    services = Services(namespace, dispatch=ToolDispatch.of(registry))
    return ExecutionContext(
        host_identity(session_id, f"host-{secrets.token_hex(6)}"), Lineage(env_spec=registry.environment), services
    )
