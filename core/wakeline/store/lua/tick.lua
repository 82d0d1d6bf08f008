-- Purpose: what time does: due timers, expired owners, lost doorbells, what stands still, unfinished bounded work, retention. Every worker runs it; twice does nothing twice.
-- Include: base declarations doorbell process limits slots sessions lifecycle environments triggers attachments deleting retention standing righting
-- ARGV: beat_ms, lease_ms, stale_ms, retention_ms, tombstone_ms, limit, by? (<worker|clock|stock> <its owner id>), spare_ms? (do nothing where another one
--       ticked less than that ago), patience_ms (as in owner_reap.lua)
-- Reply: {fired, reaped, rung, pruned, next due or '', more ('1'), now, due schedules [name, due, schedule]*, deliveries that nobody settled,
--         ms after which whoever ticked goes on to prune or '', '1' where it was spared: next due is then when nobody will have ticked for spare_ms,
--         releases whose declarations came into force and are not written [app, declares]*}
-- Atomic because between a timer's look and its effect the wait may be over.
if a.spare_ms then
  local at, by = last_tick()
  if at and by ~= a.by and now - at < a.spare_ms then return { 0, 0, 0, 0, int(at + a.spare_ms), '0', int(now), {}, 0, '', '1', {} } end
end
local fired, reaped, rung, pruned = 0, 0, 0, 0
local timers = ns .. 'timers'
local TIMEOUT = '{"type":"failure","class":"timeout","code":"%s","message":"%s"}'

local fire = {}
fire['s'] = function(id)
  local slot = fields(slot_key(id), 'k', 'p')
  if not slot.k then return end
  local kind, what = string.sub(slot.k, 1, 2), '{"status":"timeout"}'
  if kind == 't:' then what = '{"status":"ok","value":null}' end
  -- A child whose end a cancelled process still waits for: the wait is over in time, and why is the cancel.
  if kind == 'c:' and call('HEXISTS', proc_key(slot.p), 'cr') == 1 then what = '{"status":"cancelled"}' end
  resolve(id, what)
end
fire['d'] = function(pid)
  local p = load(pid)
  if p.st == 'queued' then ring(pid, p.ep, p.q, false) end
end
-- Ends a process from outside its run; a worker that still has it is told to stop.
local function overrule(pid, p, status, output)
  if p.st == 'running' and p.ow then hint_run(pid, p, 'lost') end
  finish(pid, p, status, output)
end
fire['c'] = function(pid)
  local p = load(pid)
  if not p.st or ENDED[p.st] then return end
  overrule(pid, p, 'cancelled', '{"type":"cancelled","message":' .. quote(cancel_reason(pid)) .. '}')
end
fire['e'] = function(pid)
  local p = load(pid)
  if p.st and not ENDED[p.st] then overrule(pid, p, 'failed', string.format(TIMEOUT, 'deadline_exceeded', 'the total deadline passed')) end
end
fire['q'] = function(pid)
  local p = load(pid)
  if p.st == 'queued' and not p.fs then overrule(pid, p, 'failed', string.format(TIMEOUT, 'queue_timeout', 'no worker took it in time')) end
end
fire['a'] = function(pid)
  local p = load(pid)
  if p.st == 'running' then overrule(pid, p, 'failed', string.format(TIMEOUT, 'attempt_timeout', 'the attempt took too long')) end
end
-- Wakes that waited long enough for a session that nobody opened.
fire['w'] = function(sid)
  if call('HGET', ns .. 'sess:' .. sid, 'ag') then return end
  for _, entry in ipairs(call('XRANGE', ns .. 'inbox:' .. sid, '-', '+', 'COUNT', BOUND)) do
    local n = string.match(entry[1], '^%d+')
    local at = tonumber(string.match(call('HGET', ns .. 'wakes:' .. sid, n) or '', '"at_ms":(%d+)') or '0')
    if at + EXPIRY > now then return call('ZADD', timers, int(at + EXPIRY), 'w:' .. sid) end
    drop(sid, n, 'expired')
  end
  if call('XLEN', ns .. 'inbox:' .. sid) > 0 then call('ZADD', timers, int(now), 'w:' .. sid) end
end

-- A limit may have a cell for the next who waits.
fire['r'] = function(id) give_cells(id) end

-- What is due, and where that is more than one tick can do, a share for each kind: of many starts that were delayed to one moment no sleep comes late.
-- Looked for among the oldest and the newest, so what has just become due is not behind all that did before.
local function due_timers()
  local oldest = call('ZRANGEBYSCORE', timers, '-inf', int(now), 'LIMIT', 0, BOUND)
  if #oldest <= a.limit then return oldest end
  local kinds, order, seen, chosen = {}, {}, {}, {}
  for _, page in ipairs({ oldest, call('ZREVRANGEBYSCORE', timers, int(now), '-inf', 'LIMIT', 0, BOUND) }) do
    for _, member in ipairs(page) do
      local kind = string.sub(member, 1, 1)
      if not kinds[kind] then
        kinds[kind], order[#order + 1] = {}, kind
      end
      if not seen[member] then
        seen[member], kinds[kind][#kinds[kind] + 1] = true, member
      end
    end
  end
  for i = 1, BOUND * 2 do
    for _, kind in ipairs(order) do
      if kinds[kind][i] and #chosen < a.limit then chosen[#chosen + 1] = kinds[kind][i] end
    end
  end
  return chosen
end

-- A removal as the first write (see owner_beat.lua): what a tick prunes is what a server without memory needs.
call('HDEL', ns .. 'suspects', '')
local due = due_timers()
for _, member in ipairs(due) do
  call('ZREM', timers, member)
  local handler = fire[string.sub(member, 1, 1)]
  if handler then handler(string.sub(member, 3)) end
  fired = fired + 1
end

-- Owners: seen expired twice, one beat apart, before anything is taken from them: after an outage of Redis the whole fleet looks dead (race 29).
-- By each one's own lease: that of another release, or under another setting, may be longer than what this worker was told.
local function lease_of(owner) return num(call('HGET', ns .. 'leases', owner), a.lease_ms) end
local ahead = call('ZREVRANGEBYSCORE', ns .. 'owners', '+inf', int(now + a.lease_ms * 2 + 1), 'WITHSCORES', 'LIMIT', 0, 64)
for i = 1, #ahead, 2 do
  local lease = lease_of(ahead[i])
  if tonumber(ahead[i + 1]) > now + lease * 2 then call('ZADD', ns .. 'owners', int(now + lease), ahead[i]) end -- the clock jumped back (race 27)
end
for _, owner in ipairs(call('ZRANGEBYSCORE', ns .. 'owners', '-inf', int(now), 'LIMIT', 0, 16)) do
  local since = num(call('HGET', ns .. 'suspects', owner))
  if not since then
    call('HSET', ns .. 'suspects', owner, int(now))
  elseif since > now then
    call('HSET', ns .. 'suspects', owner, int(now))
  elseif now - since >= a.beat_ms * math.max(1, lease_of(owner) / a.lease_ms) then
    reap(owner, 'owner_lost')
    reaped = reaped + 1
  end
end

-- Doorbells that were lost are rung again at the head of their queue, under the same job id (race 18).
choose_form()
local cursor, pruner = unpack(call('HMGET', ns .. 'meta', 'sweep', 'pruner'))
local offset = num(cursor, 0)
local function sweep(from)
  local page = call('ZRANGEBYSCORE', ns .. 'idx:queued', '-inf', int(now - a.stale_ms), 'WITHSCORES', 'LIMIT', from, 32)
  for i = 1, #page, 2 do
    local pid, score = page[i], tonumber(page[i + 1])
    local p = load(pid)
    if p.st ~= 'queued' then
      call('ZREM', ns .. 'idx:queued', pid)
    elseif not p.hd and not p.rd and not (p.as and misfits.is_awaited(p)) and lost_bell(pid, p, score) then -- a stock worker may have the code that no owner has
      local rings = call('HINCRBY', proc_key(pid), 'rg', 1)
      for form = 1, 2 do call('LREM', rq .. ':queue:' .. p.q, 1, doorbell_id(pid, p.ep, int(form))) end
      ring(pid, p.ep, p.q, true)
      rung = rung + 1
      if rings == 1 then put_right('bells') end
      -- Backoff by the index score: it says when this doorbell was last looked after. It never stops: who throws bells away may be gone by the next one.
      move_index(pid, nil, 'queued', now + a.stale_ms * (2 ^ math.min(rings - 1, 6) - 1))
    end
  end
  return #page / 2
end
sweep(0)
if offset > 0 then offset = offset + sweep(offset) end
local backlog = call('ZCOUNT', ns .. 'idx:queued', '-inf', int(now - a.stale_ms))
call('HSET', ns .. 'meta', 'sweep', (offset == 0 and backlog > 32) and 32 or (offset < backlog and int(offset) or 0),
  'ticked', int(now) .. ' ' .. (a.by or 'worker'))

-- The rest of bounded scripts.
for _ = 1, 4 do
  local todo = call('LPOP', ns .. 'todo')
  if not todo then break end
  local what, pid = string.sub(todo, 1, 1), string.sub(todo, 3)
  -- What was left over of a process that was pruned meanwhile is nobody's, and no matter of the next one with its id.
  local st, asked = unpack(call('HMGET', proc_key(pid), 'st', 'cr'))
  local over = not st or ENDED[st]
  if what == 'c' then
    if asked and not over and not cancel_waits(pid) then call('RPUSH', ns .. 'todo', todo) end
  elseif what == 'w' then
    local event = over and call('XREVRANGE', ns .. 'events:' .. pid, '+', '-', 'COUNT', 1)[1]
    if event then resolve_waiters(pid, string.match(event[2][4], '^{"await_output":(.*)}$') or 'null') end
  elseif what == 'd' then
    if over then drop_waits(pid) end
  elseif what == 'p' then
    if over then end_children(pid) end
  elseif what == 'k' then
    if asked and not over and not cancel_awaited(pid) then call('RPUSH', ns .. 'todo', todo) end
  elseif what == 'n' then
    ring_session(pid)
  elseif what == 'g' then
    clear_session(pid)
  elseif what == 'm' then
    local from, release = string.match(pid, '^(%d+) (.*)$')
    misfits.look(release ~= '' and release, tonumber(from))
  end
end

local more_lines = tend_limits()
put_standing_right()

-- Retention, unless another one is at it.
local prune_in = ''
pruner = num(pruner, 0)
if pruner <= now or pruner > now + 1000 then pruned, prune_in = retain() end

-- Schedules and deliveries need code, so whoever ticks is only told of them.
local schedules, cron = {}, ns .. 'cron'
local page = call('ZRANGEBYSCORE', cron, '-inf', int(now), 'WITHSCORES', 'LIMIT', 0, 16)
for i = 1, #page, 2 do schedules[#schedules + 1] = { page[i], page[i + 1], call('HGET', ns .. 'schedule:' .. page[i], 's') or '' } end
local undelivered = call('ZCOUNT', ns .. 'deliveries', '-inf', int(now - a.beat_ms))

local first, soon = call('ZRANGE', timers, 0, 0, 'WITHSCORES')[2], call('ZRANGEBYSCORE', cron, '(' .. int(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
if soon and (not first or tonumber(soon) < tonumber(first)) then first = soon end
local more = (#due >= a.limit or call('LLEN', ns .. 'todo') > 0 or more_lines) and '1' or '0'
local unwritten = settle_declarations()
unasked = fired + reaped + rung + pruned + #unwritten == 0
return { fired, reaped, rung, pruned, first or '', more, int(now), schedules, undelivered, prune_in, '0', unwritten }
