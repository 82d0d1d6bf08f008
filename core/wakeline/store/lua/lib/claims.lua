-- Claims: a worker gets a process that is queued and of the doorbell's epoch, or nothing. The reply has all that the
-- worker needs to run it.
-- Needs: base letters queues filters rq aside log process rounds
local REPLY_BYTES = 65536
local AT_ONCE = 16 -- so many doorbells are taken with one command

-- All fields of a process, since a claim's reply has all of them.
local function load_whole(pid)
  local flat, p = call('HGETALL', proc_key(pid)), {}
  for i = 1, #flat, 2 do p[flat[i]] = flat[i + 1] end
  p.q = queue_of(p.q)
  return p
end

-- What instruments see of a claim (`seen`): since when a worker could take it, and how long it was queued and parked in
-- all.
local claiming = {}
function claiming.note_times(pid, p)
  local since = math.min(now, tonumber(call('ZSCORE', ns .. 'idx:queued', pid) or p.sn) or now)
  p.bs = int(since) -- in the reply alone
  p.qm = int(num(p.qm, 0) + now - since)
  local parked = num(p.pk)
  if parked then p.pm = int(num(p.pm, 0) + math.max(0, since - parked)) end
end

-- `release`: of the owner's code. `seen`: its instruments see runs. `bell`, `form`: its doorbell's id and the form of
-- that; absent under a stock worker, where RQ keeps its own books.
local function claim(pid, p, owner, claim_id, release, seen, bell, form)
  local key = proc_key(pid)
  if p.as then
    leave_aside(pid, p.as)
    p.as = nil
  end
  filters.leave(pid, p)
  if seen then claiming.note_times(pid, p) end
  p.st, p.ow, p.cl, p.ct, p.sn, p.rw = 'running', owner, claim_id, int(now), int(now), form
  local changes = { 'st', 'running', 'ow', owner, 'cl', claim_id, 'ct', p.ct, 'sn', p.sn }
  if bell then changes[#changes + 1], changes[#changes + 2] = 'rw', form end
  -- Under which release it got this far ('' for none). A park says so, or, where it never parked, its first claim after
  -- it began.
  if p.fs and not p.pr then
    p.pr = p.rel or ''
    changes[#changes + 1], changes[#changes + 2] = 'pr', p.pr
  end
  -- More than one release has had it, so what is stored may be of a type that this release does not have. The first
  -- claim by another release notes how many rows were recorded until then. One that comes back while it waits (mf) has
  -- more rows.
  if p.fs and (p.rel or '') ~= (release or '') and not (p.sr and (p.mf or p.pr ~= (p.rel or ''))) then
    p.sr = int(call('HLEN', ns .. 'journal:' .. pid))
    changes[#changes + 1], changes[#changes + 2] = 'sr', p.sr
  end
  if release then
    changes[#changes + 1], changes[#changes + 2] = 'rel', release
  elseif p.rel then
    call('HDEL', key, 'rel')
  end
  p.rel = release
  -- Which attempt this is. What the run records counts on for the next one, so the number is kept, where it is not the
  -- first.
  local attempt = (p.at or p.ls) and 1 + num(p.at, 0) + num(p.ls, 0) or 1
  if attempt > 1 then
    p.tr = int(attempt)
    changes[#changes + 1], changes[#changes + 2] = 'tr', p.tr
  elseif p.tr then
    unset(pid, p, 'tr')
    p.tr = nil
  end
  -- All releases that are there have looked, so a new round begins.
  if rounds.has_looked(p.uf, p.rel) then unset(pid, p, 'uf') p.uf = nil end
  if seen then
    changes[#changes + 1], changes[#changes + 2] = 'qm', p.qm
    changes[#changes + 1], changes[#changes + 2] = 'pk', ''
    changes[#changes + 1], changes[#changes + 2] = 'pm', p.pm or '0'
  end
  call('HSET', key, unpack(changes))
  if p.rg or p.ur then
    call('HDEL', key, 'rg', 'ur')
    p.rg, p.ur = nil, nil
  end
  if bell then executions.begin(bell, p.q, owner, claim_id) end
  gather('SADD', ns .. 'owned:' .. owner, pid)
  if p.qt then call('ZREM', ns .. 'timers', TIMER.queue_timeout .. pid) end
  move_index(pid, 'queued', 'running', now)
  local most = p.to and num(p.to)
  if most then call('ZADD', ns .. 'timers', int(now + most), TIMER.attempt_timeout .. pid) end
end

-- {pid, process fields as one JSON object (with the reason of a cancel as 'why', a JSON string), registration, now,
-- input of this generation or '', journal, slots [id, fields]*, complete?}. Of a process of which nothing ran yet the
-- first four are all, since the server takes longer for ten items of a reply than for a command.
local function claimed(pid, p, budget)
  if p.cr then p.why = quote(cancel_reason(pid)) end
  local spec = call('GET', ns .. 'spec:' .. pid) or ''
  local row = { pid, cjson.encode(p), spec, int(now) }
  if not p.fs and not p.gen and not p.sid then return row, #spec end
  local input = p.gen and call('GET', ns .. 'input:' .. pid) or ''
  local used, slots = #spec + #input + num(p.jb, 0), {}
  row[5], row[6], row[7], row[8] = input, NONE, slots, '1'
  if not p.fs then return row, used end
  local ids = call('SMEMBERS', ns .. 'waits:' .. pid)
  if used > budget or #ids > BOUND then
    row[8] = '0'
    return row, #spec + #input
  end
  for i, id in ipairs(ids) do slots[i] = { id, call('HGETALL', ns .. 'slot:' .. id) } end
  row[6] = call('HGETALL', ns .. 'journal:' .. pid)
  return row, used
end
