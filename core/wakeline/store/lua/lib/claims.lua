-- Claiming: queued and of the doorbell's epoch, or nothing. The reply carries all a worker needs to run without another read.
-- Needs: base queues rq aside log process rounds slots
local REPLY_BYTES = 65536

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
  if p.as then
    leave_aside(pid, p.as)
    p.as = nil
  end
  p.st, p.ow, p.cl, p.ct, p.sn, p.rw = 'running', owner, claim_id, int(now), int(now), form
  local more = bell and { 'rw', form } or {}
  -- Under which release it got this far ('' for none): a park says so; of what never parked, its first claim after it began.
  if p.fs and not p.pr then
    p.pr = p.rel or ''
    more[#more + 1], more[#more + 2] = 'pr', p.pr
  end
  -- More than one release has had it: what is stored may be of a type that this one does not have. How much the one that got it this far had recorded,
  -- is said by the first one after it: what comes back to another one while it waits (mf) has more.
  if p.fs and (p.rel or '') ~= (a.release or '') and not (p.sr and (p.mf or p.pr ~= (p.rel or ''))) then
    p.sr = int(call('HLEN', ns .. 'journal:' .. pid))
    more[#more + 1], more[#more + 2] = 'sr', p.sr
  end
  if a.release then
    more[#more + 1], more[#more + 2] = 'rel', a.release
  elseif p.rel then
    call('HDEL', key, 'rel')
  end
  p.rel = a.release
  -- Which attempt this is. What the run records counts on for the next one, so the number is kept, where it is not the first.
  local attempt = 1 + num(p.at, 0) + num(p.ls, 0)
  if attempt > 1 then
    p.tr = int(attempt)
    more[#more + 1], more[#more + 2] = 'tr', p.tr
  elseif p.tr then
    unset(pid, p, 'tr')
    p.tr = nil
  end
  -- All that are there have looked: a new round.
  if rounds.has_looked(p.uf, p.rel) then unset(pid, p, 'uf') p.uf = nil end
  call('HSET', key, 'st', p.st, 'ow', owner, 'cl', claim_id, 'ct', p.ct, 'sn', p.sn, unpack(more))
  if p.rg or p.ur then
    call('HDEL', key, 'rg', 'ur')
    p.rg, p.ur = nil, nil
  end
  if bell then rq_begin(bell, p.q, owner, claim_id) end
  gather('SADD', ns .. 'owned:' .. owner, pid)
  if p.qt then call('ZREM', ns .. 'timers', 'q:' .. pid) end
  move_index(pid, 'queued', 'running', now)
  local most = num(p.to)
  if most then call('ZADD', ns .. 'timers', int(now + most), 'a:' .. pid) end
end

-- {pid, process fields (with the reason of a cancel as 'why', a JSON string), registration, input of this generation or '', journal, slots [id, fields]*, complete?, now}
local function claimed(pid, p, budget)
  local state = {}
  for field, value in pairs(p) do state[#state + 1], state[#state + 2] = field, value end
  if p.cr then state[#state + 1], state[#state + 2] = 'why', quote(cancel_reason(pid)) end
  local spec = call('GET', ns .. 'spec:' .. pid) or ''
  local input = p.gen and call('GET', ns .. 'input:' .. pid) or ''
  local used = #spec + #input + num(p.jb, 0)
  if not p.fs then return { pid, state, spec, input, {}, {}, '1', int(now) }, used end -- nothing of it ran yet: no journal, no slots
  local ids = call('SMEMBERS', ns .. 'waits:' .. pid)
  if used > budget or #ids > BOUND then return { pid, state, spec, input, {}, {}, '0', int(now) }, #spec + #input end
  local slots = {}
  for _, id in ipairs(ids) do slots[#slots + 1] = { id, call('HGETALL', slot_key(id)) } end
  return { pid, state, spec, input, call('HGETALL', ns .. 'journal:' .. pid), slots, '1', int(now) }, used
end
