-- Limits. holds:<limit> has who runs under it, held:<limit> who waits for a place, begun:<limit> when the last ones began (rate:<limit> where bursts are
-- allowed), cells:<limit> who was given a cell of its rate and did not begin yet, rated:<limit> who waits for a cell; both lines in order. Of a process: lk
-- the limit it was started under, lm those it has a place in, hd the one it waits at for a place, ce the one it has a cell of, rd the one it waits at for one.
-- A place or a cell that is left goes to the next who waits before anybody who comes later can take it.
local FINEST = 1000 -- so many moments of one time are told apart; a rate of more than that is counted in steps

local limits, served, passed
at_begin[#at_begin + 1] = function() limits, served, passed = {}, {}, 0 end
local function limit_of(id)
  local name = string.match(id, '^b:[^:]+') or id
  if limits[name] == nil then
    local text = call('HGET', ns .. 'limits', name)
    limits[name] = object(text) or false
  end
  return limits[name]
end

local function has_workers(queue)
  if call('SISMEMBER', ns .. 'paused', queue) == 1 then return false end
  for _, worker in ipairs(call('SRANDMEMBER', rq .. ':workers:' .. queue, 8)) do
    if call('EXISTS', worker) == 1 then return true end
  end
  local former = former_name(queue)
  for _, owner in ipairs(call('ZRANGEBYSCORE', ns .. 'owners', int(now), '+inf', 'LIMIT', 0, BOUND)) do
    if call('SISMEMBER', ns .. 'listens:' .. owner, queue) == 1 then return true end
    if former and call('SISMEMBER', ns .. 'listens:' .. owner, former) == 1 then return true end
  end
  return false
end

-- Whether anybody takes from a queue now.
local function is_served(queue)
  if served[queue] == nil then served[queue] = has_workers(queue) end
  return served[queue]
end

-- A queue's own limit keeps nobody of other queues waiting: those who wait at it stay there while the queue stands still.
local function stands_still(limit) return string.sub(limit, 1, 2) == 'q:' and not is_served(string.sub(limit, 3)) end

-- At once, not with what is gathered: the tick that offers it would take its bell for a lost one.
local function offer(pid, p, at_head)
  call('ZADD', ns .. 'idx:queued', int(now), pid)
  ring(pid, p.ep, p.q, at_head)
end

-- The first of a line whose queue is served. One before it whose queue is paused, or served by no worker, would keep what it is given from the others: it goes
-- back to its queue, and comes again when it is taken. In one script no more than the bound; the tick goes on.
local function next_of(line, field, limit)
  while passed < BOUND do
    local pid = call('LPOP', line)
    if not pid then return nil end
    local p = fields(proc_key(pid), 'st', 'ep', 'q', field)
    if p.st == 'queued' and p[field] == limit then
      p.q = queue_of(p.q)
      call('HDEL', proc_key(pid), field)
      if is_served(p.q) then return pid, p end
      offer(pid, p, false)
    end
    passed = passed + 1
  end
end

-- Whether somebody got the place.
local function give_place(limit, at_head)
  if stands_still(limit) then return false end
  local pid, p = next_of(ns .. 'held:' .. limit, 'hd', limit)
  if not pid then
    if call('EXISTS', ns .. 'held:' .. limit) == 0 then call('SREM', ns .. 'holding', limit) end
    return false
  end
  call('SADD', ns .. 'holds:' .. limit, pid)
  call('ZADD', ns .. 'given', int(now), pid)
  call('HSET', proc_key(pid), 'lm', limit)
  offer(pid, p, at_head)
  return true
end

local function leave_places(pid, p)
  call('HDEL', proc_key(pid), 'lm')
  for limit in string.gmatch(p.lm, '%S+') do
    call('SREM', ns .. 'holds:' .. limit, pid)
    give_place(limit, true)
  end
  p.lm = nil
end

-- An entry of begun:<limit>: a moment, how many had begun before it, and how many with it.
local function entry_of(text)
  local at, before, after = string.match(text, '^(%d+):(%d+):(%d+)$')
  return tonumber(at), tonumber(before), tonumber(after)
end

local function step_of(limit) return limit.n > FINEST and math.floor(limit.w / FINEST) or 1 end

local function note_begun(id, limit, at, before, after, in_place)
  local key, text = ns .. 'begun:' .. id, string.format('%d:%d:%d', at, before, after)
  if in_place then call('LSET', key, -1, text) else call('RPUSH', key, text) end
  call('PEXPIRE', key, int(limit.w + step_of(limit)))
end

-- How many began within the time of a rate, and when the first of them are not within it any more (nil where none did).
local function begun_within(id, limit)
  local key = ns .. 'begun:' .. id
  local last = call('LINDEX', key, -1)
  if not last then
    -- What the release before counted, or a rate with bursts did: as if it began now.
    local ahead = math.ceil((tonumber(call('GET', ns .. 'rate:' .. id) or '0') - now) * limit.n / limit.w)
    if ahead <= 0 then return 0 end
    local n = math.min(limit.n, ahead)
    note_begun(id, limit, now, 0, n)
    return n, now + limit.w
  end
  local at, _, after = entry_of(last)
  if at + limit.w <= now then
    call('DEL', key)
    return 0
  end
  local first, before = entry_of(call('LINDEX', key, 0))
  for _ = 1, BOUND do
    if first + limit.w > now then break end
    call('LPOP', key)
    first, before = entry_of(call('LINDEX', key, 0))
  end
  if at > now + step_of(limit) + 1000 then
    -- The clock jumped back: what is not yet to be began now, at the latest.
    call('DEL', key)
    note_begun(id, limit, now, 0, after - before)
    first = now
  end
  return after - before, first + limit.w
end

-- With bursts: the moment until which what began has used the rate up (the generic cell rate algorithm).
local function used_up_to(id, limit)
  local at = tonumber(call('GET', ns .. 'rate:' .. id) or '0')
  return math.max(now, math.min(at, now + limit.b * limit.w / limit.n))
end

-- How many may begin now, beside those that were given a cell; where none, when to ask again (nil: when one of those begins, or gives its cell back).
local function cells_left(id, limit)
  local given = call('SCARD', ns .. 'cells:' .. id)
  if limit.b then
    local each, at = limit.w / limit.n, used_up_to(id, limit)
    local free = math.floor((now + limit.b * each - at + 0.01) / each) - given -- the moment is kept to a thousandth of a ms
    return free, math.ceil(at + (given + 1 - limit.b) * each)
  end
  local n, at = begun_within(id, limit)
  return limit.n - n - given, at
end

local function begins(id, limit)
  if limit.b then
    local each = limit.w / limit.n
    return call('SET', ns .. 'rate:' .. id, string.format('%.3f', used_up_to(id, limit) + each), 'PX', int(each * (limit.b + 1) + 1))
  end
  local step, n = step_of(limit), begun_within(id, limit)
  local at = step > 1 and (math.floor(now / step) + 1) * step - 1 or now
  local last, before, after = 0, 0, 0
  if n > 0 then last, before, after = entry_of(call('LINDEX', ns .. 'begun:' .. id, -1)) end
  if last >= at then note_begun(id, limit, last, before, after + 1, true) else note_begun(id, limit, at, after, after + 1) end
end

-- Gives the cells that are left to those who wait, in order, and wakes the tick when there will be one.
local function give_cells(id)
  if stands_still(id) then return end
  local limit, line = limit_of(id), ns .. 'rated:' .. id
  while passed < BOUND do
    if call('EXISTS', line) == 0 then return call('SREM', ns .. 'rating', id) end
    local rated = limit and limit.n
    local left, at = 1, nil
    if rated then left, at = cells_left(id, limit) end
    if left <= 0 then
      if at then call('ZADD', ns .. 'timers', int(math.max(at, now + 1)), 'r:' .. id) end
      return at
    end
    local pid, p = next_of(line, 'rd', id)
    if pid then
      if rated then
        call('SADD', ns .. 'cells:' .. id, pid)
        call('ZADD', ns .. 'given', int(now), pid)
        call('HSET', proc_key(pid), 'ce', id)
      end
      offer(pid, p, false)
      passed = passed + 1
    end
  end
end

local function leave_cell(pid, p)
  local id = p.ce
  p.ce = nil
  call('HDEL', proc_key(pid), 'ce')
  call('SREM', ns .. 'cells:' .. id, pid)
  give_cells(id)
end

-- Who ends while it waits is counted no longer.
local function leave_lines(pid, p)
  if p.as then leave_aside(pid, p.as) end
  if p.hd then call('LREM', ns .. 'held:' .. p.hd, 1, pid) end
  if p.rd then call('LREM', ns .. 'rated:' .. p.rd, 1, pid) end
  if p.ce then leave_cell(pid, p) end
end

-- What was given and not taken: where the queue is paused since, or lost its workers, it goes to the next.
local function take_back()
  for _, pid in ipairs(call('ZRANGEBYSCORE', ns .. 'given', '-inf', int(now - 1000), 'LIMIT', 0, 64)) do
    local p = load(pid)
    if p.st == 'queued' and (p.lm or p.ce) and is_served(p.q) then
      call('ZADD', ns .. 'given', int(now), pid)
    else
      call('ZREM', ns .. 'given', pid)
      if p.ce then leave_cell(pid, p) end -- also of one that an older release has begun
      if p.st == 'queued' and p.lm then leave_places(pid, p) end
    end
  end
end

-- The tick's part: limits that were raised, or are gone, since somebody began to wait; queues that are served again; what had to be left to it. True: more.
local function tend_limits()
  take_back()
  for _, id in ipairs(call('SRANDMEMBER', ns .. 'holding', 16)) do
    local limit = limit_of(id)
    local most = limit and limit.c or math.huge
    for _ = 1, math.min(BOUND, most - call('SCARD', ns .. 'holds:' .. id)) do
      if not give_place(id, false) then break end
    end
  end
  for _, id in ipairs(call('SRANDMEMBER', ns .. 'rating', 16)) do give_cells(id) end
  return passed >= BOUND
end

-- The end of a run, whatever comes next: the owner no longer holds it and RQ no longer shows it.
-- Under a stock worker (no rw) RQ itself ends the running job when the function returns; touching its keys would make it a failure.
local function leave_owner(pid, p, outcome)
  if p.ow then gather('SREM', ns .. 'owned:' .. p.ow, pid) end
  if p.rw and p.ow then rq_end(pid, p, outcome) end
  if p.lm then leave_places(pid, p) end
end
