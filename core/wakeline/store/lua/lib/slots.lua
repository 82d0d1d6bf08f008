-- Await-event slots: one-shot, first resolution wins for ever. A slot knows its waiting process (p), its group (g) and what it waits for (k).
-- proc fields: "o:<group>" open slots of a group, "n:<signal name>" the open slots of that name, oldest first.
local function slot_key(id) return ns .. 'slot:' .. id end

local function forget_open_signal(pid, name, id)
  local field, left = 'n:' .. name, {}
  for other in string.gmatch(call('HGET', proc_key(pid), field) or '', '[^,]+') do
    if other ~= id then left[#left + 1] = other end
  end
  if #left > 0 then call('HSET', proc_key(pid), field, table.concat(left, ',')) else call('HDEL', proc_key(pid), field) end
end

local function resume(pid, p)
  append(pid, p, 'process.resumed', '{}')
  make_runnable(pid, p, false)
end

-- First resolution wins. Returns true, or false and the resolution that stands. A slot that is gone takes nothing (its wait is over).
-- Whoever completes a group of a parked process makes it runnable here, in the same script; a body still in memory gets a hint.
local function resolve(id, resolution, sequence)
  local key = slot_key(id)
  local slot = fields(key, 'p', 'g', 'k', 'd', 'r', 'z')
  if slot.r or slot.z then return false, slot.r end
  if not slot.p then return false, nil end
  call('HSET', key, 'r', resolution)
  if sequence then call('HSET', key, 'rs', sequence) end
  if slot.d then call('ZREM', ns .. 'timers', 's:' .. id) end
  if string.sub(slot.k, 1, 2) == 's:' then forget_open_signal(slot.p, string.sub(slot.k, 3), id) end
  local open = call('HINCRBY', proc_key(slot.p), 'o:' .. slot.g, -1)
  local p = load(slot.p)
  if p.st == 'waiting' then
    if open <= 0 then resume(slot.p, p) end
  elseif p.st == 'running' and p.ow then
    hint(p.ow, 'slot ' .. id .. ' ' .. slot.p)
  end
  return true
end

-- A wait is over (consumed, given up, its process ended). Slots an outsider can resolve stay, marked closed, so that a token is never good twice.
local function close_slot(pid, id)
  local key = slot_key(id)
  local slot = fields(key, 'g', 'k', 'd', 'r')
  if not slot.k then return end
  if slot.d then call('ZREM', ns .. 'timers', 's:' .. id) end
  if not slot.r and string.sub(slot.k, 1, 2) == 's:' then forget_open_signal(pid, string.sub(slot.k, 3), id) end
  if string.sub(slot.k, 1, 2) == 'c:' then call('SREM', ns .. 'waiters:' .. string.sub(slot.k, 3), id) end
  call('HDEL', proc_key(pid), 'o:' .. slot.g)
  if string.sub(slot.k, 1, 2) == 'x:' then
    call('HSET', key, 'z', '1')
  else
    call('DEL', key)
    call('SREM', ns .. 'waits:' .. pid, id)
  end
end

-- Rows a run consumed since its last write: journaled here, with whatever it writes now, and their slots closed.
local function apply_rows(pid, p, rows)
  ensure_started(pid, p)
  if not rows or #rows == 0 then return end
  for _, row in ipairs(rows) do
    write_row(pid, row)
    for _, id in ipairs(row.s or {}) do close_slot(pid, id) end
  end
  progressed(pid, p)
end

-- Resolves every open slot of a process as cancelled; returns false when more than the bound are left.
local function cancel_waits(pid)
  local ids = call('SMEMBERS', ns .. 'waits:' .. pid)
  for i, id in ipairs(ids) do
    if i > BOUND then return false end
    resolve(id, '{"status":"cancelled"}')
  end
  return true
end
