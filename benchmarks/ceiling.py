"""The ceiling: one connection that starts processes and drains them with the least that a durable process on RQ's keys
needs, and nothing around it: no bodies, no fences, no checks of any kind. What Wakeline does in a second can come near
to it, and not above it.

A start writes what was asked for, a record, RQ's job, and the two registries that lists and RQ's own tools read. A take
makes the record and the job say who runs it; a step writes a row; an end writes the log and the record, and removes
what RQ had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.harness import Figure
from benchmarks.rows import Bench

BATCH = 16
START = """
local now, call = ARGV[1], redis.call
for i = 2, #ARGV, 2 do
  local pid = ARGV[i]
  call('SET', 'spec:' .. pid, ARGV[i + 1], 'NX')
  call('HSET', 'proc:' .. pid, 'st', 'queued', 'at', now, 'q', 'limit')
  call('HSET', 'rq:job:' .. pid, 'status', 'queued', 'origin', 'limit', 'created_at', now, 'enqueued_at', now,
    'data', pid, 'timeout', '-1', 'result_ttl', '0')
  call('RPUSH', 'rq:queue:limit', pid)
  call('ZADD', 'queued', now, pid)
end
"""
TAKE = """
local now, call, found = ARGV[1], redis.call, {}
local ids = call('LPOP', 'rq:queue:limit', ARGV[2]) or {}
for i, pid in ipairs(ids) do
  call('HSET', 'proc:' .. pid, 'st', 'running', 'ow', 'one', 'ct', now)
  call('HSET', 'rq:job:' .. pid, 'status', 'started', 'started_at', now, 'worker_name', 'one')
  call('ZREM', 'queued', pid)
  call('ZADD', 'rq:wip:limit', now, pid)
  found[i] = { pid, call('GET', 'spec:' .. pid) }
end
return found
"""
STEP = """
for i = 3, #ARGV do redis.call('HSET', 'journal:' .. ARGV[i], ARGV[1], ARGV[2]) end
"""
END = """
local now, call = ARGV[1], redis.call
for i = 2, #ARGV do
  local pid = ARGV[i]
  call('SET', 'log:' .. pid, now .. ' completed {"await_output":{"type":"success","value":null}}')
  call('HSET', 'proc:' .. pid, 'st', 'completed', 'seq', '2', 'ua', now)
  call('ZREM', 'rq:wip:limit', pid)
  call('DEL', 'rq:job:' .. pid)
  call('ZADD', 'completed', now, pid)
end
call('HINCRBY', 'rq:worker:one', 'successful_job_count', #ARGV - 1)
"""
SPEC = '{"kind":"engine","name":"nothing","args":{},"queue":"limit","recovery":"rerunnable"}'
ROW = '{"n":1,"o":1,"k":"step","h":"0123456789abcdef0123456789abcdef","at":1700000000000,"f":"one"}'


class Limit:
    """The loop, over one connection."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._start, self._take, self._step, self._end = map(client.script_load, (START, TAKE, STEP, END))
        self._made = 0

    def start(self, n: int) -> None:
        """So many processes, in one call."""
        flat: list[str] = []
        for _ in range(n):
            self._made += 1
            flat += [f"limit-{self._made:016x}", SPEC]
        self._client.evalsha(self._start, 0, _now(), *flat)

    def drain(self, n: int, steps: int = 0) -> int:
        """Takes, steps and ends at most so many; how many there were."""
        ids: Sequence[bytes | str] = [one[0] for one in self._client.evalsha(self._take, 0, _now(), n)]
        for step in range(steps if ids else 0):
            self._client.evalsha(self._step, 0, f"one:0123456789abcdef:{step}", ROW, *ids)
        if ids:
            self._client.evalsha(self._end, 0, _now(), *ids)
        return len(ids)

    def run(self, n: int, steps: int = 0) -> None:
        """Starts so many and drains them, in batches."""
        for at in range(0, n, BATCH):
            self.start(min(BATCH, n - at))
            assert self.drain(BATCH, steps) == min(BATCH, n - at)


def limits(bench: Bench) -> list[Figure]:
    """What the loop does in a second, and what that costs."""
    limit, meter = Limit(bench.client), bench.meter
    n, few, single = bench.number(8000), bench.number(1000), bench.number(200)
    limit.run(BATCH)
    starts = _rate(n, lambda: [limit.start(BATCH) for _ in range(n // BATCH)])
    while limit.drain(64):
        pass
    before = meter.look()
    rate = _rate(n, lambda: limit.run(n))
    costs = meter.since(before, "ceiling no-op", n)
    steps = _rate(few, lambda: limit.run(few, 10))
    delays: list[float] = []
    for _ in range(single):
        at = time.monotonic()
        limit.start(1)
        assert limit.drain(1) == 1
        delays.append((time.monotonic() - at) * 1000)
    return [
        Figure("ceiling: starts, in bulk", "1/s", [starts]),
        Figure("ceiling: no-op, started and ended", "1/s", [rate]),
        *costs,
        Figure("ceiling: ten steps, started and ended", "1/s", [steps]),
        Figure("ceiling: one process from its start to its end", "ms", delays),
    ]


def _rate(n: int, run: Callable[[], object]) -> float:
    at = time.monotonic()
    run()
    return n / (time.monotonic() - at)


def _now() -> int:
    return int(time.time() * 1000)
