-- Sessions: an inbox in arrival order and at most one turn. The inbox stream holds what no turn has settled, wakes:<sid> by entry number n:
-- "<n>" body, "<n>:s" state, "<n>:c" how many it swallowed and "<n>:w" which, "<n>:co" coalescing key, "<n>:k" sender's key, "<n>:e" error, "<n>:a" slots of who awaits it.
-- States: delivered | admitted TURN MS | settled TURN MS ADMITTED | failed TURN MS ADMITTED | blocked TURN MS ADMITTED | undeliverable REASON MS | superseded N MS
local KEPT = 1000 -- entries kept per session for "why did this agent wake?"
local SHOWN = 8 -- swallowed wakes an entry names; the rest is counted
local EXPIRY = 604800000 -- how long a wake waits for a session that does not exist
local INTERRUPTS = 3 -- a turn whose entries were interrupted so often is left alone (race 24)
local OVER = { settled = true, failed = true, undeliverable = true, superseded = true }
local request_cancel -- of lifecycle, which comes later: scripts that deliver include it

-- What the latest worker with the agent's code said of its turns; what is absent is the default. Looked up once a script.
local policies
local function policy_of(agent)
  if not agent then return {} end
  if not policies[agent] then
    local text = call('HGET', ns .. 'agents', agent)
    policies[agent] = object(text) or {}
  end
  return policies[agent]
end

-- A follow-on is the session's own doing: every agent admits it.
local function admits(policy, kind) return not policy.k or kind == 'follow_on' or string.find(policy.k, string.sub(kind, 1, 1), 1, true) ~= nil end

-- What an entry was in the inbox, of its body. The end of a session's own turn is told to the session only to follow a switch of frames.
local function kind_of(s, body)
  local pid, event_type = string.match(body, '^{"kind":"wake","process_id":"(.-)","incarnation":".-","sequence":%d+,"event_type":"(.-)"')
  local own = 'process:turn:' .. (s.salt or '') .. ':'
  if event_type == 'process.completed' and string.sub(pid, 1, #own) == own then return 'follow_on' end
  return string.match(body, '^{"kind":"(%a+)"')
end

local function state_of(sid, n) return call('HGET', ns .. 'wakes:' .. sid, n .. ':s') or '' end

-- Whoever follows a session is told in order what changes there. Nobody follows most sessions, and of these nothing is written.
local FEED, FEED_TTL = 1000, 600000
local followed
at_begin[#at_begin + 1] = function() policies, followed = {}, {} end
local function tell(sid, what, ...)
  if followed[sid] == nil then followed[sid] = call('EXISTS', ns .. 'followed:' .. sid) == 1 end
  if not followed[sid] then return end
  local n = int(call('HINCRBY', ns .. 'sess:' .. sid, 'fd', 1))
  call('XADD', ns .. 'feed:' .. sid, 'MAXLEN', FEED, n .. '-0', 'at', int(now), 'w', what, ...)
  call('PEXPIRE', ns .. 'feed:' .. sid, FEED_TTL)
end

local function tell_entry(sid, n, state) tell(sid, 'entry', 'n', n, 's', state) end

local function verb_of(state) return string.match(state, '^%a*') end

-- From here on a later wake of this key is an entry of its own.
local function stop_coalescing(bodies, n)
  local key = call('HGET', bodies, n .. ':co')
  if key and call('HGET', bodies, 'co:' .. key) == n then call('HDEL', bodies, 'co:' .. key) end
end

-- Removes what is known of an entry whose life is over.
local function forget(sid, n)
  local bodies = ns .. 'wakes:' .. sid
  if not OVER[verb_of(state_of(sid, n))] then return end
  local dedupe = call('HGET', bodies, n .. ':k')
  if dedupe then call('HDEL', bodies, 'key:' .. dedupe) end
  call('HDEL', bodies, n, n .. ':s', n .. ':c', n .. ':w', n .. ':co', n .. ':k', n .. ':e', n .. ':a')
  call('ZREM', ns .. 'idx:undeliverable', sid .. '#' .. n)
end

-- The end of an entry's life: out of the inbox, whoever awaits it is told, and an old one makes room.
local function conclude(sid, n, state, resolution)
  local bodies = ns .. 'wakes:' .. sid
  call('XDEL', ns .. 'inbox:' .. sid, n .. '-0')
  call('HSET', bodies, n .. ':s', state)
  tell_entry(sid, n, state)
  stop_coalescing(bodies, n)
  local verb = verb_of(state)
  if verb == 'undeliverable' or verb == 'failed' then call('ZADD', ns .. 'idx:undeliverable', int(now), sid .. '#' .. n) end
  for slot in string.gmatch(call('HGET', bodies, n .. ':a') or '', '[^,]+') do resolve(slot, resolution) end
  call('HDEL', bodies, n .. ':a')
  forget(sid, int(tonumber(n) - KEPT))
end

local function drop(sid, n, reason)
  conclude(sid, n, 'undeliverable ' .. reason .. ' ' .. int(now), '{"status":"err","payload":{"code":"undeliverable","message":' .. quote(reason) .. '}}')
end

-- The turn is a process like any other; its registration is written here so that an entry and the turn it needs are one step.
local function start_turn(sid, s, policy)
  local n = int(call('HINCRBY', ns .. 'sess:' .. sid, 'tn', 1))
  local pid = 'process:turn:' .. s.salt .. ':' .. n -- the salt is random per session, so no turn id is ever used twice
  local inc = string.sub(s.salt, 1, 8)
  local scope = '{"session_id":' .. quote(sid) .. '}'
  call('SET', ns .. 'spec:' .. pid, '{"id":' .. quote(pid) .. ',"input":{"type":"session_turn","session_id":' .. quote(sid) .. '},"identity":{"kind":"session_turn","label":'
    .. quote(s.ag) .. '},"provenance":{"originator":{"type":"session","scope":' .. scope .. '}},"env_ref":null,"wake_target":' .. scope .. ',"queue":' .. quote(s.q) .. ',"incarnation":"' .. inc .. '"}')
  call('HSET', proc_key(pid), 'st', 'queued', 'seq', '0', 'ep', '0', 'inc', inc, 'q', s.q, 'k', 's', 'sid', sid, 'ca', int(now), 'ua', int(now), 'h', 'turn',
    'ma', int(policy.t or 5))
  call('HSET', ns .. 'sess:' .. sid, 'turn', pid)
  local due = s.df and policy.d and math.min(tonumber(s.df) + policy.x, tonumber(s.dl) + policy.d)
  local lingers = policy.l and tonumber(call('GETDEL', ns .. 'linger:' .. sid) or '0') or 0
  if lingers > (due or now) then due = lingers end
  make_runnable(pid, { q = s.q }, false, due and due > now and due or nil)
end

-- What is said of entries goes with the last of them: the head of an idle session says nothing of turns that were.
local function rest(sid, s)
  local over = {}
  for _, field in ipairs({ 'half', 'hw', 'ic', 'df', 'dl', 'lg' }) do
    if s[field] then over[#over + 1] = field end
  end
  if #over > 0 then call('HDEL', ns .. 'sess:' .. sid, unpack(over)) end
end

-- Release or next: a turn for the oldest entry that this agent admits; what stands before it and is not admitted is undeliverable (race 26).
local function ring_session(sid)
  local s = fields(ns .. 'sess:' .. sid, 'ag', 'q', 'salt', 'turn', 'blk', 'gone', 'df', 'dl', 'half', 'hw', 'ic', 'lg')
  s.q = queue_of(s.q)
  if not s.ag or s.turn or s.blk or s.gone then return end
  local policy = policy_of(s.ag)
  for _, entry in ipairs(call('XRANGE', ns .. 'inbox:' .. sid, '-', '+', 'COUNT', policy.k and BOUND or 1)) do
    if admits(policy, entry[2][2]) then return start_turn(sid, s, policy) end
    drop(sid, string.match(entry[1], '^%d+'), 'not_admissible')
  end
  if policy.k and call('XLEN', ns .. 'inbox:' .. sid) > 0 then call('RPUSH', ns .. 'todo', 'n:' .. sid) else rest(sid, s) end
end

-- Creates the session on its first use; entries that were addressed to it before get their turn now. False: deleted, for ever.
local function open_session(s, parent)
  local key = ns .. 'sess:' .. s.sid
  local known = fields(key, 'ag', 'gone')
  if known.gone then return false, known.gone end
  if known.ag then return true end
  call('HSET', key, 'ag', s.agent, 'q', s.queue, 'salt', s.salt, 'rev', '0', 'ca', int(now))
  if parent and parent ~= s.sid then
    call('HSET', key, 'pa', parent)
    call('SADD', ns .. 'born:' .. parent, s.sid)
  end
  call('ZADD', ns .. 'idx:sessions', int(now), s.sid)
  call('ZREM', ns .. 'timers', 'w:' .. s.sid)
  ring_session(s.sid)
  return true
end

-- What an arrival does to the turn there is: nothing, unless it still waits for more (debounce) or gives way to it (interrupt).
local function arrived(sid, s)
  local policy = policy_of(s.ag)
  if policy.d then
    call('HSETNX', ns .. 'sess:' .. sid, 'df', int(now))
    call('HSET', ns .. 'sess:' .. sid, 'dl', int(now))
  end
  if not s.turn then return ring_session(sid) end
  if not policy.d and policy.a ~= 'i' then return end
  if call('HEXISTS', ns .. 'journal:' .. s.turn, '@inbox') == 1 then
    local p = load(s.turn)
    if policy.a == 'i' and not p.cr and not ENDED[p.st] and tonumber(s.ic or '0') < INTERRUPTS then
      call('HSET', proc_key(s.turn), 'it', '1')
      request_cancel(s.turn, p, '{"reason":"a new entry arrived"}', 10000)
    end
  elseif policy.d and call('ZSCORE', ns .. 'timers', 'd:' .. s.turn) then
    local due = int(math.min(tonumber(call('HGET', ns .. 'sess:' .. sid, 'df')) + policy.x, now + policy.d))
    call('ZADD', ns .. 'timers', due, 'd:' .. s.turn)
    move_index(s.turn, nil, 'queued', due)
  end
end

-- A wake that takes the place of a pending one of its key: place and number stay, the text is the newest, the older one is named.
local function swallow(bodies, n, body)
  local old = call('HGET', bodies, n)
  local pid, seq = string.match(old, '^{"kind":"wake","process_id":"(.-)","incarnation":".-","sequence":(%d+),')
  local named = call('HGET', bodies, n .. ':w')
  local _, many = string.gsub(named or '', ' ', '')
  if pid and many < SHOWN then call('HSET', bodies, n .. ':w', (named or '') .. word(cjson.decode('"' .. pid .. '"')) .. '#' .. seq .. ' ') end
  call('HSET', bodies, n, body)
  call('HINCRBY', bodies, n .. ':c', 1)
end

-- Puts one entry into the inbox and returns its number. `same` coalesces with a pending entry of that key.
local function deliver(sid, kind, body, same)
  local bodies, head = ns .. 'wakes:' .. sid, ns .. 'sess:' .. sid
  local s = fields(head, 'ag', 'turn', 'gone', 'ic')
  local pending = same and call('HGET', bodies, 'co:' .. same)
  if pending then
    swallow(bodies, pending, body)
    tell_entry(sid, pending, 'delivered')
    arrived(sid, s)
    return pending
  end
  local n = int(call('HINCRBY', head, 'n', 1))
  call('HSET', bodies, n, body)
  local refused = s.gone and 'target_gone' or (s.ag and not admits(policy_of(s.ag), kind) and 'not_admissible')
  if refused then
    drop(sid, n, refused)
    return n
  end
  call('XADD', ns .. 'inbox:' .. sid, n .. '-0', 'k', kind)
  call('HSET', bodies, n .. ':s', 'delivered')
  tell_entry(sid, n, 'delivered')
  if same then call('HSET', bodies, 'co:' .. same, n, n .. ':co', same) end
  call('ZADD', ns .. 'idx:sessions', int(now), sid)
  if s.ag then arrived(sid, s) else call('ZADD', ns .. 'timers', 'NX', int(now + EXPIRY), 'w:' .. sid) end
  return n
end

-- by: who the chain of processes began with, where it was no plain host.
local function wake_body(pid, inc, seq, event_type, input_json, by)
  by = by or call('HGET', proc_key(pid), 'by')
  return '{"kind":"wake","process_id":' .. quote(pid) .. ',"incarnation":"' .. inc .. '","sequence":' .. seq .. ',"event_type":' .. quote(event_type)
    .. (by and ',"by":' .. quote(by) or '') .. ',"at_ms":' .. int(now) .. ',"input":' .. input_json .. '}'
end

-- Fixes an entry for a turn.
local function admit(sid, n, pid)
  local bodies = ns .. 'wakes:' .. sid
  call('HSET', bodies, n .. ':s', 'admitted ' .. pid .. ' ' .. int(now))
  stop_coalescing(bodies, n)
  tell_entry(sid, n, 'admitted ' .. pid)
end

local function batch_of(pid)
  local out = {}
  local rows = call('HMGET', ns .. 'journal:' .. pid, '@inbox', '@early')
  for n in string.gmatch((rows[1] or '') .. ',' .. (rows[2] or ''), '%d+') do out[#out + 1] = n end
  return out
end

-- An entry goes back to its place, for a later turn.
local function give_entries_back(sid, batch)
  for _, n in ipairs(batch) do call('HSET', ns .. 'wakes:' .. sid, n .. ':s', 'delivered') end
  for _, n in ipairs(batch) do tell_entry(sid, n, 'delivered') end
end

-- A burst meets an idle session entry by entry. After a turn quicker than the agent's linger, with several entries in it or waiting but no whole batch,
-- the next one begins that much later, with what came meanwhile. The next turn uses the moment up; where there is none, it expires.
local LINGER_KEPT = 60000
local function linger(sid, p, policy, status, many)
  if not policy.l or status ~= 'completed' or now - num(p.ct, 0) >= policy.l then return end
  local waiting = call('XLEN', ns .. 'inbox:' .. sid)
  if many + waiting > 2 and waiting < (policy.n or BOUND) then
    call('SET', ns .. 'linger:' .. sid, int(now + policy.l), 'PX', int(policy.l + LINGER_KEPT))
  end
end

-- Every terminal event of a turn, whoever writes it, settles its entries and frees the session or starts its next turn (race 7).
-- A batch that failed is halved until the poisonous entry stands alone (race 25): entries up to `hw` go in turns of at most `half` meanwhile.
local function settle_turn(pid, p, status, output)
  local sid = p.sid
  local head, bodies = ns .. 'sess:' .. sid, ns .. 'wakes:' .. sid
  local s = fields(head, 'ag', 'gone', 'half', 'hw', 'fo')
  local batch = batch_of(pid)
  local last = batch[#batch]
  local poisoned = status == 'failed' or status == 'abandoned'
  call('HDEL', head, 'turn')
  if s.gone then
    for _, n in ipairs(batch) do drop(sid, n, 'target_gone') end
  elseif status == 'cancelled' and call('HEXISTS', proc_key(pid), 'it') == 1 then
    give_entries_back(sid, batch)
    call('HINCRBY', head, 'ic', 1)
  elseif poisoned and #batch > 1 then
    give_entries_back(sid, batch)
    call('HSET', head, 'half', int(math.floor(#batch / 2)), 'hw', int(math.max(tonumber(s.hw or '0'), tonumber(last))))
  elseif batch[1] then
    call('HDEL', head, 'ic')
    if s.fo and not p.follows then call('HDEL', head, 'fo') end -- only a turn that switches frames goes on with the row
    for _, n in ipairs(batch) do
      local admitted = string.match(state_of(sid, n), '%d+$') or ''
      local rest = ' ' .. pid .. ' ' .. int(now) .. ' ' .. admitted
      if poisoned and #output <= 4096 then call('HSET', bodies, n .. ':e', output) end
      if poisoned and policy_of(s.ag).f == 'b' then
        call('HSET', bodies, n .. ':s', 'blocked' .. rest)
        tell_entry(sid, n, 'blocked' .. rest)
        call('HSET', head, 'blk', n)
        call('ZADD', ns .. 'idx:undeliverable', int(now), sid .. '#' .. n)
      else
        conclude(sid, n, (poisoned and 'failed' or 'settled') .. rest, '{"status":"ok","value":' .. output .. '}')
      end
    end
    if s.half and (poisoned or tonumber(last) >= tonumber(s.hw)) then call('HDEL', head, 'half', 'hw') end
  end
  linger(sid, p, policy_of(s.ag), status, #batch)
  ring_session(sid)
end

-- Moves a session's history on: compared with the head that its writer read (absent: whatever it is), or nothing. Returns the new revision, or nil and the head.
-- by: the turn that commits. What was appended since it read contradicts nothing of it, so it goes on over revisions that are appends alone ('af').
local function commit(sid, read, messages, frame, state, by)
  local head = ns .. 'sess:' .. sid
  local s = fields(head, 'rev', 'af')
  local from = by and s.af and tonumber(s.af) or tonumber(s.rev)
  if read and (tonumber(read) < from or tonumber(read) > tonumber(s.rev)) then return nil, s.rev end
  if by and s.af then call('HDEL', head, 'af') end
  if not by and not s.af then call('HSET', head, 'af', s.rev) end
  local rev = int(call('HINCRBY', head, 'rev', 1))
  if state then call('SET', ns .. 'state:' .. sid, state) end
  local last = '0'
  for _, message in ipairs(messages) do
    last = int(call('HINCRBY', head, 'hn', 1))
    if type(message) == 'table' then
      if message.id then call('HSET', ns .. 'mids:' .. sid, message.id, last) end
      message = message.m
    end
    call('XADD', ns .. 'hist:' .. sid, last .. '-0', 'm', message, 'rev', rev, 'at', int(now), 'f', frame or '')
  end
  tell(sid, 'commit', 'rev', rev, 'by', by or '', 'c', #messages, 'l', last)
  return rev
end
