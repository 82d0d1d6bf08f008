-- Purpose: sessions by last activity, newest first.
-- Include: base
-- ARGV: limit
-- Reply: [sid, head fields, pending entries]*
-- Atomic only for a consistent page.
local out = {}
for _, sid in ipairs(call('ZREVRANGE', ns .. 'idx:sessions', 0, a.limit - 1)) do
  out[#out + 1] = { sid, call('HGETALL', ns .. 'sess:' .. sid), call('XLEN', ns .. 'inbox:' .. sid) }
end
return out
