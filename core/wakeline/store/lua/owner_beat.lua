-- Purpose: a supervisor's heartbeat: the owner lives, and this is what it runs.
-- Include: base metrics times doorbell rq process reap
-- ARGV: owner, lease_ms, running (ids of its claims, and of a take whose reply is on its way; absent when nothing new
--       was heard from the worker), rq_ttl_s, n? (which beat this is; the last one that was answered is n - 1),
--       patience_ms (as in owner_reap.lua)
-- Reply: {'alive', handed back [pid]*} | {'reaped'}
-- A claim that the owner holds and did not name at two beats one after the other goes back: no worker runs it (race 1).
-- Atomic because what is handed back must not be finished in between.
if not call('ZSCORE', ns .. 'owners', a.owner) then return { 'reaped' } end
-- What only removes comes first: a server without memory refuses a script whose first write needs some, and takes all
-- after another. The tick gets through then, so a heartbeat has to, or all would be reaped.
call('HDEL', ns .. 'suspects', a.owner)
call('ZADD', ns .. 'owners', int(now + a.lease_ms), a.owner)
local worker = rq .. ':worker:' .. a.owner
if call('EXISTS', worker) == 1 then
  call('HSET', worker, 'last_heartbeat', iso(now))
  call('EXPIRE', worker, a.rq_ttl_s)
end
local back, last = {}, num(call('HGET', ns .. 'beats', a.owner), 0)
-- A beat that is sent again brings the same list: it counts once.
if a.running and not (a.n and last >= a.n) then
  local named, shown, missed, still = {}, {}, ns .. 'missed:' .. a.owner, {}
  for _, id in ipairs(a.running) do named[id] = true end
  for _, composite in ipairs(call('SMEMBERS', worker .. ':executions')) do shown[composite] = true end
  for _, pid in ipairs(call('SMEMBERS', ns .. 'owned:' .. a.owner)) do
    local p = fields(proc_key(pid), 'cl', 'ep', 'rw', 'ct')
    local held = p.cl or ''
    if named[held] or named[string.match(held, '^(.*)%-%d+$')] then
      local id = p.rw and doorbell.id(pid, p.ep, p.rw)
      if id and not shown[id .. ':' .. held] then executions.show(id, a.owner, held, num(p.ct, now)) end
    else
      -- By claim: what a beat says is a little old, and a run that has just begun is not yet in it, each time one
      -- begins.
      if call('HEXISTS', missed, held) == 0 then
        still[#still + 1] = held
      else
        call('SREM', ns .. 'owned:' .. a.owner, pid)
        p = load(pid)
        if p.st == 'running' and p.ow == a.owner then
          lose(pid, p, 'owner_lost', 1 + call('SCARD', ns .. 'owned:' .. a.owner))
          back[#back + 1] = pid
        end
      end
    end
  end
  metrics.lose(#back, 'owner_lost')
  call('DEL', missed)
  for _, held in ipairs(still) do call('HSET', missed, held, '1') end
  if #still > 0 then call('PEXPIRE', missed, int(a.lease_ms * 10)) end
end
if a.n then call('HSET', ns .. 'beats', a.owner, int(math.max(last, a.n))) end
return { 'alive', back }
