-- Retention: what ended long ago goes, with all that belongs to it, and what an operator names goes sooner. It goes in
-- slices: a script takes at most SLICE ms for it.
-- Needs: base entries metrics pruning registries
local SLICE = 5 -- ms
local PAGE = 16
local LEAST = 8 -- processes of a slice, however slow the server is: few ended ones go at once
local LOOK_AGAIN = { unread = 3600000, untold = 60000 } -- ms after which one that had to stay is looked at again
local retention = {}
local TERMINAL = { 'completed', 'failed', 'cancelled', 'abandoned' }

-- The server's clock stands still while a script runs, so this is the processor time that it used. Before Redis 7 the
-- clock goes on, and there is no `os`.
local function ran_ms()
  local os = rawget(_G, 'os')
  if os then return os.clock() * 1000 end
  local t = call('TIME')
  return tonumber(t[1]) * 1000 + tonumber(t[2]) / 1000
end

-- They leave the list of their status, and the metrics count them from then on.
local function have_gone(status, gone)
  if #gone == 0 then return end
  call('ZREM', ns .. 'idx:' .. status, unpack(gone))
  metrics.add('wakeline_ended_total{status="' .. status .. '"}', #gone)
end

-- Prunes a page of processes, until the time is over. `before`: how many are gone in this slice. Returns how many are
-- gone now, and whether the time is over.
local function prune_page(status, until_ms, before)
  local gone, late = {}, false
  local page = call('ZRANGEBYSCORE', ns .. 'idx:' .. status, '-inf', int(now - a.retention_ms), 'LIMIT', 0, PAGE)
  for _, pid in ipairs(page) do
    local done, why = prune(pid, status)
    if done then gone[#gone + 1] = pid end
    local again = LOOK_AGAIN[why]
    if again then call('ZADD', ns .. 'idx:' .. status, int(now - a.retention_ms + again), pid) end
    late = before + #gone >= LEAST and ran_ms() >= until_ms
    if late then break end
  end
  have_gone(status, gone)
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
function retention.go_on()
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

-- Goes on with it, unless another one is at it (`pruner`: until when). Returns as `retention.go_on` does.
function retention.in_turn(pruner)
  pruner = num(pruner, 0)
  if pruner <= now or pruner > now + 1000 then return retention.go_on() end
  return 0, ''
end

-- Prunes those of `these` ([process, status, its time in the list of that status]*) that are still as they were seen,
-- until the time is over. Returns how many of them are done with, which of those stayed ([process, why]*), and how long
-- (ms) it took. One that is gone already counts as gone: a call that is sent again has the same answer.
function retention.of_these(these)
  local began, done, stayed, gone = ran_ms(), 0, {}, {}
  for _, one in ipairs(these) do
    local pid, status, at = unpack(one)
    if done >= LEAST and ran_ms() >= began + SLICE then break end
    local time = ENDED[status] and call('ZSCORE', ns .. 'idx:' .. status, pid)
    if time and tonumber(time) == tonumber(at) then
      local is_gone, why = prune(pid, status)
      if why == 'part' then break end
      if is_gone then
        gone[status] = gone[status] or {}
        table.insert(gone[status], pid)
      else
        stayed[#stayed + 1] = { pid, why }
      end
    elseif time or call('EXISTS', ns .. 'tomb:' .. pid) == 0 then
      stayed[#stayed + 1] = { pid, 'changed' }
    end
    done = done + 1
  end
  for status, pids in pairs(gone) do have_gone(status, pids) end
  return done, stayed, int(math.ceil(ran_ms() - began))
end
