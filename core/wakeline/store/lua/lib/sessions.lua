-- Sessions: an inbox in arrival order and at most one turn. The inbox stream holds the order, wakes:<sid> the bodies ("<n>") and their states ("<n>:s").
local KEPT = 1000 -- settled entries kept per session for "why did this agent wake?"

-- The turn is a process like any other; its registration is written here so that an entry and the turn it needs are one step.
local function ring_session(sid)
  local s = fields(ns .. 'sess:' .. sid, 'ag', 'q', 'salt', 'turn')
  if not s.ag or s.turn then return end
  local n = int(call('HINCRBY', ns .. 'sess:' .. sid, 'tn', 1))
  local pid = 'process:turn:' .. s.salt .. ':' .. n -- the salt is random per session, so no turn id is ever used twice
  local inc = string.sub(s.salt, 1, 8)
  local scope = '{"session_id":' .. quote(sid) .. '}'
  call('SET', ns .. 'spec:' .. pid, '{"id":' .. quote(pid) .. ',"input":{"type":"session_turn","session_id":' .. quote(sid) .. '},"identity":{"kind":"session_turn","label":'
    .. quote(s.ag) .. '},"provenance":{"originator":{"type":"session","scope":' .. scope .. '}},"env_ref":null,"wake_target":' .. scope .. ',"queue":' .. quote(s.q) .. ',"incarnation":"' .. inc .. '"}')
  call('HSET', proc_key(pid), 'st', 'queued', 'seq', '0', 'ep', '0', 'inc', inc, 'q', s.q, 'k', 's', 'sid', sid, 'ca', int(now), 'ua', int(now), 'h', 'turn', 'ma', '5')
  call('HSET', ns .. 'sess:' .. sid, 'turn', pid)
  make_runnable(pid, { q = s.q }, false)
end

-- Creates the session on its first use; entries that were addressed to it before get their turn now.
local function open_session(s)
  local key = ns .. 'sess:' .. s.sid
  if call('HSETNX', key, 'ag', s.agent) == 0 then return end
  call('HSET', key, 'q', s.queue, 'salt', s.salt, 'rev', '0', 'ca', int(now))
  call('ZADD', ns .. 'idx:sessions', int(now), s.sid)
  if call('XLEN', ns .. 'inbox:' .. s.sid) > 0 then ring_session(s.sid) end
end

-- Puts one entry into the inbox and returns its number. `same` coalesces with a pending entry of that key: it keeps its place and takes the newest body.
local function deliver(sid, kind, body, same)
  local bodies = ns .. 'wakes:' .. sid
  if same then
    local n = call('HGET', bodies, 'co:' .. same)
    if n and call('HGET', bodies, n .. ':s') == 'delivered' then
      call('HSET', bodies, n, body)
      call('HINCRBY', bodies, n .. ':c', 1)
      return n
    end
  end
  local n = int(call('HINCRBY', ns .. 'sess:' .. sid, 'n', 1))
  call('XADD', ns .. 'inbox:' .. sid, n .. '-0', 'k', kind)
  call('HSET', bodies, n, body, n .. ':s', 'delivered')
  if same then call('HSET', bodies, 'co:' .. same, n, n .. ':co', same) end
  call('ZADD', ns .. 'idx:sessions', int(now), sid)
  ring_session(sid)
  return n
end

local function wake_body(pid, inc, seq, event_type, input_json)
  return '{"kind":"wake","process_id":' .. quote(pid) .. ',"incarnation":"' .. inc .. '","sequence":' .. seq .. ',"event_type":' .. quote(event_type)
    .. ',"at_ms":' .. int(now) .. ',"input":' .. input_json .. '}'
end

-- Every terminal event of a turn, whoever writes it, settles its entries and frees the session or starts its next turn (race 7).
local function settle_turn(pid, sid, state)
  local bodies = ns .. 'wakes:' .. sid
  local batch = call('HGET', ns .. 'journal:' .. pid, '@inbox')
  for n in string.gmatch(batch or '', '%d+') do
    call('XDEL', ns .. 'inbox:' .. sid, n .. '-0')
    call('HSET', bodies, n .. ':s', state .. ' ' .. pid .. ' ' .. int(now))
    local key = call('HGET', bodies, n .. ':co')
    if key and call('HGET', bodies, 'co:' .. key) == n then call('HDEL', bodies, 'co:' .. key) end
    local old = int(tonumber(n) - KEPT)
    local dedupe = call('HGET', bodies, old .. ':k')
    if dedupe then call('HDEL', bodies, 'key:' .. dedupe) end
    call('HDEL', bodies, old, old .. ':s', old .. ':c', old .. ':co', old .. ':k')
  end
  call('HDEL', ns .. 'sess:' .. sid, 'turn')
  if call('XLEN', ns .. 'inbox:' .. sid) > 0 then ring_session(sid) end
end
