-- Retention: what ended long ago goes, with all that belongs to it. It goes in slices: a script takes at most SLICE ms
-- for it.
-- Needs: base entries metrics pruning registries
local SLICE = 5 -- ms
local PAGE = 16
local LEAST = 8 -- processes of a slice, however slow the server is: few ended ones go at once
local TERMINAL = { 'completed', 'failed', 'cancelled', 'abandoned' }

-- The server's clock stands still while a script runs, so this is the processor time that it used. Before Redis 7 the
-- clock goes on, and there is no `os`.
local function ran_ms()
  local os = rawget(_G, 'os')
  if os then return os.clock() * 1000 end
  local t = call('TIME')
  return tonumber(t[1]) * 1000 + tonumber(t[2]) / 1000
end

-- Prunes a page of processes, until the time is over. `before`: how many are gone in this slice. Returns how many are
-- gone now, and whether the time is over.
local function prune_page(status, until_ms, before)
  local gone, late = {}, false
  local page = call('ZRANGEBYSCORE', ns .. 'idx:' .. status, '-inf', int(now - a.retention_ms), 'LIMIT', 0, PAGE)
  for _, pid in ipairs(page) do
    if prune(pid, status) then gone[#gone + 1] = pid end
    late = before + #gone >= LEAST and ran_ms() >= until_ms
    if late then break end
  end
  if #gone > 0 then
    call('ZREM', ns .. 'idx:' .. status, unpack(gone))
    metrics.add('wakeline_ended_total{status="' .. status .. '"}', #gone)
  end
  return #gone, late
end

-- The outcome of an entry is shown for the same time as the outcome of a process. A session that was never opened goes
-- with its last entry.
local function prune_entries(until_ms)
  local old = int(now - a.retention_ms)
  for _, member in ipairs(call('ZRANGEBYSCORE', ns .. 'idx:undeliverable', '-inf', old, 'LIMIT', 0, PAGE)) do
    local sid, n = string.match(member, '^(.*)#(%d+)$')
    entries.forget(sid, n)
    -- An entry that blocks its session is shown until an operator decides.
    if entries.verb_of(entries.state_of(sid, n)) == 'blocked' then
      call('ZADD', ns .. 'idx:undeliverable', int(now), member)
    else
      call('ZREM', ns .. 'idx:undeliverable', member)
    end
    local s = fields(ns .. 'sess:' .. sid, 'ag', 'gone')
    if not s.ag and not s.gone and call('HLEN', ns .. 'wakes:' .. sid) == 0 then
      call('UNLINK', ns .. 'sess:' .. sid)
      call('ZREM', ns .. 'idx:sessions', sid)
    end
    if ran_ms() >= until_ms then return true end
  end
  return false
end

-- One slice. Returns how many processes are gone, and in how many ms the next slice is due where something is left (''
-- where nothing is).
-- The pause is in proportion: with 1,000 left retention takes a tenth of the server's time, with 10,000 and more half
-- of it.
local function retain()
  local began = ran_ms()
  local pruned, before = 0, nil
  repeat
    before = pruned
    local late = prune_entries(began + SLICE)
    for _, status in ipairs(TERMINAL) do
      if late then break end
      local gone
      gone, late = prune_page(status, began + SLICE, pruned)
      pruned = pruned + gone
    end
  until late or pruned == before
  tidy_registries()
  local left = call('ZCOUNT', ns .. 'idx:undeliverable', '-inf', int(now - a.retention_ms))
  for _, status in ipairs(TERMINAL) do
    left = left + call('ZCOUNT', ns .. 'idx:' .. status, '-inf', int(now - a.retention_ms))
  end
  if left == 0 then
    call('HDEL', ns .. 'meta', 'pruner')
    return pruned, ''
  end
  -- One goes on with it; the others look again where it does not.
  call('HSET', ns .. 'meta', 'pruner', int(now + 1000))
  return pruned, int(math.max(1, math.ceil((ran_ms() - began) * math.max(1, math.min(9, 10000 / left)))))
end

-- Goes on with it, unless another one is at it (`pruner`: until when). Returns as `retain` does.
local function prune_in_turn(pruner)
  pruner = num(pruner, 0)
  if pruner <= now or pruner > now + 1000 then return retain() end
  return 0, ''
end
