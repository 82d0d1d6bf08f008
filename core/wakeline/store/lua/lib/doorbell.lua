-- Doorbells: the RQ job that tells a worker to look at a process, under an id in one of two forms.
-- A doorbell is disposable: what it says is checked against the process at the claim, so a stale or doubled one is
-- harmless.
-- Needs: base queues routes times hints
local doorbell = {}

doorbell.FAILURE_TTL = 3600 -- seconds

-- Every byte that is no letter or digit becomes _xx, so no part holds the joint '-' (names.escaped in Python).
local function in_hex(c) return string.format('_%02x', string.byte(c)) end
local function from_hex(x) return string.char(tonumber(x, 16)) end
local function escaped(text)
  local kind, rest = string.match(text, '^(%l)_(%w+)$') -- as ids are that a client made
  if kind then return kind .. '_5f' .. rest end
  return (string.gsub(text, '[^A-Za-z0-9]', in_hex))
end

local function unescaped(safe) return (string.gsub(safe, '_(%x%x)', from_hex)) end

-- A doorbell's id has two forms. '2' names the namespace, so that two apps on one server have two jobs for processes of
-- one id. '1' is of the release before, which fails what it cannot read. Form '1' is rung while a worker of that
-- release lives (doorbell.choose_form), and is always read.
local stem
function doorbell.id(pid, epoch, form)
  if form == '1' then return 'wl-' .. escaped(pid) .. '-' .. epoch end
  stem = stem or 'wl-' .. escaped(namespace) .. '-'
  return stem .. escaped(pid) .. '-' .. epoch
end

-- Reads an id: process id, epoch, form, and the namespace where the id says it. nil and true for a form that only a
-- later release knows.
function doorbell.read(id)
  stem = stem or 'wl-' .. escaped(namespace) .. '-'
  if string.sub(id, 1, #stem) == stem then -- one of ours, as nearly all are
    local kind, rest, epoch = string.match(id, '^(%l)_5f(%w+)%-(%d+)$', #stem + 1)
    if kind then return kind .. '_' .. rest, epoch, '2', namespace end
  end
  local whose, pid, n = string.match(id, '^wl%-([%w_]+)%-([%w_]+)%-(%d+)$')
  if whose then return unescaped(pid), n, '2', unescaped(whose) end
  local safe, epoch = string.match(id, '^wl%-([%w_]+)%-(%d+)$')
  if safe then return unescaped(safe), epoch, '1' end
  return nil, string.sub(id, 1, 3) == 'wl-'
end

-- An owner that registered without a word about forms knows only form '1'.
function doorbell.choose_form()
  local owners, form = call('ZRANGE', ns .. 'owners', 0, BOUND - 1), '2'
  for i, knows in ipairs(#owners > 0 and call('HMGET', ns .. 'knows', unpack(owners)) or {}) do
    if not knows then form = '1' end
  end
  if call('HGET', ns .. 'meta', 'bells') ~= form then call('HSET', ns .. 'meta', 'bells', form) end
end

-- Writes the job RQ needs; returns its id.
-- wl_rung is the time of a bell rung at the tail; one at the head says nothing about the age of what is behind it.
function doorbell.write_job(pid, epoch, queue, at_head)
  local id, at = doorbell.id(pid, epoch, routes.bell_form()), iso(now)
  call('HSET', rq .. ':job:' .. id, 'status', 'queued', 'origin', queue, 'created_at', at, 'enqueued_at', at,
    'data', '["wakeline_workers.jobs.run", null, [' .. quote(pid) .. ', ' .. epoch .. '], {}]',
    'description', pid, 'timeout', '-1', 'result_ttl', '0', 'failure_ttl', doorbell.FAILURE_TTL,
    'wl_rung', at_head and '0' or int(now))
  return id
end

-- The push of the first bell names the queue.
local function push(command, queue, ...)
  local list = rq .. ':queue:' .. queue
  doorbell.pushes = doorbell.pushes + 1
  if call(command, list, ...) > select('#', ...) then return end
  call('SADD', rq .. ':queues', list)
  routes.rings(queue)
end

-- Puts a job at the head of its queue.
function doorbell.put_first(pid, epoch, queue) push('LPUSH', queue, doorbell.write_job(pid, epoch, queue, true)) end

-- Has a worker look at a process: at the head for work that was already running once.
function doorbell.ring(pid, epoch, queue, at_head)
  push(at_head and 'LPUSH' or 'RPUSH', queue, doorbell.write_job(pid, epoch, queue, at_head))
  hints.wake_idle(queue)
end

-- Puts a job at the tail, once the script ends and with one push for all that it puts there.
local new_bells
function doorbell.gather(pid, epoch, queue)
  new_bells = new_bells or {}
  local ids = new_bells[queue]
  if not ids then
    ids = {}
    new_bells[queue] = ids
  end
  ids[#ids + 1] = doorbell.write_job(pid, epoch, queue, false)
end
function doorbell.gathers(queue) return new_bells and new_bells[queue] end
at_end[#at_end + 1] = function()
  if not new_bells then return end
  for queue, ids in pairs(new_bells) do
    for i = 1, #ids, 1000 do push('RPUSH', queue, unpack(ids, i, math.min(i + 999, #ids))) end
  end
end

-- Whether the doorbell of a queued process was lost: it is older than the head of its queue, or the queue is empty.
-- `score`: when it was rung, or last looked after. The head is the first bell that was rung at the tail, as it was at
-- the first look of this script. A bell that was rung at the head since then would make all behind it look lost.
local heads
at_begin[#at_begin + 1] = function() heads, new_bells, stem, doorbell.pushes = nil, nil, nil, 0 end
function doorbell.is_lost(pid, p, score)
  heads = heads or {}
  local head = heads[p.q]
  if not head then
    head = { ids = {}, at = math.huge }
    for _, id in ipairs(call('LRANGE', rq .. ':queue:' .. p.q, 0, 15)) do
      head.ids[id], head.at = true, num(call('HGET', rq .. ':job:' .. id, 'wl_rung'), 0)
      if head.at > 0 then break end
    end
    heads[p.q] = head
  end
  return head.at > score and not (head.ids[doorbell.id(pid, p.ep, '2')] or head.ids[doorbell.id(pid, p.ep, '1')])
end
