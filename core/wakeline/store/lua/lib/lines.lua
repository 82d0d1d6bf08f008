-- Lines: a process that a limit keeps from running now stands in line there.
-- Needs: base hints process limits places rates

-- The first limit that keeps a queued process from running now, and what it lacks there: a cell of its rate, or a
-- place.
-- A rate counts beginnings. A process that waits for code that fits ('mf') was counted at its first look; later claims
-- are no beginnings.
local function missing_of(pid, p, wanted)
  for _, one in ipairs(wanted) do
    local id, limit = one[1], one[2]
    local begins_now = limit.n and not p.fs and not p.mf and p.ce ~= id
    if begins_now and (call('EXISTS', ns .. 'rated:' .. id) == 1 or rates.cells_left(id, limit) <= 0) then
      return id, 'cell'
    end
    local has_place = not limit.c or call('SISMEMBER', ns .. 'holds:' .. id, pid) == 1
    if not has_place and call('SCARD', ns .. 'holds:' .. id) >= limit.c then return id, 'place' end
  end
end

-- It waits, and meanwhile keeps nothing that others could use, except a cell of the limit at which it waits for a
-- place.
local function stand_in_line(pid, p, at, what)
  if p.lm then places.leave(pid, p) end
  if p.ce and not (what == 'place' and p.ce == at) then rates.leave_cell(pid, p) end
  if what == 'place' then
    if p.hd == at then return end
    call('RPUSH', ns .. 'held:' .. at, pid)
    call('SADD', ns .. 'holding', at)
    call('HSET', proc_key(pid), 'hd', at)
  elseif p.rd ~= at then
    call('HSET', proc_key(pid), 'rd', at)
    call('SADD', ns .. 'rating', at)
    if call('RPUSH', ns .. 'rated:' .. at, pid) == 1 then
      local due = rates.give_cells(at)
      if due then hints.announce_timer(p.q, due) end
    end
  end
end

-- The limits that a queued process is under; nil where there are none, and it waits at none and keeps nothing of one.
local function wanted_by(p)
  local of_queue, own = 'q:' .. p.q, p.lk
  if not limits.of(of_queue) then of_queue = nil end
  if own and not limits.of(own) then own = nil end
  if not (of_queue or own or p.lm or p.ce or p.hd or p.rd) then return nil end
  local wanted = {}
  if of_queue then wanted[1] = { of_queue, limits.of(of_queue) } end
  if own then wanted[#wanted + 1] = { own, limits.of(own) } end
  return wanted
end

-- Whether a limit keeps a queued process from running now. If so, it stands in line there. Else it has its places, and
-- its beginning is counted.
-- `bell`: its doorbell's id, where RQ itself does not run it.
local function kept_back(pid, p, bell)
  local wanted = wanted_by(p)
  if not wanted then return false end
  local at, what = missing_of(pid, p, wanted)
  if at then
    if bell then call('DEL', rq .. ':job:' .. bell) end
    stand_in_line(pid, p, at, what)
    return true
  end
  if p.lm or p.ce then call('ZREM', ns .. 'given', pid) end
  local held, used = {}, p.ce
  if used then
    call('SREM', ns .. 'cells:' .. used, pid)
    unset(pid, p, 'ce')
  end
  unset(pid, p, 'hd', 'rd')
  for _, one in ipairs(wanted) do
    local id, limit = one[1], one[2]
    if limit.c then
      call('SADD', ns .. 'holds:' .. id, pid)
      held[#held + 1] = id
    end
    if limit.n and not p.fs and not p.mf then
      rates.count_beginning(id, limit)
      if call('EXISTS', ns .. 'rated:' .. id) == 1 then rates.give_cells(id) end
    end
  end
  if #held > 0 then
    p.lm = table.concat(held, ' ')
    call('HSET', proc_key(pid), 'lm', p.lm)
  end
  return false
end
