-- Bells: doorbells that were lost are rung again at the head of their queue, under the same job id (race 18).
-- Needs: base doorbell process rounds righting

local function look_after_page(from)
  local page = call('ZRANGEBYSCORE', ns .. 'idx:queued', '-inf', int(now - a.stale_ms), 'WITHSCORES', 'LIMIT', from, 32)
  local rung = 0
  for i = 1, #page, 2 do
    local pid, score = page[i], tonumber(page[i + 1])
    local p = load(pid)
    if p.st ~= 'queued' then
      call('ZREM', ns .. 'idx:queued', pid)
    -- A process may wait aside for code: a stock worker may have the code that no owner has.
    elseif not p.hd and not p.rd and not (p.as and rounds.is_awaited(p)) and doorbell.is_lost(pid, p, score) then
      local rings = call('HINCRBY', proc_key(pid), 'rg', 1)
      for form = 1, 2 do call('LREM', rq .. ':queue:' .. p.q, 1, doorbell.id(pid, p.ep, int(form))) end
      doorbell.ring(pid, p.ep, p.q, true)
      rung = rung + 1
      if rings == 1 then put_right('bells') end
      -- The index score is the backoff: it says when this doorbell was last rung again. The ringing never stops, since
      -- the client that throws bells away may be gone by the next one.
      move_index(pid, nil, 'queued', now + a.stale_ms * (2 ^ math.min(rings - 1, 6) - 1))
    end
  end
  return #page / 2, rung
end

-- Goes through the queued processes that are stale: the first page in each tick, and one page more from `cursor` on.
-- Returns how many were rung, and the next cursor.
local function sweep_bells(cursor)
  local offset = num(cursor, 0)
  local _, rung = look_after_page(0)
  if offset > 0 then
    local seen, more = look_after_page(offset)
    offset, rung = offset + seen, rung + more
  end
  local backlog = call('ZCOUNT', ns .. 'idx:queued', '-inf', int(now - a.stale_ms))
  return rung, (offset == 0 and backlog > 32) and 32 or (offset < backlog and int(offset) or 0)
end
