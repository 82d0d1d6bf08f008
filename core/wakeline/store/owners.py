"""Owners: a worker that introduces itself, beats, and is reaped.

Invariant: an owner that is not registered can neither take nor claim. A reaped owner needs a new id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wakeline.errors import AgentConflict
from wakeline.processes.misfit import PATIENCE_MS
from wakeline.releases import Declared
from wakeline.sessions.admission import AdmissionPolicy
from wakeline.store.calls import Call, Reply, moment
from wakeline.values import to_json


@dataclass(frozen=True, slots=True)
class Introduced:
    """What a starting worker learns. It learns the time and the last tick of the namespace (server ms; None if not
    known). It also learns whether its declarations are in force, and whether its schedules still have to be written.
    """

    now_ms: int
    ticked_ms: int | None
    declares: bool = False
    unwritten: bool = False
    release: str | None = None
    """The name of its release here. It is another than its own if other code had that name first."""


def register_owner(
    owner: str,
    queues: Sequence[str],
    *,
    lease_ms: int,
    agents: Mapping[str, str] | None = None,
    app: str | None = None,
    limits: Mapping[str, str] | None = None,
    release: str | None = None,
    declared: Declared | None = None,
    patient: bool = False,
    codes: Sequence[str] | None = None,
    build: str | None = None,
    turns: Mapping[str, AdmissionPolicy] | None = None,
) -> Call[Introduced]:
    """Registers a starting worker. ``agents`` says what their turns take (`AdmissionPolicy.wire`), and ``limits`` what
    limits there are (`Limit.wire`, empty for none). ``release`` is that of its code, and ``codes`` are what it can run
    (`Registry.codes`).

    Agents and limits come into force with the release. ``declared`` is all that it declares; without it that is made of
    the other arguments. ``patient``: it is the job of a stock worker. ``build`` (`build_of`) tells its code from other
    code whose release has the same name. ``turns`` says what the turns of its agents take, if turns may be handed to
    it. Raises `AgentConflict` if a live worker of another ``app`` runs one of the agents.
    """
    if declared is None and (agents or limits):
        declared = Declared(app or "-", release, limits or {}, agents or {})
    args: dict[str, Any] = {
        "owner": owner,
        "queues": list(queues),
        "lease_ms": lease_ms,
        "app": app,
        "release": release,
        "patient": patient or None,
    }
    if declared is not None:
        args |= {"declares": declared.id, "agents": dict(declared.agents), "limits": dict(declared.limits)}
    args |= {"codes": list(codes) if codes else None, "build": build if release else None}
    if turns:
        args["turns"] = to_json({name: [policy.max_entries, policy.wire()] for name, policy in turns.items()})

    def decode(reply: Reply) -> Introduced:
        if reply[0] == "conflict":
            raise AgentConflict(agent=reply[1], app=app or "", other=reply[2])
        return Introduced(int(reply[1]), moment(reply[2]), reply[3] == "1", reply[4] == "1", reply[5] or None)

    return Call("owner_register", args, decode)


@dataclass(frozen=True, slots=True)
class Beaten:
    """The answer to a heartbeat: whether the owner lives, and what was handed back."""

    alive: bool
    handed_back: tuple[str, ...] = ()


def beat(
    owner: str,
    running: Sequence[str] | None,
    *,
    lease_ms: int,
    rq_ttl_s: int = 480,
    n: int | None = None,
    patience_ms: int = PATIENCE_MS,
) -> Call[Beaten]:
    """A heartbeat. ``running`` is what the worker runs: ids of claims, and of a take whose reply is on its way (None if
    nothing changed). ``n`` is its number: one more than the number of answered beats. ``patience_ms`` as for `reap`.
    """
    args: dict[str, Any] = {
        "owner": owner,
        "running": list(running) if running is not None else None,
        "lease_ms": lease_ms,
        "rq_ttl_s": rq_ttl_s,
        "n": n,
    }
    args["patience_ms"] = patience_ms

    def decode(reply: Reply) -> Beaten:
        return Beaten(True, tuple(reply[1])) if reply[0] == "alive" else Beaten(False)

    return Call("owner_beat", args, decode)


def reap(
    owner: str, writer: str = "owner_lost", *, patience_ms: int = PATIENCE_MS, proven: bool = False
) -> Call[tuple[str, ...]]:
    """Give away what a dead owner held; returns the ids of these processes. ``patience_ms`` is how long losses that are
    the deploy's fault do not count. ``proven`` as for `take`.
    """
    args = {"owner": owner, "writer": writer, "patience_ms": patience_ms, "proven": proven or None}
    return Call("owner_reap", args, lambda reply: tuple(reply[1]))
