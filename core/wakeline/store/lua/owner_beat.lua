-- Purpose: a supervisor's heartbeat: the owner lives, and this is what it runs.
-- Include: base doorbell process slots sessions lifecycle
-- ARGV: owner, lease_ms, running (process ids; absent when nothing new was heard from the worker), rq_ttl_s,
--       n? (which beat this is; the last one that was answered is n - 1)
-- Reply: {'alive', handed back [pid]*, rewound ('1': the store has not the last beat that it had answered)} | {'reaped'}
-- What the owner holds and did not name for two beats goes back: its claim's reply never arrived (race 1).
-- Atomic because what is handed back must not be finished in between.
if not call('ZSCORE', ns .. 'owners', a.owner) then return { 'reaped' } end
call('ZADD', ns .. 'owners', int(now + a.lease_ms), a.owner)
call('HDEL', ns .. 'suspects', a.owner)
local worker = rq .. ':worker:' .. a.owner
if call('EXISTS', worker) == 1 then
  call('HSET', worker, 'last_heartbeat', iso(now))
  call('EXPIRE', worker, a.rq_ttl_s)
end
local back = {}
if a.running then
  local named, missed = {}, ns .. 'missed:' .. a.owner
  for _, pid in ipairs(a.running) do named[pid] = true end
  for _, pid in ipairs(call('SMEMBERS', ns .. 'owned:' .. a.owner)) do
    if named[pid] then
      call('HDEL', missed, pid)
    elseif call('HINCRBY', missed, pid, 1) >= 2 then
      call('HDEL', missed, pid)
      call('SREM', ns .. 'owned:' .. a.owner, pid)
      local p = load(pid)
      if p.st == 'running' and p.ow == a.owner then
        lose(pid, p, 'owner_lost')
        back[#back + 1] = pid
      end
    end
  end
  call('PEXPIRE', missed, int(a.lease_ms * 10))
end
local rewound = '0'
if a.n then
  local last = tonumber(call('HGET', ns .. 'beats', a.owner) or '0')
  if last < a.n - 1 then
    rewound = '1'
    call('HSET', ns .. 'meta', 'rewound', int(now))
  end
  call('HSET', ns .. 'beats', a.owner, int(math.max(last, a.n)))
end
return { 'alive', back, rewound }
