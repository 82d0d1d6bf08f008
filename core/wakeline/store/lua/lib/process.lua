-- A process between two scripts: its events, its fence, its journal, how it becomes runnable.
local STATE = { 'st', 'seq', 'ep', 'inc', 'q', 'cl', 'ow', 'ct', 'rw', 'rg', 'fs', 'at', 'ls', 'ma', 'rc', 'cr', 'k', 'gen', 'ws', 'we', 'sid', 'pa', 'jb', 'to', 'qt', 'pe', 'aw', 'lk', 'lm', 'hd', 'ce', 'rd', 'dl', 'an', 'pc', 'ur', 'rel', 'pr', 'mf', 'cd', 'ver', 'as' }

local function load(pid)
  local p = fields(proc_key(pid), unpack(STATE))
  p.q = queue_of(p.q)
  return p
end

-- What the fence of a run and its rows look at, for scripts that write nothing else: most steps of most bodies.
local function load_run(pid) return fields(proc_key(pid), 'st', 'inc', 'ep', 'cl', 'fs', 'at', 'ls', 'cr', 'mf') end

-- Appends one event and returns its sequence, which is also its stream id: the server itself refuses a second event with the same number.
local function write_event(pid, seq, event_type, payload, replay_key, semantics)
  local entry = { 't', event_type, 'p', payload, 'at', int(now) }
  if replay_key then entry[#entry + 1] = 'k'; entry[#entry + 1] = replay_key end
  if semantics then entry[#entry + 1] = 's'; entry[#entry + 1] = semantics end
  call('XADD', ns .. 'events:' .. pid, seq .. '-0', unpack(entry))
end

local function append(pid, p, event_type, payload, replay_key, semantics)
  p.seq = int(call('HINCRBY', proc_key(pid), 'seq', 1))
  write_event(pid, p.seq, event_type, payload, replay_key, semantics)
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
  append(pid, p, 'process.started', '{}')
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

-- A worker has come: what waits for code that fits is offered, from number `from` on. Not what the same release cannot go on with: its code is the same.
function misfits.look(release, from)
  local page = call('ZRANGE', ns .. 'misfits', int(from), int(from + BOUND - 1))
  for _, pid in ipairs(page) do
    local misfit = object(call('HGET', proc_key(pid), 'mf'))
    local same = misfit and misfit.release == (release or misfit.kind == 'crash' and cjson.null)
    if misfit and not (same and misfit.kind ~= 'missing') then misfits.offer(pid) end
  end
  if #page == BOUND then call('RPUSH', ns .. 'todo', 'm:' .. int(from + BOUND) .. ' ' .. (release or '')) end
end

-- Why code cannot go on with a process ('mf': its misfit). It stays until other code has gone on: to a park, the next generation or the end.
function misfits.keep(pid, misfit)
  call('HSET', proc_key(pid), 'mf', misfit)
  call('ZADD', ns .. 'misfits', 'NX', int(now), pid)
end

function misfits.clear(pid, p)
  if not p.mf then return end
  call('HDEL', proc_key(pid), 'mf')
  call('ZREM', ns .. 'misfits', pid)
  p.mf = nil
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

-- A process becomes runnable: new epoch, one doorbell. due_ms in the future holds the doorbell back until the tick rings it.
local function make_runnable(pid, p, at_head, due)
  local epoch = int(call('HINCRBY', proc_key(pid), 'ep', 1))
  unset(pid, p, 'ow', 'cl', 'ct', 'rw', 'rg', 'an')
  call('HSET', proc_key(pid), 'st', 'queued', 'sn', int(now))
  move_index(pid, p.st, 'queued', due or now)
  p.st, p.ep = 'queued', epoch
  call_worker(pid, epoch, p.q, at_head, due)
end
