-- Slots: each is resolved once, and the first resolution stays. A slot knows its waiting process (p), its group (g) and
-- what it waits for (k). Fields of the process: "o:<group>" open slots of a group, "n:<signal name>" the open slots of
-- that name, oldest first, "l:<signal name>" another name of that signal.
-- Needs: base letters hints process record runnable approvals
local SCHEMA_TTL = 2592000000 -- 30 days; refreshed by every wait and question that carries it
local HINTED = 4096 -- longest resolution that a hint carries, in bytes
local function slot_key(id) return ns .. 'slot:' .. id end

-- Many waits of one script have one schema.
local kept_schemas
at_begin[#at_begin + 1] = function() kept_schemas = {} end
local function keep_schema(schema)
  if kept_schemas[schema.hash] then return end
  call('SET', ns .. 'schema:' .. schema.hash, schema.text, 'PX', SCHEMA_TTL)
  kept_schemas[schema.hash] = true
end

-- All fields of a slot; it has so few that they come faster than by their names.
local function read_slot(id)
  local flat, slot = call('HGETALL', slot_key(id)), {}
  for i = 1, #flat, 2 do slot[flat[i]] = flat[i + 1] end
  return slot
end

local function forget_open_signal(w, name, id)
  local field, left = 'n:' .. name, {}
  for other in string.gmatch(record.get(w, field) or '', '[^,]+') do
    if other ~= id then left[#left + 1] = other end
  end
  if #left > 0 then record.set(w, field, table.concat(left, ',')) else record.drop(w, field) end
end

-- One slot less of a group is open; a group without one is not counted. Returns how many are.
local function count_down(w, group)
  local open = tonumber(record.get(w, 'o:' .. group) or '0') - 1
  if open > 0 then record.set(w, 'o:' .. group, int(open)) else record.drop(w, 'o:' .. group) end
  return open
end

local function resume(w)
  record.event(w, 'process.resumed', '{}')
  make_runnable(w.pid, w.p, false, nil, nil, w)
end

-- First resolution wins. Returns true, or false and the resolution that stands. A slot that is gone takes nothing (its
-- wait is over).
-- The resolution that completes a group of a parked process makes the process runnable in the same script. A body still
-- in memory gets a hint.
-- `mine`: the record of the process that waits, where the caller gathers it; `read`: the slot, where the caller has it.
-- `headers`: of the event that resolves it; else those of what this script was asked for.
local function resolve(id, resolution, sequence, mine, read, headers)
  local key, slot = slot_key(id), read or read_slot(id)
  if slot.r or slot.z then return false, slot.r end
  if not slot.p then return false, nil end
  if sequence then call('HSET', key, 'r', resolution, 'rs', sequence) else call('HSET', key, 'r', resolution) end
  headers = headers or a.headers
  if headers then call('HSET', key, 'hs', headers) end
  if slot.d then gather('ZREM', ns .. 'timers', TIMER.wait .. id) end
  local w = mine or record.open(slot.p, load(slot.p))
  local p = w.p
  if string.sub(slot.k, 1, 2) == WAIT.signal then forget_open_signal(w, string.sub(slot.k, 3), id) end
  approvals.close(id, slot)
  local open = count_down(w, slot.g)
  if p.st == 'waiting' then
    if open <= 0 or p.an then resume(w) end
  elseif p.st == 'running' and p.ow then
    -- The hint has the resolution where it is short, so the run need not ask for it. It is for this run alone, as a
    -- later run may have given the wait up.
    -- The process comes last, where every release looks for it.
    local more = #resolution <= HINTED and p.cl .. ' ' .. resolution .. ' ' or ''
    hints.send(p.ow, 'slot ' .. id .. ' ' .. more .. word(slot.p))
  end
  if not mine then record.write(w) end
  return true
end

-- A slot leaves its group: one without a resolution is counted no longer, the others of the group still are. A release
-- before keeps a group of which none is open.
local function leave_group(w, slot)
  if not slot.g then return end
  if slot.r and record.get(w, 'o:' .. slot.g) ~= '0' then return end
  count_down(w, slot.g)
end

-- A wait is over (consumed, given up, its process ended). Slots an outsider can resolve stay, marked closed, so that a
-- token is never good twice.
-- `read`: the slot, where the fence has looked at it; `p`: the process, where the caller has read it.
local function close_slot(pid, id, read, p)
  local key = slot_key(id)
  local slot = read or fields(key, 'g', 'k', 'd', 'r', 'z', 'es')
  if not slot.k or slot.z then return end
  approvals.close(id, slot)
  local w = record.open(pid, p or {})
  if slot.d and not slot.r then gather('ZREM', ns .. 'timers', TIMER.wait .. id) end
  if not slot.r and string.sub(slot.k, 1, 2) == WAIT.signal then forget_open_signal(w, string.sub(slot.k, 3), id) end
  if string.sub(slot.k, 1, 2) == WAIT.child then call('SREM', ns .. 'waiters:' .. string.sub(slot.k, 3), id) end
  leave_group(w, slot)
  record.write(w)
  if string.sub(slot.k, 1, 2) == WAIT.completion then
    call('HSET', key, 'z', '1')
    -- No script looks for it among the waits any more, and nothing grows with them.
    call('SMOVE', ns .. 'waits:' .. pid, ns .. 'closed:' .. pid, id)
  else
    call('DEL', key)
    call('SREM', ns .. 'waits:' .. pid, id)
  end
end
