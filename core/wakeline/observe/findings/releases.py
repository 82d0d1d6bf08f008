"""Findings about releases that run side by side: which there are, under which names, and whose declarations count."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from wakeline.observe.findings.finding import Finding, count
from wakeline.observe.findings.seen import Seen
from wakeline.releases import declare_alike, release_named

NAMESAKE = re.compile(r"(.*) \(code [0-9a-f]{8}\)")
"""The name that a release is given where other code had its own name first."""


def findings(seen: Seen) -> Iterator[Finding]:
    """All of them."""
    releases = Counter(seen.fleet.releases[owner] for owner in seen.alive if owner in seen.fleet.releases)
    if len(releases) > 1:
        shares = ", ".join(f"{release} ({count(n, 'worker')})" for release, n in sorted(releases.items()))
        what = f"releases run side by side: {shares}"
        runs = "any that has a process's code runs it (`wakeline show` says which did)"
        yield Finding("releases", "note", f"{what}; {runs}")
    yield from _namesakes(releases)
    yield from _declarations(seen)


def _namesakes(releases: Counter[str]) -> Iterator[Finding]:
    """Deployments with one name and different code: the first has the name, the others' names say their code too."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for release in sorted(releases):
        if (namesake := NAMESAKE.fullmatch(release)) is not None:
            found[namesake[1]].append(f"{release} ({count(releases[release], 'worker')})")
    for name, others in found.items():
        first = f"{name} ({count(releases[name], 'worker')})"
        what = f"deployments with different code have one name: {first}, which had it first, and {', '.join(others)}"
        to_do = "give each deployment a WAKELINE_RELEASE of its own"
        yield Finding("release_names", "warning", f"{what}; each counts as a release of its own", to_do)


def _declarations(seen: Seen) -> Iterator[Finding]:
    """Whether releases that run side by side declare the same schedules, limits and turns of agents."""
    fleet = seen.fleet
    serving = Counter(fleet.serves[owner] for owner in seen.alive if owner in fleet.serves)
    for app, in_force in sorted(fleet.in_force.items()):
        found = {release: n for row, n in serving.items() for name, _, release in [row.partition(" ")] if name == app}
        said = f"those of release {release_named(in_force)} are in force"
        first = next(iter(found), in_force)
        if not all(declare_alike(first, release) for release in found):
            told = sorted(f"{release_named(release)} ({count(n, 'worker')})" for release, n in found.items())
            what = f"releases side by side declare different schedules, limits or agents: {', '.join(told)}"
            to_do = f"{said}, the others' once it has left, or by `wakeline release`"
            yield Finding("declarations", "warning", what, to_do)
        elif seen.declared and seen.declared.app == app and not declare_alike(in_force, seen.declared.id):
            what = "this code declares other schedules, limits or agents than are in force"
            to_do = f"{said}, this code's once its workers start, or by `wakeline release`"
            yield Finding("declarations", "note", what, to_do)
