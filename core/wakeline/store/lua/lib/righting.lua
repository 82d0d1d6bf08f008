-- The tick's slow sweep: it goes through all that lives, a page each time and one kind after another, and puts right
-- what stands still (lib/standing.lua).
-- Needs: base letters filters process limits places rates record approvals slots mailbox reap standing
local KINDS = { 'waiting', 'running', 'queued', 'holding', 'rating' }

-- Counted for doctor, with when it was last so.
local function put_right(what)
  call('HINCRBY', ns .. 'stood', what, 1)
  call('HSET', ns .. 'stood', what .. ' at', int(now))
end

-- What would resolve an open wait may be lost: its timer, or its name among those that senders look for (a signal that
-- came since is in the mailbox).
local function mend_wait(pid, id)
  local slot = fields(slot_key(id), 'g', 'r', 'z', 'd', 'k', 'es', 'q')
  if not slot.g or slot.r or slot.z then return end
  if standing.is_of_unknown_kind(slot) then
    local is_approval = slot.q or standing.was_asked(pid, string.sub(slot.k, 3))
    call('HSET', slot_key(id), 'es', is_approval and '0' or '')
    if is_approval then
      call('ZADD', ns .. 'idx:approvals', int(now), id)
      put_right('approvals')
    end
  end
  if standing.has_no_deadline(id, slot) then
    call('ZADD', ns .. 'timers', slot.d, TIMER.wait .. id)
    put_right('deadlines')
  end
  local name = string.match(slot.k, '^' .. WAIT.signal .. '(.*)$')
  if name and standing.is_not_found(pid, id, name) then
    local resolution, seq = mailbox.take(record.open(pid, {}), name)
    local others = call('HGET', proc_key(pid), 'n:' .. name)
    if resolution then
      resolve(id, resolution, seq)
    else
      call('HSET', proc_key(pid), 'n:' .. name, others and (others .. ',' .. id) or id)
      filters.renew(pid, 'w')
    end
    put_right('signals')
  end
end

-- Whether it is in this index no more.
local look = {}
look['waiting'] = function(pid, p)
  if not standing.waits_for_nothing(pid) then
    for _, id in ipairs(call('SRANDMEMBER', ns .. 'waits:' .. pid, BOUND)) do
      standing.looked = standing.looked + 1
      mend_wait(pid, id)
    end
    return call('HGET', proc_key(pid), 'st') ~= 'waiting'
  end
  local w = record.open(pid, p)
  resume(w)
  record.write(w)
  put_right('waits')
  return true
end
look['running'] = function(pid, p)
  if not standing.runs_nowhere(p) then return false end
  lose(pid, p, 'owner_lost', 1)
  put_right('runs')
  return true
end
-- A process that stands in a line is looked after: the limit is among those with a line.
look['queued'] = function(pid, p, score)
  local left = false
  if p.hd and standing.is_in_no_line(pid, ns .. 'held:' .. p.hd) then
    call('HDEL', proc_key(pid), 'hd')
    left = true
  elseif p.hd then
    gather('SADD', ns .. 'holding', p.hd)
  end
  if p.rd and standing.is_in_no_line(pid, ns .. 'rated:' .. p.rd) then
    call('HDEL', proc_key(pid), 'rd')
    left = true
  elseif p.rd then
    gather('SADD', ns .. 'rating', p.rd)
  end
  if left then
    limits.offer(pid, p, false)
    put_right('lines')
  elseif not p.hd and not p.rd and standing.has_no_timer(pid, p, score) then
    call('ZADD', ns .. 'idx:queued', int(now), pid) -- from now on it is one that may have lost its bell
    put_right('timers')
  end
  return false
end

-- From where the next tick goes on; nil at the end.
local function look_at_index(status, rank, passed)
  local page = call('ZRANGE', ns .. 'idx:' .. status, int(rank), int(rank + standing.AT_ONCE - 1), 'WITHSCORES')
  local seen, left = 0, 0
  for i = 1, #page, 2 do
    if standing.looked >= BOUND * 2 then break end
    local pid = page[i]
    seen = seen + 1
    if not moved[pid] then -- what this script moved is on its way to another index
      local p, gone = load(pid), true
      if p.st == status then
        filters.mend(pid, p, page[i + 1], passed)
        gone = look[status](pid, p, tonumber(page[i + 1]))
      else
        call('ZREM', ns .. 'idx:' .. status, pid)
        if p.st then move_index(pid, status, p.st, now) end
        put_right('indexes')
      end
      if gone then left = left + 1 end
    end
  end
  return (seen == standing.AT_ONCE or seen * 2 < #page) and rank + seen - left or nil
end

-- Otherwise the end of its next run would give away a place that it does not have, and one process too many would run.
local function forget_place(pid, p, limit)
  local others = {}
  for one in string.gmatch(p.lm or '', '%S+') do
    if one ~= limit then others[#others + 1] = one end
  end
  if #others > 0 then call('HSET', proc_key(pid), 'lm', table.concat(others, ' ')) else unset(pid, p, 'lm') end
end

-- One that was given something is asked whether it can take it: a queue may stand still.
local function is_asked(pid, p)
  if p.st == 'queued' and not call('ZSCORE', ns .. 'given', pid) then call('ZADD', ns .. 'given', int(now), pid) end
end

-- Places and cells matter where a process waits for one. A random one is looked at each time, so in time all are.
look['holding'] = function()
  local limit = call('SRANDMEMBER', ns .. 'holding')
  for _, pid in ipairs(limit and call('SRANDMEMBER', ns .. 'holds:' .. limit, standing.AT_ONCE) or {}) do
    local p = load(pid)
    if standing.is_nobodys_place(limit, p) then
      call('SREM', ns .. 'holds:' .. limit, pid)
      forget_place(pid, p, limit)
      places.give(limit, true)
      put_right('places')
    else
      is_asked(pid, p)
    end
  end
end
look['rating'] = function()
  local limit = call('SRANDMEMBER', ns .. 'rating')
  for _, pid in ipairs(limit and call('SRANDMEMBER', ns .. 'cells:' .. limit, standing.AT_ONCE) or {}) do
    local p = load(pid)
    if standing.is_nobodys_cell(limit, p) then
      call('SREM', ns .. 'cells:' .. limit, pid)
      rates.give_cells(limit)
      put_right('cells')
    else
      is_asked(pid, p)
    end
  end
end

-- Approvals that are listed and cannot be answered: a release before does not take them off the list, and what is due
-- before anything waits for it has no timer. A page at a place that is left to chance: all are looked at, in time.
local function take_off_list()
  local list = ns .. 'idx:approvals'
  local size = call('ZCARD', list)
  if size == 0 then return end
  local from = now % size
  for _, id in ipairs(call('ZRANGE', list, int(from), int(from + standing.AT_ONCE - 1))) do
    local slot = fields(slot_key(id), 'p', 'r', 'z', 'd')
    local p = slot.p and fields(proc_key(slot.p), 'st', 'k', 'cr') or {}
    if not approvals.is_open(slot, p) then
      call('ZREM', list, id)
      put_right('approvals')
    end
  end
end

local function put_standing_right()
  local at, rank = string.match(call('HGET', ns .. 'meta', 'still') or '1 0', '^(%d+) (%d+)$')
  at = tonumber(at)
  local kind, next_rank = KINDS[at], nil
  local passed = filters.passed(kind)
  if at == #KINDS then take_off_list() end
  if kind == 'holding' or kind == 'rating' then
    look[kind]()
  else
    next_rank = look_at_index(kind, tonumber(rank), passed)
  end
  call('HSET', ns .. 'meta', 'still', next_rank and at .. ' ' .. int(next_rank) or int(at % #KINDS + 1) .. ' 0')
end
