"""What the figures are to reach: as they are, and in ratio to the commit before. Targets of a plan, and no verdict."""

from __future__ import annotations

REACH = (
    {
        "no-op: commands": "≤ 11",
        "no-op: bytes of the append-only file": "≤ 2,000",
        "signal to parked and end: commands": "≤ 22",
        "signal to parked and end: bytes of the append-only file": "≤ 2,600",
        "start and park: commands": "≤ 20",
        "start and park: bytes of the append-only file": "≤ 2,400",
        "end to its awaited result, 1 waiter": "≤ 2",
        "end to its awaited result, 1,000 waiters": "≤ 10",
        "end to its awaited result, 1,000 ends at once": "≤ 10",
        "take at 1,000 queues ÷ at one, server CPU": "≤ 1.3",
        "memory of a parked process": "≤ 1,200",
        "memory of an idle session": "≤ 1,024",
        "turns that a burst of 1,000 wakes to an idle session costs": "≤ 5",
    }
    | {
        f"page filtered by {name}, {live} live ÷ 1,000": "≤ 1.5"
        for name in ("kind", "session", "waiting")
        for live in ("100,000", "1,000,000")
    }
    | {f"{name}, traced ÷ not": "≥ 0.8" for name in ("no-ops", "ten steps", "signals")}
)
REACH_RATIO = (
    {
        "no-op processes, started and ended": "≥ 1.8",
        "ten-step engines, started and ended": "≥ 1.7",
        "signals to parked processes, all of them ended": "≥ 2",
        "starts, in bulk": "≥ 1.5",
        "start to the body's first line, idle": "≤ 0.7",
        "signal to the next line of a held body, idle": "≤ 0.7",
        "signal to the next line of a parked body, idle": "≤ 0.7",
        "wake to the turn's first line, idle": "≤ 0.7",
    }
    | {f"no-op: {party} CPU": most for party, most in (("server", "≤ 0.45"), ("worker", "≤ 0.65"))}
    | {f"ten steps: {party} CPU": most for party, most in (("server", "≤ 0.5"), ("worker", "≤ 0.65"))}
    | {f"signal to parked and end: {party} CPU": most for party, most in (("server", "≤ 0.5"), ("worker", "≤ 0.6"))}
)
