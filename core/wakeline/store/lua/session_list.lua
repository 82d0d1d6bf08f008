-- Purpose: sessions by last activity, newest first.
-- Include: base
-- ARGV: limit
-- Reply: [sid, head fields, pending entries, fields of its turn, now]*
-- Atomic only for a consistent page.
local out = {}
for _, sid in ipairs(call('ZREVRANGE', ns .. 'idx:sessions', 0, a.limit - 1)) do
  local key = ns .. 'sess:' .. sid
  local turn, pending = call('HGET', key, 'turn'), call('XLEN', ns .. 'inbox:' .. sid)
  out[#out + 1] = { sid, call('HGETALL', key), pending, turn and call('HGETALL', proc_key(turn)) or {}, int(now) }
end
return out
