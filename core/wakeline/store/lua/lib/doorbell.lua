-- The RQ boundary: doorbell jobs, hints to waiting workers, RQ's own bookkeeping for a run.
-- A doorbell is disposable: what it says is checked against the process at the claim, so a stale or doubled one is harmless.
local FAR = 31536000 -- s; our entries in RQ's registries are removed by our scripts, so RQ's sweeps must never time them out
local FAILURE_TTL = 3600

-- Every byte that is no letter or digit as _xx: the joint '-' is in no part then (names.escaped in Python).
local function escaped(text)
  return (string.gsub(text, '[^A-Za-z0-9]', function(c) return string.format('_%02x', string.byte(c)) end))
end

local function unescaped(safe)
  return (string.gsub(safe, '_(%x%x)', function(x) return string.char(tonumber(x, 16)) end))
end

-- A doorbell's id has two forms. '2' names the namespace, so that two apps on one server that have a process of one id have two jobs. '1' is the release
-- before's, which fails what it cannot read: it is rung while a worker of that release lives (choose_form), and always read.
local namespace, form_rung
local function doorbell_id(pid, epoch, form)
  return (form == '1' and 'wl-' or 'wl-' .. escaped(namespace) .. '-') .. escaped(pid) .. '-' .. epoch
end

-- The other way round: process id, epoch, form, and the namespace where the id says it. nil and true: of a form that only a later release knows.
local function whose_doorbell(id)
  local safe, epoch = string.match(id, '^wl%-([%w_]+)%-(%d+)$')
  if safe then return unescaped(safe), epoch, '1' end
  local whose, pid, n = string.match(id, '^wl%-([%w_]+)%-([%w_]+)%-(%d+)$')
  if whose then return unescaped(pid), n, '2', unescaped(whose) end
  return nil, string.sub(id, 1, 3) == 'wl-'
end

-- An owner that registered without saying so knows only form '1'.
local function choose_form()
  local owners, form = call('ZRANGE', ns .. 'owners', 0, BOUND - 1), '2'
  for i, knows in ipairs(#owners > 0 and call('HMGET', ns .. 'knows', unpack(owners)) or {}) do
    if not knows then form = '1' end
  end
  if call('HGET', ns .. 'meta', 'bells') ~= form then call('HSET', ns .. 'meta', 'bells', form) end
end

local function form_now()
  form_rung = form_rung or call('HGET', ns .. 'meta', 'bells') or '2'
  return form_rung
end

-- RQ's name of a queue is '<namespace, its dots doubled>.<queue>' (keys.queue_name in Python). Without the doubling, queue 'slow' of 'shop' and the own queue
-- of 'shop.slow' were one list, and each app threw the other's bells away. The release before did not double: what it stored is read as what it meant.
local doubled, dotted
local function queue_of(name)
  if not dotted or not name then return name end
  if name == namespace then return doubled end
  if string.sub(name, 1, #namespace + 1) == namespace .. '.' and string.find(name, '^%w', #namespace + 2) then return doubled .. string.sub(name, #namespace + 1) end
  return name
end

-- Whether a queue is this namespace's, by its name of this release.
local function owns_queue(name)
  return name == doubled or (string.sub(name, 1, #doubled + 1) == doubled .. '.' and string.sub(name, #doubled + 2, #doubled + 2) ~= '.')
end

-- The name under which the release before knew a queue, where it was another one.
local function former_name(queue)
  if dotted and owns_queue(queue) then return namespace .. string.sub(queue, #doubled + 1) end
end

-- RQ stores times as 2026-01-31T23:59:59.000000Z (rq.utils.utcformat); Redis' Lua has no calendar. Civil-from-days, proleptic Gregorian.
local told
local function iso(ms)
  if told[ms] then return told[ms] end
  local s = math.floor(ms / 1000)
  local days, rest = math.floor(s / 86400), s % 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local d = doy - math.floor((153 * mp + 2) / 5) + 1
  local m = mp < 10 and mp + 3 or mp - 9
  local y = yoe + era * 400 + (m <= 2 and 1 or 0)
  told[ms] = string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03d000Z', y, m, d, math.floor(rest / 3600), math.floor(rest % 3600 / 60), rest % 60, ms % 1000)
  return told[ms]
end

-- When the namespace was ticked last, and by whom; nil where that is not known, or was later than now: the clock jumped back.
local function last_tick()
  local at, by = string.match(call('HGET', ns .. 'meta', 'ticked') or '', '^(%d+) (.*)$')
  if at and tonumber(at) <= now then return tonumber(at), by end
end

-- A hint may be lost (state decides, the tick looks again), so the list lives no longer than it can be of use.
local function hint(owner, message)
  local key = ns .. 'notify:' .. owner
  call('RPUSH', key, message)
  call('PEXPIRE', key, 10000)
end

-- A word to the run that has a process now; no later one listens to it. The process comes last, where every release looks for it.
local function hint_run(pid, p, verb) hint(p.ow, verb .. ' ' .. p.cl .. ' ' .. word(pid)) end

local nobody_idle
local function hint_idle(queue)
  for _ = 1, nobody_idle[queue] and 0 or 4 do
    local owner = call('SPOP', ns .. 'idle:' .. queue)
    if not owner then
      nobody_idle[queue] = true
      return
    end
    if call('ZSCORE', ns .. 'owners', owner) then return hint(owner, 'bell') end
  end
end

-- A due time before anybody's next tick: one idle worker ticks sooner.
local function hint_timer(queue, due)
  if due >= now + 1000 then return end
  local owner = call('SRANDMEMBER', ns .. 'idle:' .. queue)
  if owner then hint(owner, 'timer ' .. int(due)) end
end

-- Code: what an owner can run, as words between blanks, and what a process needs: an agent (a:), or an engine or tool by name (e: t:) and version.
-- The tools of a provider have no list: an owner that has one says t:*.
local function code_of(p)
  if p.sid then return 'a:' .. word(string.match(p.sid, '^[^/]+')) end
  return p.cd and p.cd .. (p.ver and '@' .. word(p.ver) or '')
end

local function has_code(text, code)
  if string.find(text, ' ' .. code .. ' ', 1, true) then return true end
  return string.sub(code, 1, 2) == 't:' and string.find(text, ' t:* ', 1, true) ~= nil
end

-- Whether a live owner says that it has the code of a process.
local had
local function is_had(p)
  local code = code_of(p)
  if code and had[code] == nil then
    had[code] = false
    local codes = call('HGETALL', ns .. 'codes')
    for i = 2, #codes, 2 do had[code] = had[code] or has_code(codes[i], code) end
  end
  return code and had[code]
end

-- A worker that lacks the code of a process leaves it to one that has it: aside:<queue> <code> has such processes, asides those that are not empty.
local function set_aside(pid, queue, code)
  local line = word(queue) .. ' ' .. code
  call('ZADD', ns .. 'aside:' .. line, int(now), pid)
  call('SADD', ns .. 'asides', line)
  call('HSET', proc_key(pid), 'as', line)
  for _, owner in ipairs(call('SMEMBERS', ns .. 'idle:' .. queue)) do
    if has_code(call('HGET', ns .. 'codes', owner) or ' ', code) then
      call('SREM', ns .. 'idle:' .. queue, owner)
      return hint(owner, 'bell')
    end
  end
end

local function leave_aside(pid, line)
  call('ZREM', ns .. 'aside:' .. line, pid)
  if call('EXISTS', ns .. 'aside:' .. line) == 0 then call('SREM', ns .. 'asides', line) end
  call('HDEL', proc_key(pid), 'as')
end

-- Tells each owner what it leaves aside (lacks), and whether it looks there (able): nothing of both where all have the same code. What no owner has is left
-- aside by none: its taker says what it lacks, and that is seen. An owner of the release before does not say what it has.
local function compare_codes()
  local owners = call('ZRANGE', ns .. 'owners', 0, BOUND - 1)
  local texts, known, first = #owners > 0 and call('HMGET', ns .. 'codes', unpack(owners)) or {}, {}, nil
  local mixed = call('EXISTS', ns .. 'asides') == 1
  local lacks = {}
  for _, text in ipairs(texts) do
    if text and not lacks[text] then
      mixed, first, lacks[text] = mixed or first ~= nil, text, ' '
      for code in string.gmatch(text, '%S+') do known[code] = true end
    end
  end
  if not mixed and call('HEXISTS', ns .. 'meta', 'mixed') == 0 then return end
  for text in pairs(lacks) do
    for code in pairs(known) do
      if code ~= 't:*' and not has_code(text, code) then lacks[text] = lacks[text] .. code .. ' ' end
    end
  end
  for i, owner in ipairs(owners) do
    local last, text = ns .. 'takes:' .. owner, texts[i]
    if mixed then call('HSET', last, 'able', '1') else call('HDEL', last, 'able', 'lacks') end
    if mixed and text then call('HSET', last, 'lacks', lacks[text]) end
  end
  if mixed then call('HSET', ns .. 'meta', 'mixed', '1') else call('HDEL', ns .. 'meta', 'mixed') end
end

-- Writes the job RQ needs; returns its id.
-- wl_rung is the time of a bell rung at the tail; one at the head says nothing about the age of what is behind it.
local function write_job(pid, epoch, queue, at_head)
  local id, at = doorbell_id(pid, epoch, form_now()), iso(now)
  call('HSET', rq .. ':job:' .. id, 'status', 'queued', 'origin', queue, 'created_at', at, 'enqueued_at', at,
    'data', '["wakeline_workers.jobs.run", null, [' .. quote(pid) .. ', ' .. epoch .. '], {}]',
    'description', pid, 'timeout', '-1', 'result_ttl', '0', 'failure_ttl', FAILURE_TTL,
    'wl_rung', at_head and '0' or int(now))
  return id
end

-- Puts a job on its queue: at the head for work that was already running once.
local function ring(pid, epoch, queue, at_head)
  local id = write_job(pid, epoch, queue, at_head)
  -- Whoever pushed the first one has named the queue.
  if call(at_head and 'LPUSH' or 'RPUSH', rq .. ':queue:' .. queue, id) == 1 then call('SADD', rq .. ':queues', rq .. ':queue:' .. queue) end
  hint_idle(queue)
end

-- Whether the doorbell of a queued process was lost: it is older than the head of its queue, or the queue is empty. `score`: when it was rung, or last
-- looked after. The head is the first bell that was rung at the tail, as it was at a script's first look: what is rung at the head since then would make
-- all behind it look lost.
local heads
local function lost_bell(pid, p, score)
  local head = heads[p.q]
  if not head then
    head = { ids = {}, at = math.huge }
    for _, id in ipairs(call('LRANGE', rq .. ':queue:' .. p.q, 0, 15)) do
      head.ids[id], head.at = true, num(call('HGET', rq .. ':job:' .. id, 'wl_rung'), 0)
      if head.at > 0 then break end
    end
    heads[p.q] = head
  end
  return head.at > score and not (head.ids[doorbell_id(pid, p.ep, '2')] or head.ids[doorbell_id(pid, p.ep, '1')])
end

-- RQ's view of a run that begins: what rq.executions.prepare_execution writes (a worker's current executions are only those that have their hash). The worker's
-- RQ name is its owner id.
local function rq_begin(id, queue, owner, claim)
  local seconds = string.format('%.3f', now / 1000)
  call('HSET', rq .. ':job:' .. id, 'status', 'started', 'started_at', iso(now), 'worker_name', owner)
  call('HSET', rq .. ':execution:' .. id .. ':' .. claim, 'id', claim, 'job_id', id, 'created_at', seconds, 'last_heartbeat', seconds, 'worker_name', owner)
  call('ZADD', rq .. ':executions:' .. id, int(now / 1000 + FAR), claim)
  gather('ZADD', rq .. ':wip:' .. queue, int(now / 1000 + FAR), id .. ':' .. claim)
  gather('SADD', rq .. ':worker:' .. owner .. ':executions', id .. ':' .. claim)
end

local function rq_busy(owner)
  if call('EXISTS', rq .. ':worker:' .. owner) == 1 then call('HSET', rq .. ':worker:' .. owner, 'state', 'busy') end
end

-- RQ's view of a run that is over, its worker's counters once for all runs that a script ends; outcome is 'successful', 'failed' or nil where neither counter should move (lost, handed back).
local ended_under
local function rq_end(pid, p, outcome)
  local id, worker = doorbell_id(pid, p.ep, p.rw), rq .. ':worker:' .. p.ow
  local composite = id .. ':' .. p.cl
  call('DEL', rq .. ':job:' .. id, rq .. ':execution:' .. composite, rq .. ':executions:' .. id)
  gather('ZREM', rq .. ':wip:' .. p.q, composite)
  gather('SREM', worker .. ':executions', composite)
  local ended = ended_under[worker] or { time = 0, successful = 0, failed = 0 }
  ended_under[worker] = ended
  if outcome then
    ended[outcome] = ended[outcome] + 1
    ended.time = ended.time + now - num(p.ct, now)
  end
end

at_begin[#at_begin + 1] = function()
  told, nobody_idle, ended_under, heads, had = {}, {}, {}, {}, {}
  namespace, form_rung = string.sub(ns, 2, -3), nil
  doubled, dotted = namespace, string.find(namespace, '.', 1, true) ~= nil
  if dotted then doubled = string.gsub(namespace, '%.', '..') end
end
at_end[#at_end + 1] = function()
  for worker, ended in pairs(ended_under) do
    if call('EXISTS', worker) == 1 then
      if ended.successful > 0 then call('HINCRBY', worker, 'successful_job_count', ended.successful) end
      if ended.failed > 0 then call('HINCRBY', worker, 'failed_job_count', ended.failed) end
      if ended.time > 0 then call('HINCRBYFLOAT', worker, 'total_working_time', string.format('%.3f', ended.time / 1000)) end
      if call('SCARD', worker .. ':executions') == 0 then call('HSET', worker, 'state', 'idle') end
    end
  end
end
