-- Purpose: take up to n doorbells and claim their processes: no intermediate list, no moment in which a job belongs to
--          no worker.
-- Include: base queues routes doorbell rq code aside rounds crashes claims lines admitting isolates
-- ARGV: owner, request (random, the claim ids' stem), n (0: it only leaves the idle sets), queue? (absent: those of
--       its route), lease_ms, idle (enter the idle sets when the queues are empty), agents? {name: [max, policy]} (a
--       claimed turn of one of them brings its batch, fixed in the same step), release? (of the code that will run
--       them), proven? (a run of this owner has ended or parked: told once), cleared? (it runs only what was lost
--       twice, for longer than it lasted when it was lost), isolates? (how many free children it has), isolated? (the
--       code that runs in them), seen? (instruments see its runs), next? (the id of the take after this one: the owner
--       runs nothing, and may be handed one process under that id)
-- Reply: {'taken', [claim]*, more ('1' while the queues may hold more)} | {'reaped'} (take a new owner id)
-- Errors: a foreign job (its id is no doorbell's) goes to RQ's failed registry; it is not ours to run. A doorbell of
--         nothing that is known is thrown away. What may be another app's, or a later release's, goes back to the end
--         of its list.
-- Atomic because a doorbell that is popped and not claimed leaves a process that no worker runs (W1).
local expiry = call('ZSCORE', ns .. 'owners', a.owner)
if not expiry then return { 'reaped' } end
call('ZADD', ns .. 'owners', int(now + a.lease_ms), a.owner)
if tonumber(expiry) <= now then call('HDEL', ns .. 'suspects', a.owner) end -- it may have been seen expired
if a.proven then crashes.prove(a.release) end
local last, taken, budget = ns .. 'takes:' .. a.owner, {}, REPLY_BYTES

local function reply(pid, p)
  local row, used = claimed(pid, p, budget)
  budget = budget - used
  -- A turn that is cancelled before it began takes nothing: its entries are the next one's.
  local agent = p.sid and a.agents and not (p.cr and not p.fs) and a.agents[string.match(p.sid, '^[^/]+')]
  if agent then
    local batch, bytes = admit_batch(pid, p.sid, agent[1], agent[2])
    row[9], budget = batch, budget - bytes
  end
  taken[#taken + 1] = row
end

local known = fields(last, 'request', 'lacks', 'able', 'route', 'crowded', 'next')
local single = queue_of(a.queue)
local place = single or known.route

-- A resend (its reply was lost) gets the same batch: race 1. So does the first take under an id under which a process
-- was handed to it meanwhile, and a resend of the take before.
local answered = known.request and (known.request == a.request or known.request == a.next) and known.request
if answered then
  if a.n == 0 and place then call('SREM', ns .. 'idle:' .. place, a.owner) end
  local i = 0
  for pid in string.gmatch(call('HGET', last, 'pids') or '', '[^ ]+') do
    pid = unword(pid)
    local p = load_whole(pid)
    i = i + 1
    if p.st == 'running' and p.cl == answered .. '-' .. i then reply(pid, p) end
  end
  return { 'taken', taken, '0' }
end

local function foreign(queue, id)
  local why = 'This queue runs Wakeline doorbells only; enqueue other jobs on a queue of their own.'
  call('HSET', rq .. ':job:' .. id, 'status', 'failed', 'exc_info', why)
  call('EXPIRE', rq .. ':job:' .. id, doorbell.FAILURE_TTL)
  call('ZADD', rq .. ':failed:' .. queue, int(now / 1000 + doorbell.FAILURE_TTL), id)
end

-- `rq suspend`: nothing is taken until `rq resume`; the next look, at most a second later, finds out. One look at that
-- and at queues that are paused, for nearly always there is neither.
local is_halted = a.n > 0 and call('EXISTS', rq .. ':suspended', ns .. 'paused') > 0
if is_halted and call('EXISTS', rq .. ':suspended') == 1 then
  unasked = true
  if known.next then call('HSET', last, 'next', '') end
  return { 'taken', {}, '0' }
end

-- Whether a popped doorbell may be another app's, or a later release's: then it is not ours to throw away.
-- Under the release before, two apps could have one list (queue_of), and a bell did not say whose it is: the other's
-- worker has an hour to take it.
local function others(id, list, pid, later, whose)
  if not pid then return later end
  if whose then return whose ~= namespace end
  if (list == namespace and not dotted) or call('EXISTS', proc_key(pid)) == 1 then return false end
  local job = rq .. ':job:' .. id
  if call('EXISTS', job) == 0 then return false end
  call('HSETNX', job, 'wl_stray', int(now))
  return now - num(call('HGET', job, 'wl_stray'), now) < doorbell.FAILURE_TTL * 1000
end

local function is_paused(queue) return is_halted and call('SISMEMBER', ns .. 'paused', queue) == 1 end

-- Whether it had a process before this take. Few takes ask.
local kept, held = 0, nil
local function had_one()
  held = held or call('SCARD', ns .. 'owned:' .. a.owner)
  return held > 0
end

-- What was lost twice with its workers runs apart: nothing else is here, or only what has outlived its moment and is no
-- more suspect than it. `room`: how many this take may bring, once it brings one of these. A call that needs a child is
-- kept out while no child is free.
local room
local function is_kept_out(p)
  if isolates.lacked(p) then return true end
  local most = crashes.apart(p)
  if not most then return room ~= nil end
  local others = not room and #taken > 0 or not (a.cleared and most > 1) and had_one()
  return others or #taken >= math.min(most, room or most)
end

local function took(p)
  local most = crashes.apart(p)
  if most then room = math.min(most, room or most) end
  if room and #taken >= room then budget = 0 end
  isolates.take(p)
end

-- Whether this owner has not the code of a process, as far as the fleet knows.
local function lacked(p)
  local code = known.lacks and code_of(p)
  return code and has_code(known.lacks, code)
end

-- Whether this owner takes from a line: it has the code, and is not of a release that looked while another one is there
-- that did not.
local function takes_from(codes, queue, rest)
  local uf, code = rounds.line_of(rest)
  if not uf then return has_code(codes or ' ', rest) end
  if codes and code ~= '' and not has_code(codes, code) then return false end
  return not (rounds.has_looked(uf, a.release) and rounds.others(uf, queue, code))
end

local function listens_to(queue)
  if single then return single == queue end
  return known.route ~= nil and routes.has(known.route, queue)
end

-- What workers without its code, or of a release that cannot go on with it, left to others.
local function take_aside()
  local codes, lines = call('HGET', ns .. 'codes', a.owner), call('SMEMBERS', ns .. 'asides')
  if #lines == 0 and not known.lacks then call('HDEL', last, 'able') end
  for _, line in ipairs(lines) do
    local queue, rest = string.match(line, '^(%S+) (.*)$')
    queue = unword(queue)
    local mine = listens_to(queue) and not is_paused(queue) and takes_from(codes, queue, rest)
    while mine and #taken < a.n and budget > 0 and kept < BOUND do
      local pid = call('ZRANGE', ns .. 'aside:' .. line, 0, 0)[1]
      if not pid then break end
      local p = load_whole(pid)
      if is_kept_out(p) then break end
      leave_aside(pid, line)
      if p.st == 'queued' and p.as == line then
        p.as = nil
        if rounds.are_others(p, a.release) then
          rounds.leave(pid, p)
          kept = kept + 1
        elseif kept_back(pid, p) then
          kept = kept + 1
        else
          local bell = doorbell.write_job(pid, p.ep, p.q, true)
          claim(pid, p, a.owner, a.request .. '-' .. (#taken + 1), a.release, a.seen, bell, routes.bell_form())
          reply(pid, p)
          took(p)
        end
      end
    end
  end
end

local function is_full() return #taken >= a.n or budget <= 0 or kept >= BOUND end

-- Whether the take ends before a doorbell, which is one of those then that stay at the head.
local function ends_before(id, list, aside, strays)
  local pid, epoch, form, whose = doorbell.read(id)
  if others(id, list, pid, pid and form or epoch, whose) then
    strays[#strays + 1] = id
    return false
  elseif not pid then
    if call('EXISTS', rq .. ':job:' .. id) == 1 then foreign(list, id) end
    return false
  end
  local p = load_whole(pid)
  if p.st ~= 'queued' or p.ep ~= epoch then
    if p.st ~= 'running' or p.ep ~= epoch then call('DEL', rq .. ':job:' .. id) end
  elseif lacked(p) then
    call('DEL', rq .. ':job:' .. id)
    set_aside(pid, p.q, code_of(p))
    kept = kept + 1
  elseif rounds.are_others(p, a.release) then
    call('DEL', rq .. ':job:' .. id)
    rounds.leave(pid, p)
    kept = kept + 1
  elseif is_kept_out(p) then
    -- Its doorbell stays at the head: of what may kill its workers for an idle worker, of a call for a worker with a
    -- free child, of the others for the next take.
    aside[#aside + 1] = id
    local crowded = isolates.lacked(p)
    if crowded then isolates.leave(p) end
    return #aside >= BOUND or not (crowded or crashes.apart(p))
  elseif kept_back(pid, p, id) then
    kept = kept + 1
  else
    claim(pid, p, a.owner, a.request .. '-' .. (#taken + 1), a.release, a.seen, id, form)
    reply(pid, p)
    took(p)
  end
  return false
end

-- Puts doorbells back at the head of a list, in their order.
local function put_back(key, ids, from)
  local back = {}
  for i = #ids, from, -1 do back[#back + 1] = ids[i] end
  if #back > 0 then call('LPUSH', key, unpack(back)) end
end

-- Whether nothing is left there. A few doorbells come with one command.
local function take_from(list)
  local key, aside, strays, emptied = rq .. ':queue:' .. list, {}, {}, false
  local ids, at, wanted, pushes = NONE, 0, 0, 0
  while not is_full() and #strays < BOUND do
    if at < #ids then
      at = at + 1
      if ends_before(ids[at], list, aside, strays) then break end
    else
      -- Where fewer came than were wanted the list is empty, unless this script rang there since.
      emptied = at < wanted and doorbell.pushes == pushes
      if emptied then break end
      wanted, pushes = math.min(a.n - #taken, AT_ONCE), doorbell.pushes
      ids, at = call('LPOP', key, wanted) or NONE, 0
    end
  end
  put_back(key, ids, at + 1)
  put_back(key, aside, 1)
  for _, id in ipairs(strays) do call('RPUSH', key, id) end
  return emptied and #aside + #strays == 0
end

-- Whether there is nothing more to take from a queue, for now.
local function take_from_queue(queue)
  if is_paused(queue) then return true end
  local former = former_name(queue)
  local silent = not former or take_from(former)
  return take_from(queue) and silent
end
if known.able and a.n > 0 then take_aside() end
if single then
  take_from_queue(single)
elseif known.route then
  for _, queue in ipairs(routes.ringing(known.route)) do
    if is_full() then break end
    if take_from_queue(queue) then call('SREM', ns .. 'ringing', queue) end
  end
end
if #taken > 0 then
  local pids = {}
  for i, row in ipairs(taken) do pids[i] = word(row[1]) end
  call('HSET', last, 'request', a.request, 'pids', table.concat(pids, ' '))
  executions.busy(a.owner)
end
isolates.note(known.crowded)
if room then budget = 0 end
unasked = #taken == 0 and a.n > 0
local full = is_full()
-- Under which id its next take will be, where a process may be claimed for it under that id (lib/handoffs.lua). Each
-- take says so anew, or it is over.
local next_one = a.next and place and unasked and not full
  and a.next .. ' ' .. int(now) .. ' ' .. (a.seen and '1' or '0') .. ' ' .. (a.release or '')
if next_one or (known.next or '') ~= '' then call('HSET', last, 'next', next_one or '') end
if place then call((full or not a.idle) and 'SREM' or 'SADD', ns .. 'idle:' .. place, a.owner) end
return { 'taken', taken, full and '1' or '0' }
