-- Tending: the tick's part of limits.
-- Needs: base process limits places rates

-- A place or cell that was given and not taken: where the queue was paused since, or lost its workers, it goes to the
-- next.
local function take_back()
  for _, pid in ipairs(call('ZRANGEBYSCORE', ns .. 'given', '-inf', int(now - 1000), 'LIMIT', 0, 64)) do
    local p = load(pid)
    if p.st == 'queued' and (p.lm or p.ce) and limits.is_served(p.q) then
      call('ZADD', ns .. 'given', int(now), pid)
    else
      call('ZREM', ns .. 'given', pid)
      if p.ce then rates.leave_cell(pid, p) end -- also of one that an older release has begun
      if p.st == 'queued' and p.lm then places.leave(pid, p) end
    end
  end
end

-- Looks after limits that were raised or removed since a process began to wait, queues that are served again, and what
-- scripts left to the tick. True where more is left.
local function tend_limits()
  take_back()
  for _, id in ipairs(call('SRANDMEMBER', ns .. 'holding', 16)) do
    local limit = limits.of(id)
    local most = limit and limit.c or math.huge
    for _ = 1, math.min(BOUND, most - call('SCARD', ns .. 'holds:' .. id)) do
      if not places.give(id, false) then break end
    end
  end
  for _, id in ipairs(call('SRANDMEMBER', ns .. 'rating', 16)) do rates.give_cells(id) end
  return limits.passed >= BOUND
end
