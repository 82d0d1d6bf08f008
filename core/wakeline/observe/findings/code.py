"""Findings about code: processes that no code here can run, that do not fit it, or that were lost with its workers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator

from wakeline.observe.findings.finding import Finding, some
from wakeline.observe.findings.seen import Seen
from wakeline.store.fields import LOST_WITH_OTHERS
from wakeline.store.fleet import StoredMisfit


def findings(seen: Seen) -> Iterator[Finding]:
    """All of them."""
    yield from _unread(seen)
    yield from _code(seen)
    yield from _misfits(seen)
    yield from _lost(seen)


def _unread(seen: Seen) -> Iterator[Finding]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for row in seen.fleet.queued:
        if row.unread is not None:
            reasons[row.unread].append(row.process_id)
    for reason, pids in reasons.items():
        what = f"workers cannot read what is stored of {some(pids)}, and hand it back: {reason}"
        yield Finding(
            "unread", "problem", what, "deploy the release that wrote it, or a later one", processes=tuple(pids)
        )


def _missing(seen: Seen) -> dict[str, list[str]]:
    """Bodies that this app does not have, and the queued processes that need them."""
    registry = seen.registry
    tables: dict[str, tuple[str, Container[str]]] = {
        "tool_call": ("tool", registry.tools),
        "session_turn": ("agent", registry.agents),
    }
    missing: dict[str, list[str]] = defaultdict(list)
    for row in seen.fleet.queued:
        if row.unread is not None:
            continue  # it needs another release first
        if row.input == "engine" and not registry.has_engine(row.needs, row.version):
            version = f" version {row.version!r}" if row.version else ""
            missing[f"engine {row.needs!r}{version}"].append(row.process_id)
        elif row.input in tables:
            noun, known = tables[row.input]
            if row.needs not in known and registry.current(row.needs) not in registry.tools:
                missing[f"{noun} {row.needs!r}"].append(row.process_id)
    return missing


def _code(seen: Seen) -> Iterator[Finding]:
    for name, pids in _missing(seen).items():
        what = f"no code here for {name}, needed by {some(pids)}"
        to_do = "include its module, or deploy the release that has it"
        yield Finding("code", "problem", what, to_do, processes=tuple(pids))


def _misfits(seen: Seen) -> Iterator[Finding]:
    """What waits for code that fits, by why and what it is. Code that this app lacks too is named already."""
    named = {pid for pids in _missing(seen).values() for pid in pids}
    groups: dict[tuple[str, str, str], list[StoredMisfit]] = defaultdict(list)
    for row in seen.fleet.misfits:
        if row.misfit.kind != "missing" or row.process_id not in named:
            groups[row.misfit.kind, row.input, row.needs].append(row)
    for (_, kind, name), rows in groups.items():
        pids, waits = tuple(row.process_id for row in rows), "wait" if len(rows) > 1 else "waits"
        body = f"{kind.removeprefix('session_').removesuffix('_call')} {name!r}"
        first = f"{pids[0]}: " if len(rows) > 1 else ""
        misfit = rows[0].misfit
        what = f"{some(pids)} of {body} {waits} for code that fits; {first}{misfit.what_differs}"
        to_do = f"{misfit.remedy} `wakeline cancel` ends what should not wait"
        yield Finding("misfit", "problem", what, to_do, processes=pids)
    hidden = seen.fleet.misfit_count - len(seen.fleet.misfits)
    if hidden > 0:
        what = f"{hidden} more {'waits' if hidden == 1 else 'wait'} for code that fits"
        yield Finding("misfit", "problem", f"{what}: `wakeline ps --status queued` names them")


def _lost(seen: Seen) -> Iterator[Finding]:
    """What was lost with its workers more often than by chance, under a release that gets other work done."""
    unfit = {row.process_id for row in seen.fleet.misfits}
    for row in seen.fleet.queued:
        if row.losses > LOST_WITH_OTHERS and row.process_id not in unfit:
            seconds = max(0, row.due_ms - seen.fleet.now_ms + 999) // 1000
            again = f"runs again apart from others {f'in {seconds} s' if seconds else 'now'}"
            what = f"{row.process_id} was lost with its worker {row.losses} times in a row, and {again}"
            to_do = "The log of the worker says how it died; roll back, deploy a fix, or `wakeline cancel` it"
            end = "after the eleventh loss it is abandoned."
            yield Finding("lost", "problem", f"{what}; {end}", to_do, processes=(row.process_id,))
