-- How a process ends, is cancelled, or goes back to the queue. Every script that can end one comes through `finish`.

-- What a cancel still may resolve and ask for in this script, over all processes that it goes on to.
local cancelling
at_begin[#at_begin + 1] = function() cancelling = BOUND end

-- How long the body of a process that was asked to end may take; so may the children that its cancel goes on to.
local function grace_of(pid)
  local due, since = call('ZSCORE', ns .. 'timers', 'c:' .. pid), call('HGET', proc_key(pid), 'cr')
  return due and since and tonumber(due) - tonumber(since) or 10000
end

-- A process that was asked to end awaits the end of another: whether that is still waited for. It is for a child of its own, which is asked to end, once.
-- Not for one that was detached by hand ('d'). One that was started after the cancel ('pc') cleans up, so it is left to its work.
local function awaits_child(pid, child)
  local c = load(child)
  if c.pa ~= pid or c.pe == 'd' then return false end
  if not ENDED[c.st] and not c.cr and not c.pc then
    cancelling = cancelling - 1
    request_cancel(child, c, '{"reason":"parent cancelled"}', grace_of(pid))
  end
  return true
end

-- Resolves every open slot of a process as cancelled; returns false when more than the bound are left.
-- Not the one that waits for its children to end ('aw'), nor those of children that it awaits: a cancel goes on to them, and their end is still waited for.
local function cancel_waits(pid)
  local ending = call('HGET', proc_key(pid), 'aw')
  -- The ones an earlier round resolved are still in the set: the bound counts what this one does, or the rest would never have its turn.
  for _, id in ipairs(call('SMEMBERS', ns .. 'waits:' .. pid)) do
    if cancelling <= 0 then return false end
    if id ~= ending then
      local child = string.match(call('HGET', slot_key(id), 'k') or '', '^c:(.*)$')
      if not (child and awaits_child(pid, child)) and resolve(id, '{"status":"cancelled"}') then cancelling = cancelling - 1 end
    end
  end
  return true
end

function request_cancel(pid, p, reason_json, grace)
  local seq = append(pid, p, 'process.cancel_requested', reason_json)
  call('HSET', ns .. 'replay:' .. pid, 'cancel', seq)
  call('HSET', proc_key(pid), 'cr', int(now))
  p.cr = int(now)
  call('ZADD', ns .. 'timers', int(now + grace), 'c:' .. pid)
  if not cancel_waits(pid) then call('RPUSH', ns .. 'todo', 'c:' .. pid) end
  if p.aw and p.aw ~= '1' then call('RPUSH', ns .. 'todo', 'k:' .. pid) end
  if p.st == 'running' and p.ow then hint_run(pid, p, 'cancel') end
  -- It waits for code that fits: where there is some by now, its body hears of the cancel within the grace.
  if p.mf and p.st == 'queued' then misfits.offer(pid) end
end

-- Tells the slots that wait for this process; true when a waiter belongs to the wake target's session (it must not also be woken, race 32).
local function resolve_waiters(pid, output, session)
  local inside = false
  for i, id in ipairs(call('SMEMBERS', ns .. 'waiters:' .. pid)) do
    if i > BOUND then
      call('RPUSH', ns .. 'todo', 'w:' .. pid)
      return inside
    end
    if session then
      local waiter = call('HGET', slot_key(id), 'p')
      if waiter and call('HGET', proc_key(waiter), 'sid') == session then inside = true end
    end
    call('SREM', ns .. 'waiters:' .. pid, id)
    resolve(id, '{"status":"ok","value":' .. output .. '}')
  end
  return inside
end

-- Ends the waits of a process; slots above the bound are left to the tick.
local function drop_waits(pid)
  local closed = call('SPOP', ns .. 'closed:' .. pid, BOUND)
  for _, id in ipairs(closed) do call('UNLINK', slot_key(id)) end
  for i, id in ipairs(call('SMEMBERS', ns .. 'waits:' .. pid)) do
    if i > BOUND then return call('RPUSH', ns .. 'todo', 'd:' .. pid) end
    local slot = fields(slot_key(id), 'k', 'd')
    if slot.d then call('ZREM', ns .. 'timers', 's:' .. id) end
    if slot.k and string.sub(slot.k, 1, 2) == 'c:' then call('SREM', ns .. 'waiters:' .. string.sub(slot.k, 3), id) end
    call('UNLINK', slot_key(id))
    call('SREM', ns .. 'waits:' .. pid, id)
  end
  if #closed == BOUND then call('RPUSH', ns .. 'todo', 'd:' .. pid) end
end

-- A body that has ended waits for its children ('aw' is the slot of that wait, '1' before it): the last of them to end tells it.
local function leave_parent(pid, parent)
  local awaited = ns .. 'awaited:' .. parent
  if call('SREM', awaited, pid) == 0 or call('EXISTS', awaited) == 1 then return end
  local slot = call('HGET', proc_key(parent), 'aw')
  if slot then resolve(slot, '{"status":"ok","value":null}') end
end

-- The cancel of a process whose body has ended goes on to the children it waits for. By the tick: such trees may be deep.
-- Returns false when more than the bound are left.
local function cancel_awaited(pid)
  local asked = 0
  for _, child in ipairs(call('SMEMBERS', ns .. 'awaited:' .. pid)) do
    local c = load(child)
    if c.st and not ENDED[c.st] and not c.cr then
      if asked >= BOUND then return false end
      request_cancel(child, c, '{"reason":"parent cancelled"}', 10000)
      asked = asked + 1
    end
  end
  return true
end

local function end_children(pid)
  -- What ends before the children it was to wait for (grace, deadline, abandoned) waits no more: they are asked to end, like bound ones.
  if call('EXISTS', ns .. 'awaited:' .. pid) == 1 then
    call('SUNIONSTORE', ns .. 'bound:' .. pid, ns .. 'bound:' .. pid, ns .. 'awaited:' .. pid)
    call('DEL', ns .. 'awaited:' .. pid)
  end
  for i, child in ipairs(call('SMEMBERS', ns .. 'bound:' .. pid)) do
    if i > BOUND then return call('RPUSH', ns .. 'todo', 'p:' .. pid) end
    call('SREM', ns .. 'bound:' .. pid, child)
    local c = load(child)
    if c.st and not ENDED[c.st] and not c.cr then request_cancel(child, c, '{"reason":"parent ended"}', 10000) end
  end
end

-- Forgets groups, open signals and their other names of the record; only what once waited has any. In parts: Lua unpacks no more than 8,000 values.
local function forget_waits(pid)
  local found = {}
  for _, field in ipairs(call('HKEYS', proc_key(pid))) do
    local head = string.sub(field, 1, 2)
    if head == 'o:' or head == 'n:' or head == 'l:' then found[#found + 1] = field end
  end
  for i = 1, #found, 1000 do call('HDEL', proc_key(pid), unpack(found, i, math.min(i + 999, #found))) end
end

-- The terminal event and everything that follows from it, exactly once. `output` is the await output as JSON, `text` the wake's input as a JSON string.
-- `mark`: by what a resend of this very end is known.
local function finish(pid, p, status, output, text, mark)
  local event_type, key = 'process.' .. status, proc_key(pid)
  -- Its first run may be its last: both events are written at once then, and the record once.
  local began, run = p.st == 'running' and p.k ~= 'x' and not p.fs, run_of(p)
  local seq = int(call('HINCRBY', key, 'seq', began and 2 or 1))
  if began then write_event(pid, int(seq - 1), 'process.started', '{}', nil, nil, run) end
  write_event(pid, seq, event_type, '{"await_output":' .. output .. '}', nil, nil, run)
  leave_owner(pid, p, status == 'completed' and 'successful' or 'failed')
  -- One look tells whether anything ever waited for it, in it, or with it: most ends have nothing to tell.
  local involved = call('EXISTS', ns .. 'mail:' .. pid, ns .. 'waits:' .. pid, ns .. 'closed:' .. pid, ns .. 'waiters:' .. pid, ns .. 'bound:' .. pid, ns .. 'awaited:' .. pid) > 0
  leave_lines(pid, p)
  misfits.clear(pid, p)
  unset(pid, p, 'ow', 'ct', 'rw', 'rg', 'aw', 'hd', 'rd', 'an', 'ur', 'pr', 'sr', 'tr')
  if involved then forget_waits(pid) end
  local last = { 'st', status, 'sn', int(now), 'ua', int(now) }
  if began then last[7], last[8] = 'fs', '1' end
  if mark then last[#last + 1], last[#last + 2] = 'fin', mark end
  call('HSET', key, unpack(last))
  -- What runs, and has neither a bound nor a cancel, has no timer.
  if p.st ~= 'running' or p.cr or p.dl or p.to or p.qt then
    call('ZREM', ns .. 'timers', 'c:' .. pid, 'd:' .. pid, 'e:' .. pid, 'q:' .. pid, 'a:' .. pid)
  end
  move_index(pid, p.st, status, now)
  p.st = status
  p.seq = seq
  local awaited_inside = false
  if involved then
    call('UNLINK', ns .. 'mail:' .. pid)
    drop_waits(pid)
    awaited_inside = resolve_waiters(pid, output, p.ws)
  end
  if p.ws and p.we and not awaited_inside then
    text = text or quote('Process ' .. pid .. ' ' .. status .. ': ' .. output)
    deliver(p.ws, 'wake', wake_body(pid, p.inc, seq, event_type, text))
  end
  if involved then end_children(pid) end
  if p.pe == '1' then leave_parent(pid, p.pa) end
  if p.sid then settle_turn(pid, p, status, output) end
  compact(pid, p)
  return seq
end

local function abandon(pid, p, writer)
  return finish(pid, p, 'abandoned', '{"type":"abandoned","evidence":{"writer":' .. quote(writer) .. ',"owner":' .. quote(p.ow or '') .. ',"at_ms":' .. int(now) .. '}}')
end

-- A run whose owner is gone. Losses are counted apart from failed attempts: a neighbour's crash must not use them up (race 21).
local LOSSES = 10
local function lose(pid, p, writer)
  if p.rc == 'b' then return abandon(pid, p, writer) end
  -- A worker that leaves in order hands on what did not end in time: nobody's fault, so nobody's loss.
  local due, others
  if writer ~= 'shutdown' then
    if not misfits.crashed(pid, p) then
      if p.ls and not num(p.ls) then call('HDEL', proc_key(pid), 'ls') end
      local losses = call('HINCRBY', proc_key(pid), 'ls', 1)
      if losses > LOSSES then return abandon(pid, p, 'losses_exhausted') end
      p.ls = losses
    end
    -- It ran alone, so it ended its worker, or the code there did: later each time, as a release that ends its workers may be gone by then.
    local over = misfits.lost(p) - misfits.ALONE
    if over > 0 then due = now + math.min(1000 * 2 ^ (over - 1), 60000) end
    others = over > 0 and misfits.is_crash(p) and misfits.passes_on(pid, p)
    local told = '{"owner":' .. quote(p.ow or '') .. ',"losses":' .. int(misfits.lost(p)) .. '}'
    append(pid, p, 'process.recovered', told, nil, nil, run_of(p))
  end
  leave_owner(pid, p, nil)
  make_runnable(pid, p, true, due, others)
end

-- Everything an owner held goes back to the queue; the owner itself is forgotten once nothing of it is left.
local function reap(owner, writer)
  local held = ns .. 'owned:' .. owner
  local lost = {}
  local queues = call('SMEMBERS', ns .. 'listens:' .. owner)
  -- First of all: a doorbell rung below must not be hinted to the dead.
  for _, queue in ipairs(queues) do
    call('SREM', ns .. 'idle:' .. queue, owner)
    call('SREM', rq .. ':workers:' .. queue, rq .. ':worker:' .. owner)
  end
  for _ = 1, BOUND do
    local pid = call('SPOP', held)
    if not pid then break end
    local p = load(pid)
    if p.st == 'running' and p.ow == owner then
      lose(pid, p, writer)
      lost[#lost + 1] = pid
    end
  end
  if call('SCARD', held) == 0 then
    call('ZREM', ns .. 'owners', owner)
    call('HDEL', ns .. 'suspects', owner)
    call('HDEL', ns .. 'beats', owner)
    call('HDEL', ns .. 'leases', owner)
    call('HDEL', ns .. 'apps', owner)
    local release = call('HGET', ns .. 'releases', owner)
    call('HDEL', ns .. 'releases', owner)
    if #queues > 0 and call('EXISTS', ns .. 'misfits') == 1 then misfits.leaves(release) end
    leave_release(owner)
    call('HDEL', ns .. 'knows', owner)
    if call('HDEL', ns .. 'codes', owner) == 1 then compare_codes() end
    call('DEL', ns .. 'takes:' .. owner, ns .. 'missed:' .. owner, ns .. 'notify:' .. owner)
    call('SREM', rq .. ':workers', rq .. ':worker:' .. owner)
    call('DEL', ns .. 'listens:' .. owner, rq .. ':worker:' .. owner, rq .. ':worker:' .. owner .. ':executions')
    -- It may have been the one that was told of what is queued: two workers of one tree leave at the same moment, and the first hands on to the second.
    for _, queue in ipairs(queues) do
      if call('LLEN', rq .. ':queue:' .. queue) > 0 then hint_idle(queue) end
    end
  end
  return lost
end
