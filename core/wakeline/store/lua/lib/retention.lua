-- Retention: what ended long ago goes, with all that belongs to it. In slices: a script takes at most SLICE ms for it, however much is over.
local SLICE = 5 -- ms
local PAGE = 16
local TERMINAL = { 'completed', 'failed', 'cancelled', 'abandoned' }
local UNREAD, UNTOLD = 3600000, 60000 -- ms after which a process that had to stay is looked at again
local TIDY_EVERY = 60000
local RQ_KEEPS = 3600 -- s; RQ's own cleaning comes first, where a stock worker does it

-- The server's clock stands still while a script runs, so this is the time that its process used. Before Redis 7 it is the other way round.
local function ran_ms()
  local os = rawget(_G, 'os')
  if os then return os.clock() * 1000 end
  local t = call('TIME')
  return tonumber(t[1]) * 1000 + tonumber(t[2]) / 1000
end

local function stays(pid, status, ms) call('ZADD', ns .. 'idx:' .. status, int(now - a.retention_ms + ms), pid) end

-- Handles and attachments of a process know it too: it leaves them. False when more than the bound are left.
local function leave_holders(pid)
  local left = BOUND
  for _, scope in ipairs(call('SPOP', ns .. 'granted:' .. pid, left)) do
    call('HDEL', ns .. 'grants:' .. scope, pid)
    left = left - 1
  end
  for _, id in ipairs(left > 0 and call('SPOP', ns .. 'waits:' .. pid, left) or {}) do
    call('UNLINK', slot_key(id))
    left = left - 1
  end
  for _, kind in ipairs({ 'process', 'payload', 'journal' }) do
    local owner = kind .. ':' .. pid
    for _, id in ipairs(left > 0 and call('ZRANGE', ns .. 'atts:' .. owner, 0, left - 1) or {}) do
      disown(id, owner)
      call('ZADD', ns .. 'attachments', 'XX', int(now), id) -- the next sweep sees whether anybody else owns it
      left = left - 1
    end
  end
  return left > 0
end

-- True when the process is gone. A child whose live parent has not journaled its result stays (race 20).
local function prune(pid, status)
  -- One look: most processes leave a record, a registration and a log, and nothing else.
  local more = call('EXISTS', ns .. 'bound:' .. pid, ns .. 'waiters:' .. pid, ns .. 'granted:' .. pid, ns .. 'waits:' .. pid, ns .. 'closed:' .. pid, ns .. 'answered:' .. pid,
    ns .. 'mail:' .. pid, ns .. 'children:' .. pid, ns .. 'journal:' .. pid, ns .. 'replay:' .. pid,
    ns .. 'input:' .. pid, ns .. 'atts:process:' .. pid, ns .. 'atts:payload:' .. pid, ns .. 'atts:journal:' .. pid) > 0
  -- Whoever has not been told of its end yet is found through it: it stays until a todo row has done the rest.
  if more and call('EXISTS', ns .. 'bound:' .. pid, ns .. 'waiters:' .. pid) > 0 then return stays(pid, status, UNTOLD) end
  local p = fields(proc_key(pid), 'pa', 'env', 'uk', 'ep')
  if p.pa then
    local parent = fields(proc_key(p.pa), 'st')
    local unread = call('SISMEMBER', ns .. 'children:' .. p.pa, pid) == 1
      and call('HEXISTS', ns .. 'journal:' .. p.pa, 'result:' .. pid) == 0 and call('HEXISTS', ns .. 'journal:' .. p.pa, '@read:' .. pid) == 0
    if parent.st and not ENDED[parent.st] and unread then return stays(pid, status, UNREAD) end
    call('SREM', ns .. 'children:' .. p.pa, pid)
  end
  if more then
    if not leave_holders(pid) then return false end
    call('UNLINK', ns .. 'replay:' .. pid, ns .. 'journal:' .. pid, ns .. 'waits:' .. pid, ns .. 'closed:' .. pid, ns .. 'answered:' .. pid, ns .. 'children:' .. pid,
      ns .. 'mail:' .. pid, ns .. 'input:' .. pid, ns .. 'granted:' .. pid)
  end
  leave_environment(p.env)
  if p.uk and call('GET', ns .. 'uniq:' .. p.uk) == pid then call('UNLINK', ns .. 'uniq:' .. p.uk) end
  -- Its doorbell may lie where nobody takes it, in either form.
  call('UNLINK', proc_key(pid), ns .. 'spec:' .. pid, ns .. 'events:' .. pid, rq .. ':job:' .. doorbell_id(pid, p.ep or '0', '1'),
    rq .. ':job:' .. doorbell_id(pid, p.ep or '0', '2'))
  call('SET', ns .. 'tomb:' .. pid, '{"status":"' .. status .. '","pruned_at_ms":' .. int(now) .. '}', 'PX', int(a.tombstone_ms))
  return true
end

-- A page of what is over, until the time is. Returns how many are gone, and whether the time is over.
local function prune_page(status, until_ms)
  local gone, late = {}, false
  local page = call('ZRANGEBYSCORE', ns .. 'idx:' .. status, '-inf', int(now - a.retention_ms), 'LIMIT', 0, PAGE)
  for _, pid in ipairs(page) do
    if prune(pid, status) then gone[#gone + 1] = pid end
    late = ran_ms() >= until_ms
    if late then break end
  end
  if #gone > 0 then call('ZREM', ns .. 'idx:' .. status, unpack(gone)) end
  return #gone, late
end

-- What became of entries is shown as long as what became of processes; a session that was never opened goes with its last one.
local function prune_entries(until_ms)
  for _, member in ipairs(call('ZRANGEBYSCORE', ns .. 'idx:undeliverable', '-inf', int(now - a.retention_ms), 'LIMIT', 0, PAGE)) do
    local sid, n = string.match(member, '^(.*)#(%d+)$')
    forget(sid, n)
    -- What blocks its session is shown until somebody decides.
    if verb_of(state_of(sid, n)) == 'blocked' then call('ZADD', ns .. 'idx:undeliverable', int(now), member) else call('ZREM', ns .. 'idx:undeliverable', member) end
    local s = fields(ns .. 'sess:' .. sid, 'ag', 'gone')
    if not s.ag and not s.gone and call('HLEN', ns .. 'wakes:' .. sid) == 0 then
      call('UNLINK', ns .. 'sess:' .. sid)
      call('ZREM', ns .. 'idx:sessions', sid)
    end
    if ran_ms() >= until_ms then return true end
  end
  return false
end

-- RQ's registries of our queues: what RQ's own cleaning, which stock workers do and ours do not, would have removed by now.
local function tidy_registries()
  if now < num(call('HGET', ns .. 'meta', 'tidied'), 0) + TIDY_EVERY then return end
  call('HSET', ns .. 'meta', 'tidied', int(now))
  local queues = {}
  for _, owner in ipairs(call('ZRANGE', ns .. 'owners', 0, 63)) do
    for _, queue in ipairs(call('SMEMBERS', ns .. 'listens:' .. owner)) do queues[queue] = true end
  end
  for queue in pairs(queues) do
    local failed, wip = rq .. ':failed:' .. queue, rq .. ':wip:' .. queue
    for _, id in ipairs(call('ZRANGEBYSCORE', failed, '-inf', int(now / 1000), 'LIMIT', 0, 64)) do call('ZREM', failed, id) end
    -- Runs of stock workers that were killed; those of ours are removed with their end, whatever it is.
    for _, run in ipairs(call('ZRANGEBYSCORE', wip, '-inf', int(now / 1000 - RQ_KEEPS), 'LIMIT', 0, 64)) do
      local id = string.match(run, '^(.*):[^:]*$')
      if id and whose_doorbell(id) then
        call('ZREM', wip, run)
        call('UNLINK', rq .. ':job:' .. id, rq .. ':execution:' .. run, rq .. ':executions:' .. id)
      end
    end
  end
end

-- One slice. Returns how many processes are gone, and in how many ms the next slice is due where something is left ('' where nothing is).
-- The pause is in proportion: with 1,000 left retention takes a tenth of the server's time, with 10,000 and more half of it.
local function retain()
  local began = ran_ms()
  local pruned, before = 0, nil
  repeat
    before = pruned
    local late = prune_entries(began + SLICE)
    for _, status in ipairs(TERMINAL) do
      if late then break end
      local gone
      gone, late = prune_page(status, began + SLICE)
      pruned = pruned + gone
    end
  until late or pruned == before
  tidy_registries()
  local left = call('ZCOUNT', ns .. 'idx:undeliverable', '-inf', int(now - a.retention_ms))
  for _, status in ipairs(TERMINAL) do left = left + call('ZCOUNT', ns .. 'idx:' .. status, '-inf', int(now - a.retention_ms)) end
  if left == 0 then
    call('HDEL', ns .. 'meta', 'pruner')
    return pruned, ''
  end
  -- One goes on with it; the others look again where it does not.
  call('HSET', ns .. 'meta', 'pruner', int(now + 1000))
  return pruned, int(math.max(1, math.ceil((ran_ms() - began) * math.max(1, math.min(9, 10000 / left)))))
end
