-- Limits: what a limit says, and the lines of processes that wait at it. holds:<limit> has the processes that run under
-- it, held:<limit> those that wait for a place. begun:<limit> says when the last ones began (rate:<limit> where bursts
-- are allowed), cells:<limit> has those that were given a cell of its rate and did not begin yet, rated:<limit> those
-- that wait for a cell. Both lines are in order. Fields of a process: lk is the limit it was started under, lm those
-- that it has a place in, hd the one that it waits at for a place, ce the one that it has a cell of, rd the one that it
-- waits at for a cell.
-- A place or a cell that is left goes to the next process in line, before one that comes later can take it.
-- Needs: base queues doorbell
local limits = {}

local known_limits, served
at_begin[#at_begin + 1] = function() known_limits, served, limits.passed = {}, {}, 0 end

-- What a limit says, false where there is none. Each script looks once.
function limits.of(id)
  if known_limits[id] ~= nil then return known_limits[id] end
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

-- Whether any worker takes from a queue now.
function limits.is_served(queue)
  if served[queue] == nil then served[queue] = has_workers(queue) end
  return served[queue]
end

-- A queue's own limit keeps no process of another queue waiting, so its line stays as it is while the queue stands
-- still.
function limits.stands_still(limit)
  return string.sub(limit, 1, 2) == 'q:' and not limits.is_served(string.sub(limit, 3))
end

-- The index is written at once, not gathered: the tick that offers the process would take its bell for a lost one.
function limits.offer(pid, p, at_head)
  call('ZADD', ns .. 'idx:queued', int(now), pid)
  doorbell.ring(pid, p.ep, p.q, at_head)
end

-- The first process of a line whose queue is served. One before it may be of a queue that is paused or served by no
-- worker, and would keep what it is given from the others. It goes back to its queue, and comes again when it is taken.
-- One script passes at most the bound; the tick goes on.
function limits.next_of(line, field, limit)
  while limits.passed < BOUND do
    local pid = call('LPOP', line)
    if not pid then return nil end
    local p = fields(proc_key(pid), 'st', 'ep', 'q', field)
    if p.st == 'queued' and p[field] == limit then
      p.q = queue_of(p.q)
      call('HDEL', proc_key(pid), field)
      if limits.is_served(p.q) then return pid, p end
      limits.offer(pid, p, false)
    end
    limits.passed = limits.passed + 1
  end
end
