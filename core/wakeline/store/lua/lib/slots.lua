-- Await-event slots: one-shot, first resolution wins for ever. A slot knows its waiting process (p), its group (g) and what it waits for (k).
-- proc fields: "o:<group>" open slots of a group, "n:<signal name>" the open slots of that name, oldest first, "l:<signal name>" another name of that signal.
local SCHEMA_TTL = 2592000000 -- 30 days; refreshed by every wait and question that carries it
local HINTED = 4096 -- longest resolution that a hint carries, in bytes
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
-- `p`: the process that waits, where the caller has it, as it is now.
local function resolve(id, resolution, sequence, p)
  local key = slot_key(id)
  local slot = fields(key, 'p', 'g', 'k', 'd', 'r', 'z')
  if slot.r or slot.z then return false, slot.r end
  if not slot.p then return false, nil end
  if sequence then call('HSET', key, 'r', resolution, 'rs', sequence) else call('HSET', key, 'r', resolution) end
  if slot.d then call('ZREM', ns .. 'timers', 's:' .. id) end
  if string.sub(slot.k, 1, 2) == 's:' then forget_open_signal(slot.p, string.sub(slot.k, 3), id) end
  local open = call('HINCRBY', proc_key(slot.p), 'o:' .. slot.g, -1)
  p = p or load(slot.p)
  if p.st == 'waiting' then
    if open <= 0 or p.an then resume(slot.p, p) end
  elseif p.st == 'running' and p.ow then
    -- With the resolution, where it is short: who waits need not ask for it. For this run alone: a later one may have given the wait up since.
    -- The process comes last, where every release looks for it.
    hint(p.ow, 'slot ' .. id .. ' ' .. (#resolution <= HINTED and p.cl .. ' ' .. resolution .. ' ' or '') .. word(slot.p))
  end
  return true
end

-- A slot leaves its group: one that nobody resolved is counted no longer, the others of the group still are.
local function leave_group(pid, slot)
  if not slot.g then return end
  local field = 'o:' .. slot.g
  local open = tonumber(call('HGET', proc_key(pid), field) or '0') - (slot.r and 0 or 1)
  if open > 0 then call('HSET', proc_key(pid), field, int(open)) else call('HDEL', proc_key(pid), field) end
end

-- A wait is over (consumed, given up, its process ended). Slots an outsider can resolve stay, marked closed, so that a token is never good twice.
local function close_slot(pid, id)
  local key = slot_key(id)
  local slot = fields(key, 'g', 'k', 'd', 'r', 'z')
  if not slot.k or slot.z then return end
  if slot.d then call('ZREM', ns .. 'timers', 's:' .. id) end
  if not slot.r and string.sub(slot.k, 1, 2) == 's:' then forget_open_signal(pid, string.sub(slot.k, 3), id) end
  if string.sub(slot.k, 1, 2) == 'c:' then call('SREM', ns .. 'waiters:' .. string.sub(slot.k, 3), id) end
  leave_group(pid, slot)
  if string.sub(slot.k, 1, 2) == 'x:' then
    call('HSET', key, 'z', '1')
    call('SMOVE', ns .. 'waits:' .. pid, ns .. 'closed:' .. pid, id) -- nobody looks for it among the waits any more, nothing grows with them
  else
    call('DEL', key)
    call('SREM', ns .. 'waits:' .. pid, id)
  end
end

-- A signal that was renamed: whoever knows only one of its names is led from it to the one that is waited for, or kept.
local function link_names(pid, name, others)
  local links = {}
  for _, other in ipairs(others) do
    links[#links + 1] = 'l:' .. other
    links[#links + 1] = name
  end
  if #links > 0 then call('HSET', proc_key(pid), unpack(links)) end
end

-- The oldest open wait for a signal, under any of its names; its own comes first.
local function open_wait(pid, name, others)
  local key = proc_key(pid)
  local of = fields(key, 'n:' .. name, 'l:' .. name)
  local open = of['n:' .. name]
  if not open and of['l:' .. name] then open = call('HGET', key, 'n:' .. of['l:' .. name]) end
  for _, other in ipairs(others or {}) do open = open or call('HGET', key, 'n:' .. other) end
  return string.match(open or '', '^[^,]+')
end

-- The oldest signal of a name, or of another name that it has or had, that is kept: what resolves a wait with it, and its sequence.
local function from_mailbox(pid, name, others)
  local box = ns .. 'mail:' .. pid
  local letters = call('LRANGE', box, 0, -1)
  if #letters == 0 then return end
  local wanted = { [name] = true, [call('HGET', proc_key(pid), 'l:' .. name) or name] = true }
  for _, other in ipairs(others or {}) do wanted[other] = true end
  for _, letter in ipairs(letters) do
    local of, seq = string.match(letter, '^(.*):(%d+)$')
    if wanted[of] then
      call('LREM', box, 1, letter)
      local event = call('XRANGE', ns .. 'events:' .. pid, seq .. '-0', seq .. '-0')
      return '{"status":"ok","value":' .. event[1][2][4] .. '}', seq
    end
  end
end

-- A signal whose wait was given up: the oldest open wait of its name takes it, else the mailbox, in the order of sending.
local function give_back(pid, name, seq)
  local open = open_wait(pid, name)
  if open then
    local event = call('XRANGE', ns .. 'events:' .. pid, seq .. '-0', seq .. '-0')
    return resolve(open, '{"status":"ok","value":' .. event[1][2][4] .. '}', seq)
  end
  local box = ns .. 'mail:' .. pid
  for _, letter in ipairs(call('LRANGE', box, 0, -1)) do
    local other = string.match(letter, ':(%d+)$')
    if tonumber(other) > tonumber(seq) then return call('LINSERT', box, 'BEFORE', letter, name .. ':' .. seq) end
  end
  call('RPUSH', box, name .. ':' .. seq)
end

-- Gives waits up. All are closed before a signal finds its next wait, or it could fall into one that is given up with it.
local function give_up(pid, ids)
  local letters = {}
  for _, id in ipairs(ids) do
    local slot = fields(slot_key(id), 'k', 'rs')
    if slot.rs then letters[#letters + 1] = { string.sub(slot.k, 3), slot.rs } end
    close_slot(pid, id)
  end
  table.sort(letters, function(x, y) return tonumber(x[2]) < tonumber(y[2]) end)
  for _, letter in ipairs(letters) do give_back(pid, letter[1], letter[2]) end
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
