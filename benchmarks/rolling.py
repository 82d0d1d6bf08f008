"""Whether anything is lost or doubled while releases come and go: ``python -m benchmarks.rolling [--seconds N]`` (six
minutes).

Three workers are replaced one after the other, a whole deploy every eight seconds: the good release, a newer good one,
one that does not fit what runs, and back. Flows of every kind start all the while. At the end only the newer good
release is there, and everything has to be done, each act once.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from wakeline import Handle
from wakeline.embedded import PrivateServer, find_server
from wakeline.store.fleet import read_fleet

from benchmarks.harness import until

WORKERS = 3
DEPLOY_S = 8.0
SETTLE_S = 120.0
BEGIN_S = 60.0
LATER_S = 120.0
STANDS_S, NAMED_S = 3.0, 15.0
"""How long nothing may move before a flow counts as standing still, and within what time it has to say why."""
ENDED = ("completed", "failed", "cancelled", "abandoned")
ROLLOUT = ("one", "two", "three", "two", "one", "three", "one", "two")
"""Which release the next deploy brings: forward, a bad one, back, and a rollback from the newer good one to the older
one."""

ACTS: dict[str, Sequence[Sequence[str]]] = {
    "renamed": [["credit", "after"]],
    "moved": [["moved-0", "moved-1", "moved-2", "moved-3"]],
    "retried": [["unsure"]],
    "patched": [["first", "last"], ["first", "between", "last"]],
    "removed": [["kept", "dropped", "end"]],
    "widened": [["widened"]],
    "broken": [["before", "behind"]],
    "gone": [["halfway", "gone"]],
    "told": [["asked", "heard"]],
    "narrow": [["narrow"]],
    "fresh": [["fresh-0", "fresh-1", "fresh-2"]],
    "desk": [["audit"]],
    "pictured": [["developed", "whole"]],
    "pushed": [["built"]],
    "relayed": [["emitted", "built"]],
}
"""What the flows of a kind do to the world, by engine (or agent): one of these, in any order, each act once."""

FITS_ALL = ("moved", "retried", "gone", "narrow", "fresh", "desk", "pictured", "pushed", "relayed")
"""Kinds that may begin on any release. What the bad one began in its own way would fit no other release."""


@dataclass
class Fleet:
    """Workers of several releases on one server."""

    env: dict[str, str]
    logs: Path
    running: dict[int, tuple[str, subprocess.Popen[bytes]]] = field(
        default_factory=dict[int, tuple[str, "subprocess.Popen[bytes]"]]
    )

    def replace(self, place: int, release: str) -> None:
        """Starts a worker of the release, then tells the one in this place to leave, as a platform's rolling deploy
        does."""
        command = [
            sys.executable,
            "-m",
            "wakeline_workers.cli",
            "-A",
            f"benchmarks.rolled.{release}:app",
            "worker",
            "-n",
            "1",
        ]
        with (self.logs / f"{release}.log").open("ab") as log:
            new = subprocess.Popen(command, env=self.env | {"WAKELINE_RELEASE": release}, stderr=log, stdout=log)
        old = self.running.get(place)
        self.running[place] = (release, new)
        if old is not None:
            old[1].send_signal(signal.SIGTERM)
            old[1].wait(40)

    def releases(self) -> set[str]:
        """Which releases have a worker."""
        return {release for release, _ in self.running.values()}

    def stop(self) -> None:
        """Tells all to leave."""
        for _, child in self.running.values():
            child.terminate()
        for _, child in self.running.values():
            child.wait(40)


@dataclass
class Flows:
    """What was started: flow to kind and, but for entries of a session, its process."""

    kinds: dict[str, str] = field(default_factory=dict[str, str])
    handles: dict[str, Handle[Any]] = field(default_factory=dict[str, "Handle[Any]"])
    ended: set[str] = field(default_factory=set[str])
    begun: set[str] = field(default_factory=set[str])
    waited: Counter[str] = field(default_factory=Counter[str])
    """How often a flow was seen to wait for code that fits: kind of flow, and the reason that it gave."""

    def start(self, kind: str) -> None:
        """One more of the kind, by a client of the newer good release."""
        from benchmarks.rolled import two

        flow = f"{kind}-{len(self.kinds)}"
        self.kinds[flow] = kind
        if kind == "desk":
            two.app.session("desk", f"s{len(self.kinds) % 5}").send(flow, key=flow)
            return
        if kind == "pushed":
            # Said twice, as sources do: an occurrence, so a process.
            [started] = {process for _ in range(2) for process in two.push.emit({"flow": flow}, key=flow).started}
            self.handles[flow] = two.app.handle(started)
            return
        given = (two.app.attachments.put(flow.encode(), "image/png"),) if kind == "pictured" else ()
        self.handles[flow] = handle = two.app.using(id=flow).start(getattr(two, kind), flow, *given)
        if kind == "told":
            handle.signal("go", 5)
        if kind == "fresh":
            handle.signal("more", "yes")

    def unbegun(self) -> list[str]:
        """Flows that must not begin on the bad release, and are not recorded up to their first wait. Workers that are
        slow to start may be replaced before they served."""
        for flow, handle in self.handles.items():
            if flow in self.begun or self.kinds[flow] in FITS_ALL:
                continue
            now = handle.status()
            # What the newer good release began may not fit the older one, and waits.
            if now.status in ("waiting", *ENDED) or (now.misfit is not None and now.misfit.kind == "mismatch"):
                self.begun.add(flow)
        return [flow for flow in self.handles if flow not in self.begun and self.kinds[flow] not in FITS_ALL]


def main() -> int:
    """Runs the rollout, prints what came of each kind; 1 when anything was lost or doubled."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=360.0)
    asked.add_argument("--see", nargs="*", default=[], help="goes on for a while, until it saw flows wait for these")
    options = asked.parse_args()
    binary = find_server()
    if binary is None:
        print("no valkey-server or redis-server found: nothing to run on", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, PrivateServer(binary) as server:
        acts = Path(folder) / "acts"
        acts.touch()
        os.environ |= {
            "WAKELINE_REDIS_URL": server.url,
            "ROLLED_ACTS": str(acts),
            "WAKELINE_HOLD": "500ms",
            "WAKELINE_LOG": "WARNING",
        }
        fleet, flows = Fleet(dict(os.environ), Path(folder)), Flows()
        try:
            deploys, wrong = roll(fleet, flows, options.seconds, options.see)
            settle(fleet, flows, acts)
        finally:
            fleet.stop()
        wrong += verdict(flows, acts)
        print(f"{len(flows.kinds)} flows, {deploys} deploys; seen to wait: {dict(sorted(flows.waited.items()))}")
        for line in wrong:
            print(line)
        if wrong:
            for log in sorted(Path(folder).glob("*.log")):
                print(f"--- {log.name}\n" + log.read_text()[-4000:])
    print("something was LOST or DOUBLED" if wrong else "nothing was lost, nothing was doubled")
    return int(bool(wrong))


def roll(fleet: Fleet, flows: Flows, seconds: float, see: Sequence[str]) -> tuple[int, list[str]]:
    """Deploys and starts flows for this long, and on a busy machine until flows were seen to wait for these reasons.
    Returns the number of deploys, and a line for each flow that stood still without a reason."""
    from benchmarks.rolled import two

    unnamed: list[str] = []
    two.push.subscribe(two.built)
    for place in range(WORKERS):
        fleet.replace(place, "one")
    rollout, kinds = cycle(ROLLOUT[1:] + ROLLOUT[:1]), cycle(ACTS)
    end, deploys = time.monotonic() + seconds, 0
    while time.monotonic() < end or (time.monotonic() < end + LATER_S and not flows.waited.keys() >= {*see}):
        release = next(rollout)
        if release == "three":
            wait_for_begun(flows)
        began = time.monotonic()
        for place in range(WORKERS):
            fleet.replace(place, release)
            while time.monotonic() < began + DEPLOY_S * (place + 1) / WORKERS:
                bad = "three" in fleet.releases() or time.monotonic() > began + DEPLOY_S - 3
                kind = next(kinds)
                if kind in FITS_ALL or not bad:
                    flows.start(kind)
                time.sleep(0.1)
        deploys += 1
        if release == "three":
            unnamed += standing(flows)
            if reserved := two.app.store.execute(read_fleet(two.app.queues)).undelivered:
                flows.waited["relayed: reserved"] += reserved
    return deploys, unnamed


def wait_for_begun(flows: Flows) -> None:
    """Before the bad release comes: what must not begin on it has begun."""
    try:
        until(lambda: not flows.unbegun(), BEGIN_S)
    except TimeoutError as error:
        raise TimeoutError(f"not begun by good releases within {BEGIN_S:.0f} s: {flows.unbegun()}") from error


def standing(flows: Flows) -> list[str]:
    """While only the release that does not fit is there: what is queued and gets no further has to say why, within
    `NAMED_S`."""
    first = {flow: handle.status() for flow, handle in flows.handles.items() if flow not in flows.ended}
    end = time.monotonic() + NAMED_S
    while True:
        time.sleep(STANDS_S)
        for flow, before in list(first.items()):
            now = flows.handles[flow].status()
            if now.status in ENDED:
                flows.ended.add(flow)
            elif now.misfit is not None:
                flows.waited[f"{flows.kinds[flow]}: {now.misfit.kind}"] += 1
            elif now.status == before.status == "queued" and now.sequence == before.sequence:
                continue
            del first[flow]
        if not first or time.monotonic() > end:
            return [f"{flow} stood still for {NAMED_S:.0f} s without a reason" for flow in first]


def settle(fleet: Fleet, flows: Flows, acts: Path) -> None:
    """Brings the newer good release back, and waits until everything is over, or cannot be any more."""
    for place in range(WORKERS):
        fleet.replace(place, "two")
    left = dict(flows.handles)

    def over() -> bool:
        for flow, handle in list(left.items()):
            if handle.status().status in ENDED:
                del left[flow]
        time.sleep(0.2)
        return not left and not short(flows, acts)

    try:
        until(over, SETTLE_S)
    except TimeoutError:
        print(f"not over {SETTLE_S:.0f} s after the last deploy: {sorted({*left, *short(flows, acts)})}")


def done_by(flows: Flows, acts: Path) -> dict[str, Counter[str]]:
    """How often each flow did each of its acts by now."""
    done: dict[str, Counter[str]] = {flow: Counter() for flow in flows.kinds}
    for line in acts.read_text().splitlines():
        flow, act, _ = line.split()
        done[flow][act] += 1
    return done


def short(flows: Flows, acts: Path) -> list[str]:
    """Flows that did less than any of their kind does: an entry of a session, or what an occurrence starts, may be
    under way though no handle says so."""
    return [
        flow for flow, done in done_by(flows, acts).items() if done.total() < min(map(len, ACTS[flows.kinds[flow]]))
    ]


def verdict(flows: Flows, acts: Path) -> list[str]:
    """A line for everything that is not as it should be, and a printed row per kind."""
    done = done_by(flows, acts)
    keys: dict[tuple[str, str], set[str]] = {}
    for line in acts.read_text().splitlines():
        flow, act, key = line.split()
        keys.setdefault((flow, act), set()).add(key)
    wrong = [
        f"{flow} did {act} under {len(found)} idempotency keys" for (flow, act), found in keys.items() if len(found) > 1
    ]
    print("| kind | flows | completed | acts |\n|---|---|---|---|")
    for kind, allowed in ACTS.items():
        mine = [flow for flow, of in flows.kinds.items() if of == kind]
        statuses = Counter(flows.handles[flow].status().status for flow in mine if flow in flows.handles)
        print(
            f"| {kind} | {len(mine)} | {statuses['completed'] or '-'} |"
            f" {sum(sum(done[flow].values()) for flow in mine)} |"
        )
        for flow in mine:
            if dict(done[flow]) not in [dict(Counter(each)) for each in allowed]:
                wrong.append(f"{flow} did {dict(done[flow])}")
            if flow in flows.handles and (status := flows.handles[flow].status().status) != "completed":
                wrong.append(f"{flow} is {status}")
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
