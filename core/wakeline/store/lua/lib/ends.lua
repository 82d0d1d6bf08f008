-- Ends: the terminal event of a process and all that follows from it. Every script that can end a process calls
-- `finish`.
-- Needs: base letters filters aside tails log process misfits rates runs approvals slots cancel turns inbox

-- A process that ends while it waits in a line leaves it.
local function leave_lines(pid, p)
  if p.as then leave_aside(pid, p.as) end
  if p.hd then call('LREM', ns .. 'held:' .. p.hd, 1, pid) end
  if p.rd then call('LREM', ns .. 'rated:' .. p.rd, 1, pid) end
  if p.ce then rates.leave_cell(pid, p) end
end

-- Tells the slots that wait for this process; true when a waiter belongs to the wake target's session (it must not also
-- be woken, race 32).
local function resolve_waiters(pid, output, session)
  local inside = false
  for i, id in ipairs(call('SMEMBERS', ns .. 'waiters:' .. pid)) do
    if i > BOUND then
      call('RPUSH', ns .. 'todo', LEFT.tell_waiters .. pid)
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
  approvals.forget(closed) -- those that nothing waited for yet
  for i, id in ipairs(call('SMEMBERS', ns .. 'waits:' .. pid)) do
    if i > BOUND then return call('RPUSH', ns .. 'todo', LEFT.drop_waits .. pid) end
    local slot = fields(slot_key(id), 'k', 'd', 'es')
    if slot.d then call('ZREM', ns .. 'timers', TIMER.wait .. id) end
    approvals.close(id, slot)
    if slot.k and string.sub(slot.k, 1, 2) == WAIT.child then
      call('SREM', ns .. 'waiters:' .. string.sub(slot.k, 3), id)
    end
    call('UNLINK', slot_key(id))
    call('SREM', ns .. 'waits:' .. pid, id)
  end
  if #closed == BOUND then call('RPUSH', ns .. 'todo', LEFT.drop_waits .. pid) end
end

-- A body that has ended waits for its children. 'aw' is the slot of that wait, '1' before it. The last child to end
-- resolves it.
local function leave_parent(pid, parent)
  local awaited = ns .. 'awaited:' .. parent
  if call('SREM', awaited, pid) == 0 or call('EXISTS', awaited) == 1 then return end
  local slot = call('HGET', proc_key(parent), 'aw')
  if slot then resolve(slot, '{"status":"ok","value":null}') end
end

local function end_children(pid)
  -- A process may end before the children that it was to wait for (grace, deadline, abandoned). Then they are asked to
  -- end, as bound children are.
  if call('EXISTS', ns .. 'awaited:' .. pid) == 1 then
    call('SUNIONSTORE', ns .. 'bound:' .. pid, ns .. 'bound:' .. pid, ns .. 'awaited:' .. pid)
    call('DEL', ns .. 'awaited:' .. pid)
  end
  for i, child in ipairs(call('SMEMBERS', ns .. 'bound:' .. pid)) do
    if i > BOUND then return call('RPUSH', ns .. 'todo', LEFT.end_children .. pid) end
    call('SREM', ns .. 'bound:' .. pid, child)
    local c = load(child)
    if c.st and not ENDED[c.st] and not c.cr then cancel.request(child, c, '{"reason":"parent ended"}', 10000) end
  end
end

-- Removes groups, open signals and their other names from the record; only a process that once waited has any. In
-- parts, since Lua unpacks at most 8,000 values.
local function forget_waits(pid)
  local found = {}
  for _, field in ipairs(call('HKEYS', proc_key(pid))) do
    local head = string.sub(field, 1, 2)
    if head == 'o:' or head == 'n:' or head == 'l:' then found[#found + 1] = field end
  end
  for i = 1, #found, 1000 do call('HDEL', proc_key(pid), unpack(found, i, math.min(i + 999, #found))) end
end

-- Marks of its runs, its waits and the lines that it stood in.
local GONE_WITH_ITS_END = { 'ow', 'ct', 'rw', 'rg', 'aw', 'hd', 'rd', 'an', 'ur', 'pr', 'sr', 'tr', 'tl', 'ix',
  'qm', 'pm', 'pk', 'hs' }

-- The terminal event and everything that follows from it, exactly once. `output` is the await output as JSON, `text`
-- the wake's input as a JSON string.
-- `mark`: what tells a resend of this very end. `about`: what else its event says, members of JSON with a comma before
-- them. It stands in the log alone, and not where the output goes: to waiters, entries and wakes.
local function finish(pid, p, status, output, text, mark, about)
  local event_type, key = 'process.' .. status, proc_key(pid)
  -- Its first run may be its last: both events are written at once then, and the record once.
  local began, run = p.st == 'running' and p.k ~= 'x' and not p.fs, run_of(p)
  local unheard = began and run and p.seq == '0'
  local seq, payload = int(num(p.seq, 0) + (began and 2 or 1)), '{"await_output":' .. output .. (about or '') .. '}'
  if unheard then
    logs.write_whole(pid, event_type, payload, run)
  else
    if began then write_event(pid, int(seq - 1), 'process.started', '{}', nil, nil, run) end
    write_event(pid, seq, event_type, payload, nil, nil, run)
  end
  if p.tl then tails.ended(pid, p.tl, seq, p.inc, output) end
  leave_owner(pid, p, status == 'completed' and 'successful' or 'failed')
  -- One look tells whether anything ever waited for it, in it, or with it: most ends have nothing to tell. What has no
  -- event yet got no signal, asked nothing and started no child.
  local waits, waiters = ns .. 'waits:' .. pid, ns .. 'waiters:' .. pid
  local involved = (unheard and call('EXISTS', waits, waiters) or call('EXISTS', waits, waiters, ns .. 'mail:' .. pid,
    ns .. 'closed:' .. pid, ns .. 'bound:' .. pid, ns .. 'awaited:' .. pid)) > 0
  leave_lines(pid, p)
  filters.drop(pid, p)
  misfits.clear(pid, p)
  unset_all(pid, p, GONE_WITH_ITS_END)
  if involved then forget_waits(pid) end
  local at, more, n = int(now), {}, 0
  if began then more[1], more[2], n = 'fs', '1', 2 end
  if mark then more[n + 1], more[n + 2] = 'fin', mark end
  call('HSET', key, 'st', status, 'seq', seq, 'sn', at, 'ua', at, unpack(more))
  -- A running process with neither a bound nor a cancel has no timer.
  if p.st ~= 'running' or p.cr or p.dl or p.to or p.qt then
    call('ZREM', ns .. 'timers', TIMER.grace .. pid, TIMER.offer .. pid, TIMER.deadline .. pid,
      TIMER.queue_timeout .. pid, TIMER.attempt_timeout .. pid)
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
  if p.sid then turns.settle(pid, p, status, output) end
  if not unheard then compact(pid, p) end
  return seq
end

local function abandon(pid, p, writer)
  local evidence = '{"writer":' .. quote(writer) .. ',"owner":' .. quote(p.ow or '') .. ',"at_ms":' .. int(now) .. '}'
  return finish(pid, p, 'abandoned', '{"type":"abandoned","evidence":' .. evidence .. '}')
end
