-- Claiming: queued and of the doorbell's epoch, or nothing. The reply carries all a worker needs to run without another read.
local REPLY_BYTES = 65536

local limits
at_begin[#at_begin + 1] = function() limits = {} end
local function limit_of(id)
  local name = string.match(id, '^b:[^:]+') or id
  if limits[name] == nil then
    local text = call('HGET', ns .. 'limits', name)
    limits[name] = text and cjson.decode(text) or false
  end
  return limits[name]
end

-- When a rate lets the next one begin: n in w ms, as a burst or spread (the generic cell rate algorithm). Taken, it moves the moment on.
local function rate_moment(id, limit, taken)
  local each = limit.w / limit.n
  local at = math.max(now, tonumber(call('GET', ns .. 'rate:' .. id) or '0'))
  if taken then call('SET', ns .. 'rate:' .. id, int(at + each), 'PX', int(limit.w * 2)) end
  return math.ceil(at - limit.w + each)
end

-- `bell`: its doorbell's id, where RQ itself does not run it. Whether a limit keeps a queued process from running now: then it waits there for a place, or for the moment that its rate allows. Else it has its places.
local function kept_back(pid, p, bell)
  local wanted = {}
  for _, id in ipairs({ 'q:' .. p.q, p.lk }) do
    local limit = limit_of(id)
    if limit then wanted[#wanted + 1] = { id, limit } end
  end
  if #wanted == 0 then return false end
  local at, due = nil, now
  for _, one in ipairs(wanted) do
    local id, limit = one[1], one[2]
    if limit.c and call('SISMEMBER', ns .. 'holds:' .. id, pid) == 0 and call('SCARD', ns .. 'holds:' .. id) >= limit.c then at = at or id end
    if limit.n and not p.fs then due = math.max(due, rate_moment(id, limit)) end
  end
  if at or due > now then
    if bell then call('DEL', rq .. ':job:' .. bell) end
    if p.lm then leave_places(pid, p) end
    if at then
      call('RPUSH', ns .. 'held:' .. at, pid)
      call('SADD', ns .. 'holding', at)
      call('HSET', proc_key(pid), 'hd', at)
    else
      call('ZADD', ns .. 'timers', int(due), 'd:' .. pid)
      hint_timer(p.q, due)
      move_index(pid, nil, 'queued', due)
    end
    return true
  end
  local places = {}
  for _, one in ipairs(wanted) do
    if one[2].c then
      call('SADD', ns .. 'holds:' .. one[1], pid)
      places[#places + 1] = one[1]
    end
    if one[2].n and not p.fs then rate_moment(one[1], one[2], true) end
  end
  if #places > 0 then call('HSET', proc_key(pid), 'lm', table.concat(places, ' ')) end
  return false
end

-- All fields of a process: what is claimed is told whole.
local function load_whole(pid)
  local flat, p = call('HGETALL', proc_key(pid)), {}
  for i = 1, #flat, 2 do p[flat[i]] = flat[i + 1] end
  p.q = queue_of(p.q)
  return p
end

-- `bell`, `form`: its doorbell's id and the form of that; absent under a stock worker, where RQ keeps its own books.
local function claim(pid, p, owner, claim_id, bell, form)
  local key = proc_key(pid)
  p.st, p.ow, p.cl, p.ct, p.sn, p.rw = 'running', owner, claim_id, int(now), int(now), form
  local more = bell and { 'rw', form } or {}
  if a.release then
    more[#more + 1], more[#more + 2] = 'rel', a.release
  elseif p.rel then
    call('HDEL', key, 'rel')
  end
  p.rel = a.release
  call('HSET', key, 'st', p.st, 'ow', owner, 'cl', claim_id, 'ct', p.ct, 'sn', p.sn, unpack(more))
  if p.rg then
    call('HDEL', key, 'rg')
    p.rg = nil
  end
  if bell then rq_begin(bell, p.q, owner, claim_id) end
  gather('SADD', ns .. 'owned:' .. owner, pid)
  if p.qt then call('ZREM', ns .. 'timers', 'q:' .. pid) end
  move_index(pid, 'queued', 'running', now)
  if p.to then call('ZADD', ns .. 'timers', int(now + tonumber(p.to)), 'a:' .. pid) end
end

-- {pid, process fields (with the reason of a cancel as 'why', a JSON string), registration, input of this generation or '', journal, slots [id, fields]*, complete?, now}
local function claimed(pid, p, budget)
  local state = {}
  for field, value in pairs(p) do state[#state + 1], state[#state + 2] = field, value end
  if p.cr then state[#state + 1], state[#state + 2] = 'why', quote(cancel_reason(pid)) end
  local spec = call('GET', ns .. 'spec:' .. pid)
  local input = p.gen and call('GET', ns .. 'input:' .. pid) or ''
  local used = #spec + #input + tonumber(p.jb or '0')
  if not p.fs then return { pid, state, spec, input, {}, {}, '1', int(now) }, used end -- nothing of it ran yet: no journal, no slots
  local ids = call('SMEMBERS', ns .. 'waits:' .. pid)
  if used > budget or #ids > BOUND then return { pid, state, spec, input, {}, {}, '0', int(now) }, #spec + #input end
  local slots = {}
  for _, id in ipairs(ids) do slots[#slots + 1] = { id, call('HGETALL', slot_key(id)) } end
  return { pid, state, spec, input, call('HGETALL', ns .. 'journal:' .. pid), slots, '1', int(now) }, used
end
