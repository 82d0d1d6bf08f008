-- Reap: what becomes of the runs of an owner that is gone.
-- Needs: base declarations routes hints aside log metrics process rounds misfits crashes setbacks runnable runs ends

-- A run whose owner is gone. Losses are counted apart from failed attempts: a neighbour's crash must not use them up
-- (race 21).
local LOSSES = 10

-- Losses to a release that ends its workers have no bound.
local function tell_loss(pid, p, losses)
  local told = '{"owner":' .. quote(p.ow or '') .. ',"losses":' .. int(losses) .. '}'
  setbacks.entered(pid, p, losses, 'process.recovered', told, run_of(p))
end

-- `held`: how many its owner had, 1 where that is not known.
local function lose(pid, p, writer, held)
  if p.rc == 'b' then return abandon(pid, p, writer) end
  -- A worker that leaves in order hands on what did not end in time. No process is at fault, so no loss is counted.
  local due, others
  if writer ~= 'shutdown' then
    if not crashes.crashed(pid, p) then
      if p.ls and not num(p.ls) then call('HDEL', proc_key(pid), 'ls') end
      local losses = call('HINCRBY', proc_key(pid), 'ls', 1)
      if losses > LOSSES then return abandon(pid, p, 'losses_exhausted') end
      p.ls = losses
    end
    crashes.note(pid, p, held)
    -- It ran apart, so one of few ended the worker, or the code there did. It is offered later each time, as a release
    -- that ends its workers may be gone by then.
    local over = crashes.lost(p) - crashes.APART
    if over > 0 then due = now + math.min(1000 * 2 ^ (over - 1), 60000) end
    others = over > 0 and misfits.crash_of(p) and rounds.passes_on(pid, p)
    tell_loss(pid, p, crashes.lost(p))
  end
  leave_owner(pid, p, nil)
  make_runnable(pid, p, true, due, others)
end

-- Everything an owner held goes back to the queue; the owner itself is forgotten once nothing of it is left.
local function reap(owner, writer)
  local held = ns .. 'owned:' .. owner
  local lost, had = {}, call('SCARD', held)
  local queues = call('SMEMBERS', ns .. 'listens:' .. owner)
  -- First of all: a doorbell rung below must not be hinted to the dead.
  for _, queue in ipairs(queues) do
    call('SREM', ns .. 'idle:' .. queue, owner)
    call('SREM', rq .. ':workers:' .. queue, rq .. ':worker:' .. owner)
  end
  routes.leave(owner)
  for _ = 1, BOUND do
    local pid = call('SPOP', held)
    if not pid then break end
    local p = load(pid)
    if p.st == 'running' and p.ow == owner then
      lose(pid, p, writer, had)
      lost[#lost + 1] = pid
    end
  end
  metrics.lose(#lost, writer)
  if call('SCARD', held) == 0 then
    if call('ZREM', ns .. 'owners', owner) == 1 and writer ~= 'shutdown' then
      metrics.add('wakeline_reaped_owners_total', 1)
    end
    call('HDEL', ns .. 'counted', owner)
    call('HDEL', ns .. 'suspects', owner)
    call('HDEL', ns .. 'beats', owner)
    call('HDEL', ns .. 'leases', owner)
    call('HDEL', ns .. 'apps', owner)
    local release = call('HGET', ns .. 'releases', owner)
    call('HDEL', ns .. 'releases', owner)
    if #queues > 0 and call('EXISTS', ns .. 'misfits') == 1 then misfits.leaves(release) end
    declarations.leave_release(owner)
    call('HDEL', ns .. 'knows', owner)
    if call('HDEL', ns .. 'codes', owner) == 1 then compare_codes() end
    call('DEL', ns .. 'takes:' .. owner, ns .. 'missed:' .. owner, ns .. 'notify:' .. owner)
    call('SREM', rq .. ':workers', rq .. ':worker:' .. owner)
    call('DEL', ns .. 'listens:' .. owner, rq .. ':worker:' .. owner, rq .. ':worker:' .. owner .. ':executions')
    -- It may have been the one that was told of what is queued: two workers of one tree leave at the same moment, and
    -- the first hands on to the second.
    for _, queue in ipairs(queues) do
      if call('LLEN', rq .. ':queue:' .. queue) > 0 then hints.wake_idle(queue) end
    end
  end
  return lost
end
