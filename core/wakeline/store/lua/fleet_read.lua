-- Purpose: what doctor and the dashboard need to know of a namespace.
-- Include: base queues routes doorbell standing takers
-- ARGV: queues (of the app; other queues of the namespace that RQ knows are added), stale_ms (a doorbell younger than
--       that is on its way, where it is gone)
-- Reply: {counts [status, n]*, owners [owner, expiry, held]*, timers, todo, queues [queue, length, idle, workers
--        [name]*]*, queued [pid, queue, rings, failed ('1': RQ gave its doorbell up), type, name, engine version or '',
--        lost ('1': it has no doorbell), what of it a worker could not read or '', how often it was lost with its
--        worker, when it is offered]* (the first 256 by due time), meta fields, now, entries that are undeliverable,
--        failed or blocked, deliveries of triggers that are reserved and not settled, releases [owner, release]*, what
--        is due [timers, since when the first one is or '', schedules, since when or ''], fields of the last rewind,
--        what stands still [what, n]* (of the first 256 of each status, and of some limits), what stood still and was
--        put right [what, n, when]*, serves [owner, app and release]*, in force [app or its mark, what it says]*,
--        misfits [pid, misfit (JSON), type, name]* of those that wait for code that fits (the first 256), how many do}
-- Atomic only for a consistent picture.
local counts, owners, queues, queued = {}, {}, {}, {}
for _, status in ipairs({ 'queued', 'running', 'waiting', 'completed', 'failed', 'cancelled', 'abandoned' }) do
  counts[#counts + 1] = { status, call('ZCARD', ns .. 'idx:' .. status) }
end

local _, rows_of_owners = takers.owners()
for i, row in ipairs(rows_of_owners) do owners[i] = { row[1], row[2], call('SCARD', ns .. 'owned:' .. row[1]) } end

local function due_since(times)
  local first = call('ZRANGEBYSCORE', times, '-inf', int(now), 'WITHSCORES', 'LIMIT', 0, 1)
  return call('ZCOUNT', times, '-inf', int(now)), first[2] or ''
end

local seen = {}
local function look_at(queue)
  if seen[queue] then return end
  seen[queue] = true
  local length, idle = call('LLEN', rq .. ':queue:' .. queue), routes.idle(queue)
  queues[#queues + 1] = { queue, length, idle, takers.of(queue) }
end
for _, queue in ipairs(a.queues) do look_at(queue) end
local key_prefix, others = rq .. ':queue:', {}
local function show_queue(queue) if owns_queue(queue) then others[#others + 1] = queue end end
-- RQ never forgets a queue; one that is empty, not paused and without a worker is no news.
for _, key in ipairs(call('SMEMBERS', rq .. ':queues')) do
  if call('LLEN', key) > 0 then show_queue(string.sub(key, #key_prefix + 1)) end
end
for _, queue in ipairs(takers.queues()) do show_queue(queue) end
for _, queue in ipairs(call('SMEMBERS', ns .. 'paused')) do show_queue(queue) end
table.sort(others)
for _, queue in ipairs(others) do look_at(queue) end

-- What it takes to run a registration, read from its beginning: the input stands there and is of any size.
local function needs(pid)
  local head = call('GETRANGE', ns .. 'spec:' .. pid, 0, 1023)
  local kind = string.match(head, '"input":{"type":"([a-z_]+)"') or ''
  if kind == 'engine' then return kind, string.match(head, '"type":"engine","kind":"([^"]+)"') or '' end
  if kind == 'tool_call' then return kind, string.match(head, '"tool_name":"([^"]+)"') or '' end
  if kind == 'session_turn' then return kind, string.match(head, '"session_id":"([^"/\\]+)') or '' end
  return kind, ''
end
local rows = call('ZRANGE', ns .. 'idx:queued', 0, BOUND - 1, 'WITHSCORES')
for i = 1, #rows, 2 do
  local pid, score = rows[i], tonumber(rows[i + 1])
  local p = fields(proc_key(pid), 'q', 'rg', 'ep', 'ver', 'hd', 'rd', 'ur', 'as', 'ls')
  p.q = queue_of(p.q)
  if p.q then
    local key = rq .. ':failed:' .. p.q
    local failed = p.rg and (call('ZSCORE', key, doorbell.id(pid, p.ep, '2'))
      or call('ZSCORE', key, doorbell.id(pid, p.ep, '1')))
    local lost = not p.hd and not p.rd and not p.as and score <= now - a.stale_ms and doorbell.is_lost(pid, p, score)
    local kind, name = needs(pid)
    queued[#queued + 1] = {
      pid, p.q, p.rg or '0', failed and '1' or '0', kind, name, p.ver or '', lost and '1' or '0', p.ur or '',
      p.ls or '0', rows[i + 1],
    }
  end
end

-- What the tick's slow sweep will come to.
local seen = { waits = 0, runs = 0, lines = 0, places = 0 }
local function count(what, stands) if stands then seen[what] = seen[what] + 1 end end
for _, pid in ipairs(call('ZRANGE', ns .. 'idx:waiting', 0, BOUND - 1)) do
  count('waits', standing.waits_for_nothing(pid))
end
for _, pid in ipairs(call('ZRANGE', ns .. 'idx:running', 0, BOUND - 1)) do
  count('runs', standing.runs_nowhere(fields(proc_key(pid), 'k', 'ow', 'ct')))
end
for i = 1, #rows, 2 do
  local p = fields(proc_key(rows[i]), 'hd', 'rd')
  count('lines', (p.hd and standing.is_in_no_line(rows[i], ns .. 'held:' .. p.hd))
    or (p.rd and standing.is_in_no_line(rows[i], ns .. 'rated:' .. p.rd)))
end
for _, limit in ipairs(call('SRANDMEMBER', ns .. 'holding', 16)) do
  for _, pid in ipairs(call('SRANDMEMBER', ns .. 'holds:' .. limit, standing.AT_ONCE)) do
    count('places', standing.is_nobodys_place(limit, fields(proc_key(pid), 'st', 'lm')))
  end
end
local stands, stood = {}, {}
for _, what in ipairs({ 'waits', 'runs', 'lines', 'places' }) do
  if seen[what] > 0 then stands[#stands + 1] = { what, seen[what] } end
end
local found = call('HGETALL', ns .. 'stood')
for i = 1, #found, 2 do
  if not string.find(found[i], ' ', 1, true) then
    stood[#stood + 1] = { found[i], found[i + 1], call('HGET', ns .. 'stood', found[i] .. ' at') or '0' }
  end
end

local unfit = {}
for _, pid in ipairs(call('ZRANGE', ns .. 'misfits', 0, BOUND - 1)) do
  local misfit = call('HGET', proc_key(pid), 'mf')
  if misfit then unfit[#unfit + 1] = { pid, misfit, needs(pid) } end
end
local timers, timers_since = due_since(ns .. 'timers')
local schedules, schedules_since = due_since(ns .. 'cron')
return {
  counts, owners, call('ZCARD', ns .. 'timers'), call('LLEN', ns .. 'todo'), queues, queued,
  call('HGETALL', ns .. 'meta'), int(now), call('ZCARD', ns .. 'idx:undeliverable'),
  call('ZCARD', ns .. 'deliveries'), call('HGETALL', ns .. 'releases'),
  { timers, timers_since, schedules, schedules_since },
  call('HGETALL', ns .. 'rewind'), stands, stood, call('HGETALL', ns .. 'serves'), call('HGETALL', ns .. 'inforce'),
  unfit, call('ZCARD', ns .. 'misfits'),
}
