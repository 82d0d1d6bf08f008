"""Owners: a worker that introduces itself, beats, and is reaped.

Invariant: an owner that is not registered can neither take nor claim; one that was reaped needs a new id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wakeline.errors import AgentConflict
from wakeline.processes.misfit import PATIENCE_MS
from wakeline.releases import Declared
from wakeline.store.calls import Call, Reply, moment


@dataclass(frozen=True, slots=True)
class Introduced:
    """What a worker start heard: the time, and when the namespace was ticked last (server ms), None where that is not
    known; whether its declarations are in
    force, and then whether its schedules are still to be written.
    """

    now_ms: int
    ticked_ms: int | None
    declares: bool = False
    unwritten: bool = False
    release: str | None = None
    """What its release goes by: another name than its own where other code had that first."""


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
) -> Call[Introduced]:
    """A worker start introduces itself: what the turns of its ``agents`` take (`AdmissionPolicy.wire`), what its
    ``limits`` are (`Limit.wire`, empty for
    none), of which ``release`` its code is, and which ``codes`` it can run (`Registry.codes`). Agents and limits come
    into force where the release does:
    ``declared`` is all that it says, else it is made of what is given here. ``patient``: it is the job of a stock
    worker. ``build`` (`build_of`) tells its code
    from other code whose release has the same name.

    Raises `AgentConflict` where a live worker of another ``app`` runs one of them.
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

    def decode(reply: Reply) -> Introduced:
        if reply[0] == "conflict":
            raise AgentConflict(agent=reply[1], app=app or "", other=reply[2])
        return Introduced(int(reply[1]), moment(reply[2]), reply[3] == "1", reply[4] == "1", reply[5] or None)

    return Call("owner_register", args, decode)


@dataclass(frozen=True, slots=True)
class Beaten:
    """What a heartbeat heard: whether the owner lives, and what was handed back."""

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
    """Heartbeat; ``running`` is what the worker runs: ids of claims, and of a take whose reply is on its way (None when
    nothing new was heard).
    ``n`` is which one it is: one more than were answered. ``patience_ms`` as for `reap`.
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
    """Give away what a dead owner held; returns the ids of these processes. ``patience_ms``: how long losses that are
    the deploy's fault are not counted;
    ``proven`` as for `take`.
    """
    args = {"owner": owner, "writer": writer, "patience_ms": patience_ms, "proven": proven or None}
    return Call("owner_reap", args, lambda reply: tuple(reply[1]))
