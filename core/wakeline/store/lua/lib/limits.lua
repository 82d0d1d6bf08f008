-- Limits. holds:<limit> has who runs under it, held:<limit> who waits for a place, begun:<limit> when the last ones began (rate:<limit> where bursts are
-- allowed), cells:<limit> who was given a cell of its rate and did not begin yet, rated:<limit> who waits for a cell; both lines in order. Of a process: lk
-- the limit it was started under, lm those it has a place in, hd the one it waits at for a place, ce the one it has a cell of, rd the one it waits at for one.
-- A place or a cell that is left goes to the next who waits before anybody who comes later can take it.
-- Needs: base queues doorbell

local known_limits, served, passed
at_begin[#at_begin + 1] = function() known_limits, served, passed = {}, {}, 0 end
local function limit_of(id)
  local name = string.match(id, '^b:[^:]+') or id
  if known_limits[name] == nil then
    local text = call('HGET', ns .. 'limits', name)
    known_limits[name] = object(text) or false
  end
  return known_limits[name]
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
