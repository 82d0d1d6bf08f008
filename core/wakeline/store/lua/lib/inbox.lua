-- The inbox of a session: how an entry comes in, and what its arrival does to the turn there is.
-- Needs: base letters process cancel feed policies entries turns
local SHOWN = 8 -- swallowed wakes an entry names; the rest is counted
local EXPIRY = 604800000 -- how long a wake waits for a session that does not exist
local INTERRUPTS = 3 -- a turn whose entries were interrupted so often is left alone (race 24)

-- What an entry was in the inbox, of its body. The end of a session's own turn is told to the session only to follow a
-- switch of frames.
local function kind_of(s, body)
  local pid, event_type = string.match(body,
    '^{"kind":"wake","process_id":"(.-)","incarnation":".-","sequence":%d+,"event_type":"(.-)"')
  local its_own = 'process:turn:' .. (s.salt or '') .. ':'
  if event_type == 'process.completed' and string.sub(pid, 1, #its_own) == its_own then return 'follow_on' end
  return string.match(body, '^{"kind":"(%a+)"')
end

-- What an arrival does to the turn there is: nothing, unless it still waits for more (debounce) or gives way to it
-- (interrupt).
local function arrived(sid, s)
  local policy = policy_of(s.ag)
  if policy.d then
    s.df, s.dl = s.df or int(now), int(now)
    call('HSET', ns .. 'sess:' .. sid, 'df', s.df, 'dl', s.dl)
  end
  if not s.turn then return turns.begin_next(sid, s) end
  if not policy.d and policy.a ~= 'i' then return end
  if call('HEXISTS', ns .. 'journal:' .. s.turn, '@inbox') == 1 then
    local p = load(s.turn)
    if policy.a == 'i' and not p.cr and not ENDED[p.st] and tonumber(s.ic or '0') < INTERRUPTS then
      call('HSET', proc_key(s.turn), 'it', '1')
      cancel.request(s.turn, p, '{"reason":"a new entry arrived"}', 10000)
    end
  elseif policy.d and call('ZSCORE', ns .. 'timers', TIMER.offer .. s.turn) then
    local due = math.min(tonumber(s.df) + policy.x, now + policy.d)
    call('ZADD', ns .. 'timers', int(due), TIMER.offer .. s.turn)
    move_index(s.turn, nil, 'queued', math.max(now, due)) -- nothing comes to a time that is past (lib/filters.lua)
  end
end

-- A wake that takes the place of a pending one of its key: place and number stay, the text is the newest, the older one
-- is named.
local function swallow(bodies, n, body)
  local old = call('HGET', bodies, n)
  local pid, seq = string.match(old, '^{"kind":"wake","process_id":"(.-)","incarnation":".-","sequence":(%d+),')
  local named = call('HGET', bodies, n .. ':w')
  local _, many = string.gsub(named or '', ' ', '')
  if pid and many < SHOWN then
    call('HSET', bodies, n .. ':w', (named or '') .. word(cjson.decode('"' .. pid .. '"')) .. '#' .. seq .. ' ')
  end
  call('HSET', bodies, n, body)
  call('HINCRBY', bodies, n .. ':c', 1)
end

-- Puts one entry into the inbox. Returns its number, and the turn there is then. `same` coalesces with a pending entry
-- of that key; `sent`: {its sender's key, hash of the content}.
local function deliver(sid, kind, body, same, sent)
  local bodies, head = ns .. 'wakes:' .. sid, ns .. 'sess:' .. sid
  local s = turns.head(sid)
  local pending = same and call('HGET', bodies, 'co:' .. same)
  if pending then
    swallow(bodies, pending, body)
    tell_entry(sid, pending, 'delivered')
    arrived(sid, s)
    return pending, s.turn
  end
  local n = int(num(s.n, 0) + 1)
  local entry = { n, body }
  if sent then
    entry[#entry + 1], entry[#entry + 2] = 'key:' .. sent[1], n .. ':' .. sent[2]
    entry[#entry + 1], entry[#entry + 2] = n .. ':k', sent[1]
  end
  local refused = s.gone and 'target_gone' or (s.ag and not admits(policy_of(s.ag), kind) and 'not_admissible')
  if refused then
    call('HSET', head, 'n', n)
    call('HSET', bodies, unpack(entry))
    entries.drop(sid, n, refused)
    return n, s.turn
  end
  s.entry = n
  entry[#entry + 1], entry[#entry + 2] = n .. ':s', 'delivered'
  if same then
    entry[#entry + 1], entry[#entry + 2] = 'co:' .. same, n
    entry[#entry + 1], entry[#entry + 2] = n .. ':co', same
  end
  call('HSET', bodies, unpack(entry))
  call('XADD', ns .. 'inbox:' .. sid, n .. '-0', 'k', kind)
  tell_entry(sid, n, 'delivered')
  gather('ZADD', ns .. 'idx:sessions', int(now), sid)
  if s.ag then arrived(sid, s) else call('ZADD', ns .. 'timers', 'NX', int(now + EXPIRY), TIMER.unopened .. sid) end
  if s.entry then call('HSET', head, 'n', n) end
  return n, s.turn
end

-- `by`: the originator of the chain of processes, where it was no plain host. It brings the headers of what this script
-- was asked for.
local function wake_body(pid, inc, seq, event_type, input_json, by)
  by = by or call('HGET', proc_key(pid), 'by')
  return '{"kind":"wake","process_id":' .. quote(pid) .. ',"incarnation":"' .. inc .. '","sequence":' .. seq
    .. ',"event_type":' .. quote(event_type) .. (by and ',"by":' .. quote(by) or '')
    .. ',"at_ms":' .. int(now) .. (a.headers and ',"headers":' .. a.headers or '') .. ',"input":' .. input_json .. '}'
end
