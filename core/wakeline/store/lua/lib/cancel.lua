-- Cancels: a process is asked to end, and so are the children that it awaits.
-- Needs: base letters hints log process misfits approvals slots
local cancel = {}

-- How many waits and children a cancel may still reach in this script, over all processes that it goes on to.
local cancelling
at_begin[#at_begin + 1] = function() cancelling = BOUND end

-- How long the body of a process that was asked to end may take; so may the children that its cancel goes on to.
local function grace_of(pid)
  local due, since = call('ZSCORE', ns .. 'timers', TIMER.grace .. pid), call('HGET', proc_key(pid), 'cr')
  return due and since and tonumber(due) - tonumber(since) or 10000
end

-- Whether a process that was asked to end still waits for the end of this other process. It does for a child of its
-- own, which is asked to end, once.
-- Not for one that was detached by hand ('d'). One that was started after the cancel ('pc') cleans up, so it is left to
-- its work.
function cancel.awaits_child(pid, child)
  local c = load(child)
  if c.pa ~= pid or c.pe == 'd' then return false end
  if not ENDED[c.st] and not c.cr and not c.pc then
    cancelling = cancelling - 1
    cancel.request(child, c, '{"reason":"parent cancelled"}', grace_of(pid))
  end
  return true
end

-- Resolves every open slot of a process as cancelled; returns false when more than the bound are left.
-- Two kinds stay open: the wait for the end of all children ('aw'), and waits for single children. The cancel goes on
-- to these children, and their end is still waited for.
function cancel.waits(pid)
  local ending = call('HGET', proc_key(pid), 'aw')
  -- Slots that an earlier round resolved are still in the set. So the bound counts what this round does, or the rest
  -- would never have its turn.
  for _, id in ipairs(call('SMEMBERS', ns .. 'waits:' .. pid)) do
    if cancelling <= 0 then return false end
    if id ~= ending then
      local child = string.match(call('HGET', slot_key(id), 'k') or '', '^' .. WAIT.child .. '(.*)$')
      if not (child and cancel.awaits_child(pid, child)) and resolve(id, '{"status":"cancelled"}') then
        cancelling = cancelling - 1
      end
    end
  end
  return true
end

function cancel.request(pid, p, reason_json, grace)
  local seq = append(pid, p, 'process.cancel_requested', reason_json)
  call('HSET', ns .. 'replay:' .. pid, 'cancel', seq)
  call('HSET', proc_key(pid), 'cr', int(now))
  p.cr = int(now)
  call('ZADD', ns .. 'timers', int(now + grace), TIMER.grace .. pid)
  if not cancel.waits(pid) then call('RPUSH', ns .. 'todo', LEFT.cancel_waits .. pid) end
  -- A turn's questions are revoked, and those that nothing waits for yet are among the closed ones.
  if p.k == 's' then approvals.forget(call('SRANDMEMBER', ns .. 'closed:' .. pid, BOUND)) end
  if p.aw and p.aw ~= '1' then call('RPUSH', ns .. 'todo', LEFT.cancel_children .. pid) end
  if p.st == 'running' and p.ow then hints.send_to_run(pid, p, 'cancel') end
  -- It waits for code that fits. Where such code is there by now, its body hears of the cancel within the grace.
  if p.mf and p.st == 'queued' then misfits.offer(pid) end
end

-- The cancel of a process whose body has ended goes on to the children that it waits for. The tick does this, since
-- such trees may be deep.
-- Returns false when more than the bound are left.
function cancel.awaited(pid)
  local asked = 0
  for _, child in ipairs(call('SMEMBERS', ns .. 'awaited:' .. pid)) do
    local c = load(child)
    if c.st and not ENDED[c.st] and not c.cr then
      if asked >= BOUND then return false end
      cancel.request(child, c, '{"reason":"parent cancelled"}', 10000)
      asked = asked + 1
    end
  end
  return true
end
