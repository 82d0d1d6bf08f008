-- Timers: what each kind does when it is due, and which of those that are due a tick fires.
-- Needs: base letters hints doorbell log process rates slots entries inbox ends
local TIMEOUT = '{"type":"failure","class":"timeout","code":"%s","message":"%s"}'

local fire = {}
fire[TIMER.wait] = function(id)
  local slot = fields(slot_key(id), 'k', 'p')
  if not slot.k then return end
  local kind, what = string.sub(slot.k, 1, 2), '{"status":"timeout"}'
  if kind == WAIT.timer then what = '{"status":"ok","value":null}' end
  -- A cancelled process still waits for the end of this child. The wait is over in time, and its outcome is the cancel.
  if kind == WAIT.child and call('HEXISTS', proc_key(slot.p), 'cr') == 1 then what = '{"status":"cancelled"}' end
  resolve(id, what)
end
fire[TIMER.offer] = function(pid)
  local p = load(pid)
  if p.st == 'queued' then doorbell.ring(pid, p.ep, p.q, false) end
end
-- Ends a process from outside its run; a worker that still has it is told to stop.
local function overrule(pid, p, status, output)
  if p.st == 'running' and p.ow then hints.send_to_run(pid, p, 'lost') end
  finish(pid, p, status, output)
end
fire[TIMER.grace] = function(pid)
  local p = load(pid)
  if not p.st or ENDED[p.st] then return end
  overrule(pid, p, 'cancelled', '{"type":"cancelled","message":' .. quote(cancel_reason(pid)) .. '}')
end
fire[TIMER.deadline] = function(pid)
  local p = load(pid)
  if not p.st or ENDED[p.st] then return end
  overrule(pid, p, 'failed', string.format(TIMEOUT, 'deadline_exceeded', 'the total deadline passed'))
end
fire[TIMER.queue_timeout] = function(pid)
  local p = load(pid)
  if p.st ~= 'queued' or p.fs then return end
  overrule(pid, p, 'failed', string.format(TIMEOUT, 'queue_timeout', 'no worker took it in time'))
end
fire[TIMER.attempt_timeout] = function(pid)
  local p = load(pid)
  if p.st ~= 'running' then return end
  overrule(pid, p, 'failed', string.format(TIMEOUT, 'attempt_timeout', 'the attempt took too long'))
end
-- Wakes that waited long enough for a session that was never opened.
fire[TIMER.unopened] = function(sid)
  if call('HGET', ns .. 'sess:' .. sid, 'ag') then return end
  for _, entry in ipairs(call('XRANGE', ns .. 'inbox:' .. sid, '-', '+', 'COUNT', BOUND)) do
    local n = string.match(entry[1], '^%d+')
    local at = tonumber(string.match(call('HGET', ns .. 'wakes:' .. sid, n) or '', '"at_ms":(%d+)') or '0')
    if at + EXPIRY > now then return call('ZADD', ns .. 'timers', int(at + EXPIRY), TIMER.unopened .. sid) end
    entries.drop(sid, n, 'expired')
  end
  if call('XLEN', ns .. 'inbox:' .. sid) > 0 then call('ZADD', ns .. 'timers', int(now), TIMER.unopened .. sid) end
end

-- A limit may have a cell for the next process in line.
fire[TIMER.cells] = function(id) rates.give_cells(id) end

-- The timers that are due. Where they are more than one tick can fire, each kind has a share, so many starts that were
-- delayed to one moment make no sleep late.
-- They are chosen from the oldest and the newest, so a timer that has just become due is not behind all others.
local function due_timers()
  local oldest = call('ZRANGEBYSCORE', ns .. 'timers', '-inf', int(now), 'LIMIT', 0, BOUND)
  if #oldest <= a.limit then return oldest end
  local kinds, order, seen, chosen = {}, {}, {}, {}
  for _, page in ipairs({ oldest, call('ZREVRANGEBYSCORE', ns .. 'timers', int(now), '-inf', 'LIMIT', 0, BOUND) }) do
    for _, member in ipairs(page) do
      local kind = string.sub(member, 1, 2)
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

-- Returns how many fired, and whether more may be due.
local function fire_timers()
  local due = due_timers()
  for _, member in ipairs(due) do
    call('ZREM', ns .. 'timers', member)
    local handler = fire[string.sub(member, 1, 2)]
    if handler then handler(string.sub(member, 3)) end
  end
  return #due, #due >= a.limit
end
