-- Slots: each is resolved once, and the first resolution stays. A slot knows its waiting process (p), its group (g) and
-- what it waits for (k). Fields of the process: "o:<group>" open slots of a group, "n:<signal name>" the open slots of
-- that name, oldest first, "l:<signal name>" another name of that signal.
-- Needs: base letters hints log process runnable approvals
local SCHEMA_TTL = 2592000000 -- 30 days; refreshed by every wait and question that carries it
local HINTED = 4096 -- longest resolution that a hint carries, in bytes
local function slot_key(id) return ns .. 'slot:' .. id end

local function forget_open_signal(pid, name, id)
  local field, left = 'n:' .. name, {}
  for other in string.gmatch(call('HGET', proc_key(pid), field) or '', '[^,]+') do
    if other ~= id then left[#left + 1] = other end
  end
  if #left > 0 then
    call('HSET', proc_key(pid), field, table.concat(left, ','))
  else
    call('HDEL', proc_key(pid), field)
  end
end

local function resume(pid, p)
  append(pid, p, 'process.resumed', '{}')
  make_runnable(pid, p, false)
end

-- First resolution wins. Returns true, or false and the resolution that stands. A slot that is gone takes nothing (its
-- wait is over).
-- The resolution that completes a group of a parked process makes the process runnable in the same script. A body still
-- in memory gets a hint.
-- `p`: the process that waits, where the caller has it, as it is now.
local function resolve(id, resolution, sequence, p)
  local key = slot_key(id)
  local slot = fields(key, 'p', 'g', 'k', 'd', 'r', 'z', 'es')
  if slot.r or slot.z then return false, slot.r end
  if not slot.p then return false, nil end
  if sequence then call('HSET', key, 'r', resolution, 'rs', sequence) else call('HSET', key, 'r', resolution) end
  if slot.d then call('ZREM', ns .. 'timers', TIMER.wait .. id) end
  if string.sub(slot.k, 1, 2) == WAIT.signal then forget_open_signal(slot.p, string.sub(slot.k, 3), id) end
  approvals.close(id, slot)
  local open = call('HINCRBY', proc_key(slot.p), 'o:' .. slot.g, -1)
  p = p or load(slot.p)
  if p.st == 'waiting' then
    if open <= 0 or p.an then resume(slot.p, p) end
  elseif p.st == 'running' and p.ow then
    -- The hint has the resolution where it is short, so the run need not ask for it. It is for this run alone, as a
    -- later run may have given the wait up.
    -- The process comes last, where every release looks for it.
    local more = #resolution <= HINTED and p.cl .. ' ' .. resolution .. ' ' or ''
    hints.send(p.ow, 'slot ' .. id .. ' ' .. more .. word(slot.p))
  end
  return true
end

-- A slot leaves its group: one without a resolution is counted no longer, the others of the group still are.
local function leave_group(pid, slot)
  if not slot.g then return end
  local field = 'o:' .. slot.g
  local open = tonumber(call('HGET', proc_key(pid), field) or '0') - (slot.r and 0 or 1)
  if open > 0 then call('HSET', proc_key(pid), field, int(open)) else call('HDEL', proc_key(pid), field) end
end

-- A wait is over (consumed, given up, its process ended). Slots an outsider can resolve stay, marked closed, so that a
-- token is never good twice.
-- `read`: the slot, where the fence has looked at it.
local function close_slot(pid, id, read)
  local key = slot_key(id)
  local slot = read or fields(key, 'g', 'k', 'd', 'r', 'z', 'es')
  if not slot.k or slot.z then return end
  approvals.close(id, slot)
  if slot.d then call('ZREM', ns .. 'timers', TIMER.wait .. id) end
  if not slot.r and string.sub(slot.k, 1, 2) == WAIT.signal then forget_open_signal(pid, string.sub(slot.k, 3), id) end
  if string.sub(slot.k, 1, 2) == WAIT.child then call('SREM', ns .. 'waiters:' .. string.sub(slot.k, 3), id) end
  leave_group(pid, slot)
  if string.sub(slot.k, 1, 2) == WAIT.completion then
    call('HSET', key, 'z', '1')
    -- No script looks for it among the waits any more, and nothing grows with them.
    call('SMOVE', ns .. 'waits:' .. pid, ns .. 'closed:' .. pid, id)
  else
    call('DEL', key)
    call('SREM', ns .. 'waits:' .. pid, id)
  end
end
