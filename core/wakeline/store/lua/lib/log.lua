-- The log of a process: its events, in order.
-- Needs: base tails

-- Which run an event tells of: how long ago it was claimed (ms), its attempt, its owner, and its release where that has
-- a name. None where no run has the process. Both ends of a run say it, so that a log tells of each one when, where and
-- how.
local function run_of(p)
  if p.st ~= 'running' or not p.ow then return nil end
  local since = int(math.max(0, now - num(p.ct, now)))
  return since .. ' ' .. (p.tr or '1') .. ' ' .. p.ow .. (p.rel and ' ' .. p.rel or '')
end

-- Appends one event and returns its sequence, which is also its stream id: the server itself refuses a second event
-- with the same number.
-- `headers`: what instruments gave its sender, JSON.
local function write_event(pid, seq, event_type, payload, replay_key, semantics, run, headers)
  local entry = { 't', event_type, 'p', payload, 'at', int(now) }
  if replay_key then entry[#entry + 1] = 'k'; entry[#entry + 1] = replay_key end
  if semantics then entry[#entry + 1] = 's'; entry[#entry + 1] = semantics end
  if run then entry[#entry + 1] = 'r'; entry[#entry + 1] = run end
  if headers then entry[#entry + 1] = 'hs'; entry[#entry + 1] = headers end
  call('XADD', ns .. 'events:' .. pid, seq .. '-0', unpack(entry))
end

local function append(pid, p, event_type, payload, replay_key, semantics, run, headers)
  p.seq = int(call('HINCRBY', proc_key(pid), 'seq', 1))
  write_event(pid, p.seq, event_type, payload, replay_key, semantics, run, headers)
  if p.tl then tails.event(pid, p.tl, p.seq) end
  call('HSET', proc_key(pid), 'ua', int(now))
  return p.seq
end

-- The log of a process that ends with its first run and has no event yet. A copy of a stream is as long as its content,
-- and grows by what is added. So the first event is copied, as it is the same for all that were claimed together and
-- end together. So is the whole log of one that ended alike.
local logs = {}
local ALIKE = 256 -- a longer payload is hardly that of another one, too
local apart -- whether a copy grows alone: in fakeredis all copies of a stream are the same one
local first_with, log_of, copied
at_begin[#at_begin + 1] = function() first_with, log_of, copied = {}, {}, {} end

-- A stream with the first event of a run; it goes when the script ends.
local function first_event(pid, run)
  local first = first_with[run]
  if first and apart == nil then apart = call('XLEN', first) == 1 end
  if first and apart then return first end
  first = ns .. 'copy:' .. pid -- a family of its own: behind the id, any text may be another process's id
  local function write() call('XADD', first, '1-0', 't', 'process.started', 'p', '{}', 'at', int(now), 'r', run) end
  if not pcall(write) then
    call('DEL', first) -- a script left it that was refused a command
    write()
  end
  first_with[run], copied[#copied + 1] = first, first
  return first
end

-- `run`: which one; the process has one.
function logs.write_whole(pid, event_type, payload, run)
  local log = ns .. 'events:' .. pid
  local alike = #payload <= ALIKE and run .. event_type .. payload
  if alike and log_of[alike] and call('COPY', log_of[alike], log) == 1 then return end
  if call('COPY', first_event(pid, run), log) == 0 then
    write_event(pid, '1', 'process.started', '{}', nil, nil, run) -- something is there: the server says what
  end
  write_event(pid, '2', event_type, payload, nil, nil, run)
  if alike then log_of[alike] = log end
end

at_end[#at_end + 1] = function()
  if #copied > 0 then call('DEL', unpack(copied)) end
end

-- Why a process was asked to end, as its sender said it.
local function cancel_reason(pid)
  local seq = call('HGET', ns .. 'replay:' .. pid, 'cancel')
  local event = seq and call('XRANGE', ns .. 'events:' .. pid, seq .. '-0', seq .. '-0')[1]
  local said = event and object(event[2][4])
  return said and type(said.reason) == 'string' and said.reason or 'requested'
end

-- Redis preallocates 4 KB for a stream's first node; a copy is as long as its content. Above 100 entries the copy costs
-- more than it saves.
local function compact(pid, p)
  local key, n = ns .. 'events:' .. pid, tonumber(p.seq)
  if n > 0 and n < 100 then
    local copy = ns .. 'copy:' .. pid -- a family of its own: behind the id, any text may be another process's id
    call('COPY', key, copy, 'REPLACE')
    call('RENAME', copy, key)
  end
end

-- process.started is written with the first thing a run leaves behind, not with the claim: a claim that does nothing
-- leaves nothing.
local function ensure_started(pid, p)
  if p.fs then return end
  -- The first row of a process alone needs these; the record of a run is read without them. The script may have
  -- written an event of it since, so the sequence is read here.
  local is = fields(proc_key(pid), 'st', 'ow', 'ct', 'rel', 'tr', 'seq', 'tl')
  p.fs, p.seq = '1', int(num(is.seq, 0) + 1)
  call('HSET', proc_key(pid), 'fs', '1', 'seq', p.seq, 'ua', int(now))
  write_event(pid, p.seq, 'process.started', '{}', nil, nil, run_of(is))
  if is.tl then tails.event(pid, is.tl, p.seq) end
end
