-- A process between two scripts: its events, its fence, its journal, how it becomes runnable.
local STATE = { 'st', 'seq', 'ep', 'inc', 'q', 'cl', 'ow', 'ct', 'rw', 'rg', 'fs', 'at', 'ls', 'ma', 'rc', 'cr', 'k', 'gen', 'ws', 'we', 'sid', 'pa', 'jb', 'to', 'qt', 'pe', 'aw', 'lk', 'lm', 'hd', 'ce', 'rd', 'dl', 'an', 'pc', 'ur', 'rel', 'pr', 'sr', 'mf', 'cd', 'ver', 'as', 'uf', 'tr' }

local function load(pid)
  local p = fields(proc_key(pid), unpack(STATE))
  p.q = queue_of(p.q)
  return p
end

-- What the fence of a run and its rows look at, for scripts that write nothing else: most steps of most bodies.
local function load_run(pid)
  return fields(proc_key(pid), 'st', 'inc', 'ep', 'cl', 'fs', 'at', 'ls', 'cr', 'mf', 'ow', 'ct', 'rel', 'tr')
end

-- Which run an event tells of: how long ago it was claimed (ms), its attempt, its owner, and its release where that has a
-- name. None where no run has the process. Both ends of a run say it, so that a log tells of each one when, where and how.
local function run_of(p)
  if p.st ~= 'running' or not p.ow then return nil end
  local since = int(math.max(0, now - num(p.ct, now)))
  return since .. ' ' .. (p.tr or '1') .. ' ' .. p.ow .. (p.rel and ' ' .. p.rel or '')
end

-- Appends one event and returns its sequence, which is also its stream id: the server itself refuses a second event
-- with the same number.
local function write_event(pid, seq, event_type, payload, replay_key, semantics, run)
  local entry = { 't', event_type, 'p', payload, 'at', int(now) }
  if replay_key then entry[#entry + 1] = 'k'; entry[#entry + 1] = replay_key end
  if semantics then entry[#entry + 1] = 's'; entry[#entry + 1] = semantics end
  if run then entry[#entry + 1] = 'r'; entry[#entry + 1] = run end
  call('XADD', ns .. 'events:' .. pid, seq .. '-0', unpack(entry))
end

local function append(pid, p, event_type, payload, replay_key, semantics, run)
  p.seq = int(call('HINCRBY', proc_key(pid), 'seq', 1))
  write_event(pid, p.seq, event_type, payload, replay_key, semantics, run)
  call('HSET', proc_key(pid), 'ua', int(now))
  return p.seq
end

-- Why a process was asked to end, as its sender said it.
local function cancel_reason(pid)
  local seq = call('HGET', ns .. 'replay:' .. pid, 'cancel')
  local event = seq and call('XRANGE', ns .. 'events:' .. pid, seq .. '-0', seq .. '-0')[1]
  local said = event and object(event[2][4])
  return said and type(said.reason) == 'string' and said.reason or 'requested'
end

-- Redis preallocates 4 KB for a stream's first node; a copy is as long as its content. Above 100 entries the copy costs more than it saves.
local function compact(pid, p)
  local key, n = ns .. 'events:' .. pid, tonumber(p.seq)
  if n > 0 and n < 100 then
    local copy = ns .. 'copy:' .. pid -- a family of its own: behind the id, any text may be another process's id
    call('COPY', key, copy, 'REPLACE')
    call('RENAME', copy, key)
  end
end

-- process.started is written with the first thing a run leaves behind, not with the claim: a claim that does nothing leaves nothing.
local function ensure_started(pid, p)
  if p.fs then return end
  p.fs = '1'
  call('HSET', proc_key(pid), 'fs', '1')
  append(pid, p, 'process.started', '{}', nil, nil, run_of(p))
end

-- The fence (races 12 and 13): incarnation, epoch and claim id must all be those of the run that holds the process now.
local function holds(p, f)
  return p.st == 'running' and p.inc == f.inc and p.ep == f.ep and p.cl == f.cl
end

-- Processes that wait for code that fits. One table: Lua has room for 200 local names in the whole library.
local misfits = {}

-- The deaths of workers that were the deploy's fault (misfit of kind 'crash'), if that is why it waits.
local function crash_of(p)
  local misfit = p.mf and object(p.mf)
  return misfit and misfit.kind == 'crash' and misfit or nil
end

function misfits.is_crash(p) return crash_of(p) ~= nil end

-- Progress: whoever gets further is not the poison that attempts and losses are counted for.
local function progressed(pid, p)
  if p.at or p.ls then call('HDEL', proc_key(pid), 'at', 'ls') end
  p.at, p.ls = nil, nil
  if crash_of(p) then misfits.clear(pid, p) end
end

local function write_row(pid, row, sequence)
  local value = row.v or (row.a .. sequence .. row.b)
  if call('HSETNX', ns .. 'journal:' .. pid, row.k, value) == 1 then
    call('HINCRBY', proc_key(pid), 'jb', #value)
  end
end

-- What makes a queued process be looked at: its doorbell, or the timer that rings it at due_ms.
local function call_worker(pid, epoch, queue, at_head, due)
  if due and due > now then
    call('ZADD', ns .. 'timers', int(due), 'd:' .. pid)
    hint_timer(queue, due)
  else
    ring(pid, epoch, queue, at_head)
  end
end

-- Removes fields of a record, of those that it had when `p` was loaded with them.
local function unset(pid, p, ...)
  local there = {}
  for _, field in ipairs({ ... }) do
    if p[field] then there[#there + 1] = field end
  end
  if #there > 0 then call('HDEL', proc_key(pid), unpack(there)) end
end

-- A queued process that would be offered later is offered by the next tick.
function misfits.offer(pid)
  if call('ZSCORE', ns .. 'timers', 'd:' .. pid) then call('ZADD', ns .. 'timers', int(now), 'd:' .. pid) end
end

-- Releases side by side: each looks once in a round at what does not fit, then all wait. 'uf' says which did: ',v1,v2,', one without a name as ''.
misfits.LONGEST_ROUND = 1024

function misfits.in_round(release) return string.gsub(word(release or ''), ',', '%%2c') .. ',' end

function misfits.has_looked(uf, release) return string.find(uf or '', ',' .. misfits.in_round(release), 1, true) ~= nil end

-- The living owners of releases that did not look yet, which have the code where they say what they have: for each that serves the queue `found`,
-- until it says yes.
function misfits.others(uf, queue, code, found)
  if not uf or #uf > misfits.LONGEST_ROUND then return false end
  local alive = misfits.alive
  if not alive then
    alive = { owners = call('ZRANGEBYSCORE', ns .. 'owners', '(' .. int(now), '+inf', 'LIMIT', 0, BOUND) }
    alive.releases = #alive.owners > 0 and call('HMGET', ns .. 'releases', unpack(alive.owners)) or {}
    misfits.alive = alive
  end
  for i, owner in ipairs(alive.owners) do
    if not misfits.has_looked(uf, alive.releases[i]) and call('SISMEMBER', ns .. 'listens:' .. owner, queue) == 1 then
      local codes = call('HGET', ns .. 'codes', owner)
      if (not codes or code == '' or has_code(codes, code)) and (not found or found(owner)) then return true end
    end
  end
  return false
end

-- Whether the owners of a release leave it to those that did not look at it yet.
function misfits.are_others(p, release)
  return p.mf and misfits.has_looked(p.uf, release) and misfits.others(p.uf, p.q, code_of(p) or '')
end

-- The line in which it waits for them, and what such a line says: which releases looked, and the code.
function misfits.line_of(rest) return string.match(rest, '^%-(%S*) (.*)$') end

function misfits.leave(pid, p)
  local code = code_of(p) or ''
  local line = word(p.q) .. ' -' .. p.uf .. ' ' .. code
  if p.as and p.as ~= line then leave_aside(pid, p.as) end
  p.as = line
  call('ZADD', ns .. 'aside:' .. line, int(now), pid)
  call('HSET', proc_key(pid), 'as', line)
  if call('SADD', ns .. 'asides', line) == 1 then
    for _, owner in ipairs(misfits.alive.owners) do call('HSET', ns .. 'takes:' .. owner, 'able', '1') end
    call('HSET', ns .. 'meta', 'mixed', '1')
  end
  misfits.others(p.uf, p.q, code, function(owner)
    if call('SREM', ns .. 'idle:' .. p.q, owner) == 0 then return false end
    hint(owner, 'bell')
    return true
  end)
end

-- The release of a run has looked at it. Whether another one is there that has not.
function misfits.passes_on(pid, p)
  if not misfits.has_looked(p.uf, p.rel) then
    p.uf = (p.uf or ',') .. misfits.in_round(p.rel)
    call('HSET', proc_key(pid), 'uf', p.uf)
  end
  return misfits.others(p.uf, p.q, code_of(p) or '')
end

-- Whether one that was left aside is waited for by an owner that would take it.
function misfits.is_awaited(p)
  local uf, code = misfits.line_of(string.match(p.as, ' (.*)$') or '')
  if uf then return misfits.others(uf, p.q, code) end
  return is_had(p)
end

-- A worker has come, or the last of a release has gone: what waits for code that fits is offered, from number `from` on. Not what `release` cannot go on
-- with: its code is the same.
function misfits.look(release, from)
  local page = call('ZRANGE', ns .. 'misfits', int(from), int(from + BOUND - 1))
  for _, pid in ipairs(page) do
    local p = load(pid)
    local misfit = object(p.mf)
    local same = misfit and (misfit.release == (release or misfit.kind == 'crash' and cjson.null) or release and misfits.has_looked(p.uf, release))
    if p.st == 'queued' and p.as and not misfits.is_awaited(p) then
      leave_aside(pid, p.as)
      ring(pid, p.ep, p.q, false)
    elseif misfit and not (same and misfit.kind ~= 'missing') then
      misfits.offer(pid)
    end
  end
  if #page == BOUND then call('RPUSH', ns .. 'todo', 'm:' .. int(from + BOUND) .. ' ' .. (release or '')) end
end

-- An owner has gone: where it was the last of its release, the next tick offers what was left to it to the others.
function misfits.leaves(release)
  for _, other in ipairs(call('HVALS', ns .. 'releases')) do
    if other == release then return end
  end
  call('RPUSH', ns .. 'todo', 'm:0 ' .. (release or ''))
end

-- Why code cannot go on with a process ('mf': its misfit). It stays until other code has gone on: to a park, the next generation or the end.
function misfits.keep(pid, misfit)
  call('HSET', proc_key(pid), 'mf', misfit)
  call('ZADD', ns .. 'misfits', 'NX', int(now), pid)
end

function misfits.clear(pid, p)
  if not p.mf then return end
  call('HDEL', proc_key(pid), 'mf', 'uf')
  call('ZREM', ns .. 'misfits', pid)
  p.mf, p.uf = nil, nil
end

-- proven: releases of which a run has ended or parked, by when the first one did; the last 64, and those that workers have.
local PROVEN = 64
function misfits.prove(release)
  if not release or call('ZADD', ns .. 'proven', 'NX', int(now), release) == 0 then return end
  local over = call('ZCARD', ns .. 'proven') - PROVEN
  if over <= 0 then return end
  local rows, there = call('HGETALL', ns .. 'releases'), {}
  for i = 2, #rows, 2 do there[rows[i]] = true end
  for _, one in ipairs(call('ZRANGE', ns .. 'proven', 0, over - 1)) do
    if not there[one] then call('ZREM', ns .. 'proven', one) end
  end
end

-- How often a process lost its worker since it last got further, whether that was counted or the deploy's fault.
function misfits.lost(p)
  local crash = crash_of(p)
  return num(p.ls, 0) + (crash and num(crash.looks, 0) or 0)
end

-- From so many losses on it runs with nobody beside it, as it may be what kills its workers.
misfits.ALONE = 2
function misfits.runs_alone(p) return misfits.lost(p) >= misfits.ALONE end

-- Whether a loss is the deploy's fault: the release got no run to its end or park yet, or another one got the process this far. Then the process waits for
-- code that fits, and it is not counted, until the patience is over.
function misfits.crashed(pid, p)
  local another = p.pr and p.pr ~= (p.rel or '')
  if not another and (not p.rel or call('ZSCORE', ns .. 'proven', p.rel)) then return false end
  local before = crash_of(p)
  local since, looks = before and num(before.since_ms, now) or now, before and num(before.looks, 0) + 1 or 1
  if now - since >= num(a.patience_ms, 0) then return false end
  local what = 'worker ' .. (p.ow or 'unknown') .. ' was lost, number ' .. int(looks) .. ' in a row'
  p.mf = '{"kind":"crash","what":' .. quote(what) .. ',"release":' .. (p.rel and quote(p.rel) or 'null') .. ',"since_ms":' .. int(since) .. ',"looks":' .. int(looks) .. '}'
  -- One death may have any reason, so nobody is told of it: what is offered again at once does not wait.
  if misfits.lost(p) > misfits.ALONE then misfits.keep(pid, p.mf) else call('HSET', proc_key(pid), 'mf', p.mf) end
  return true
end

-- A process becomes runnable: new epoch, one doorbell. due_ms in the future holds the doorbell back until the tick rings it. others: it is left aside for
-- the releases that did not look at it yet.
local function make_runnable(pid, p, at_head, due, others)
  local epoch = int(call('HINCRBY', proc_key(pid), 'ep', 1))
  unset(pid, p, 'ow', 'cl', 'ct', 'rw', 'rg', 'an')
  call('HSET', proc_key(pid), 'st', 'queued', 'sn', int(now))
  move_index(pid, p.st, 'queued', not others and due or now)
  p.st, p.ep = 'queued', epoch
  if others then misfits.leave(pid, p) else call_worker(pid, epoch, p.q, at_head, due) end
end

at_begin[#at_begin + 1] = function() misfits.alive = nil end
