-- Turns: at most one of a session, begun for its oldest entries and settled by every end.
-- Needs: base letters queues record handoffs runnable feed policies entries admitting
local turns = {}
handoffs.admit = admit_batch -- a turn that begins may be handed over at once

-- What entries and turns look at in the head of a session. `entry`: the number of an entry that a script puts into the
-- inbox, which it has not written to the head yet.
function turns.head(sid)
  local s = fields(ns .. 'sess:' .. sid, 'ag', 'q', 'salt', 'turn', 'blk', 'gone', 'df', 'dl', 'half', 'hw', 'ic', 'lg',
    'fo', 'n', 'tn')
  s.q = queue_of(s.q)
  return s
end

-- A turn is a process like any other. Its registration is written here, so that an entry and the turn that it needs are
-- one step.
local function start_turn(sid, s, policy)
  local head, n = ns .. 'sess:' .. sid, int(num(s.tn, 0) + 1)
  local pid = 'process:turn:' .. s.salt .. ':' .. n -- the salt is random per session, so no turn id is ever used twice
  local inc = string.sub(s.salt, 1, 8)
  local scope = '{"session_id":' .. quote(sid) .. '}'
  local spec = '{"id":' .. quote(pid) .. ',"input":{"type":"session_turn","session_id":' .. quote(sid) .. '}'
    .. ',"identity":{"kind":"session_turn","label":' .. quote(s.ag) .. '}'
    .. ',"provenance":{"originator":{"type":"session","scope":' .. scope .. '}},"env_ref":null'
    .. ',"wake_target":' .. scope .. ',"queue":' .. quote(s.q) .. ',"incarnation":"' .. inc .. '"}'
  call('SET', ns .. 'spec:' .. pid, spec)
  local w = record.open(pid, { ep = '0' })
  record.set(w, 'seq', '0')
  record.set(w, 'inc', inc)
  record.set(w, 'q', s.q)
  record.set(w, 'k', 's')
  record.set(w, 'sid', sid)
  record.set(w, 'ca', int(now))
  record.set(w, 'ua', int(now))
  record.set(w, 'h', 'turn')
  record.set(w, 'ma', int(policy.t or 5))
  if s.entry then
    call('HSET', head, 'tn', n, 'turn', pid, 'n', s.entry)
  else
    call('HSET', head, 'tn', n, 'turn', pid)
  end
  s.turn, s.entry = pid, nil
  local due = s.df and policy.d and math.min(tonumber(s.df) + policy.x, tonumber(s.dl) + policy.d)
  local lingers = policy.l and s.tn and tonumber(call('GETDEL', ns .. 'linger:' .. sid) or '0') or 0
  if lingers > (due or now) then due = lingers end
  make_runnable(pid, w.p, false, due and due > now and due or nil, nil, w)
  record.write(w)
end

-- Fields about entries go with the last entry, so the head of an idle session says nothing of earlier turns.
local function clear_head(sid, s)
  local over = {}
  for _, field in ipairs({ 'half', 'hw', 'ic', 'df', 'dl', 'lg' }) do
    if s[field] then over[#over + 1] = field end
  end
  if #over > 0 then call('HDEL', ns .. 'sess:' .. sid, unpack(over)) end
end

-- Starts a turn for the oldest entry that the agent admits, or leaves the session free. Entries before it that are not
-- admitted are undeliverable (race 26).
-- `head`: of the session, where the caller has it as it is now.
function turns.begin_next(sid, head)
  local s = head or turns.head(sid)
  if not s.ag or s.turn or s.blk or s.gone then return end
  local policy = policy_of(s.ag)
  if s.entry and not policy.k then return start_turn(sid, s, policy) end
  for _, entry in ipairs(call('XRANGE', ns .. 'inbox:' .. sid, '-', '+', 'COUNT', policy.k and BOUND or 1)) do
    if admits(policy, entry[2][2]) then return start_turn(sid, s, policy) end
    entries.drop(sid, string.match(entry[1], '^%d+'), 'not_admissible')
  end
  if policy.k and call('XLEN', ns .. 'inbox:' .. sid) > 0 then
    call('RPUSH', ns .. 'todo', LEFT.begin_turn .. sid)
  else
    clear_head(sid, s)
  end
end

function turns.batch_of(pid)
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

-- A burst meets an idle session entry by entry. After a quick turn (quicker than the agent's linger) with several
-- entries in it or waiting, and less than a whole batch, the next turn begins that much later and takes what came
-- meanwhile. The next turn uses the moment up; without one it expires.
local LINGER_KEPT = 60000
local function linger(sid, p, policy, status, many)
  if not policy.l or status ~= 'completed' or now - num(p.ct, 0) >= policy.l then return end
  local waiting = call('XLEN', ns .. 'inbox:' .. sid)
  if many + waiting > 2 and waiting < (policy.n or BOUND) then
    call('SET', ns .. 'linger:' .. sid, int(now + policy.l), 'PX', int(policy.l + LINGER_KEPT))
  end
end

-- Every terminal event of a turn, from any script, settles its entries and frees the session or starts its next turn
-- (race 7).
-- A batch that failed is halved until the poisonous entry stands alone (race 25): entries up to `hw` go in turns of at
-- most `half` meanwhile.
function turns.settle(pid, p, status, output)
  local sid = p.sid
  local head, bodies = ns .. 'sess:' .. sid, ns .. 'wakes:' .. sid
  local s = turns.head(sid)
  local batch = turns.batch_of(pid)
  local last = batch[#batch]
  local poisoned = status == 'failed' or status == 'abandoned'
  local over = { 'turn' }
  s.turn = nil
  if s.gone then
    for _, n in ipairs(batch) do entries.drop(sid, n, 'target_gone') end
  elseif status == 'cancelled' and call('HEXISTS', proc_key(pid), 'it') == 1 then
    give_entries_back(sid, batch)
    call('HINCRBY', head, 'ic', 1)
    s.ic = s.ic or '1'
  elseif poisoned and #batch > 1 then
    give_entries_back(sid, batch)
    s.half, s.hw = int(math.floor(#batch / 2)), int(math.max(tonumber(s.hw or '0'), tonumber(last)))
    call('HSET', head, 'half', s.half, 'hw', s.hw)
  elseif batch[1] then
    if s.ic then over[#over + 1] = 'ic' end
    if s.fo and not p.follows then over[#over + 1] = 'fo' end -- only a turn that switches frames goes on with the row
    s.ic = nil
    for _, n in ipairs(batch) do
      local entry = entries.read(sid, n)
      local admitted = string.match(entry[n .. ':s'] or '', '%d+$') or ''
      local rest = ' ' .. pid .. ' ' .. int(now) .. ' ' .. admitted
      if poisoned and #output <= 4096 then call('HSET', bodies, n .. ':e', output) end
      if poisoned and policy_of(s.ag).f == 'b' then
        call('HSET', bodies, n .. ':s', 'blocked' .. rest)
        tell_entry(sid, n, 'blocked' .. rest)
        call('HSET', head, 'blk', n)
        s.blk = n
        call('ZADD', ns .. 'idx:undeliverable', int(now), sid .. '#' .. n)
      else
        local verb = poisoned and 'failed' or 'settled'
        entries.conclude(sid, n, verb .. rest, '{"status":"ok","value":' .. output .. '}', entry)
      end
    end
    if s.half and (poisoned or tonumber(last) >= tonumber(s.hw)) then
      over[#over + 1], over[#over + 2] = 'half', 'hw'
      s.half, s.hw = nil, nil
    end
  end
  call('HDEL', head, unpack(over))
  linger(sid, p, policy_of(s.ag), status, #batch)
  turns.begin_next(sid, s)
end
