-- Purpose: entries of one session by number, or of all sessions those that came to no good end, latest first.
-- Include: base
-- ARGV: limit (1,000 at most), sid?, after? (a higher number than this; absent = the latest), n? (only this one; no other limit)
-- Reply: {head fields of the session, pending entries, fields of its turn, [sid, n, body, state, swallowed, error or '', swallowed ones 'pid (a word)#sequence '*]*, now}
-- Atomic because the states of one page must be of one moment.
local out, limit = {}, math.min(a.limit, 1000)
local function show(sid, n)
  local f = fields(ns .. 'wakes:' .. sid, n, n .. ':s', n .. ':c', n .. ':e', n .. ':w')
  if f[n] then out[#out + 1] = { sid, n, f[n], f[n .. ':s'] or '', f[n .. ':c'] or '0', f[n .. ':e'] or '', f[n .. ':w'] or '' } end
end
if not a.sid then
  for _, member in ipairs(call('ZREVRANGE', ns .. 'idx:undeliverable', 0, int(limit - 1))) do
    local sid, n = string.match(member, '^(.*)#(%d+)$')
    show(sid, n)
  end
  return { {}, 0, {}, out, int(now) }
end
local head, turn = call('HGETALL', ns .. 'sess:' .. a.sid), call('HGET', ns .. 'sess:' .. a.sid, 'turn')
local last = tonumber(call('HGET', ns .. 'sess:' .. a.sid, 'n') or '0')
local first = a.n or math.max(1, last - limit + 1)
if a.after then
  local pending = call('XRANGE', ns .. 'inbox:' .. a.sid, '-', '+', 'COUNT', 1)
  local oldest = pending[1] and tonumber(string.match(pending[1][1], '^%d+')) or last
  first = math.max(a.after + 1, math.min(oldest, last - 1000)) -- what is older is forgotten
end
for n = first, a.n or math.min(last, first + 2000) do
  if #out >= limit then break end
  show(a.sid, int(n))
end
return { head, call('XLEN', ns .. 'inbox:' .. a.sid), turn and call('HGETALL', proc_key(turn)) or {}, out, int(now) }
