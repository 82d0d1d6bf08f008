-- Purpose: a page of sessions by last activity, newest first.
-- Include: base
-- ARGV: limit, score? and sid? (where the last page ended)
-- Reply: [sid, head fields, pending entries, fields of its turn, now, its score]*; a page has 256 at most
-- Atomic only for a consistent page.
local list, from, out = ns .. 'idx:sessions', 0, {}
if a.sid then
  -- Behind it; where it was active since, behind all that were active later than it was.
  local at = call('ZSCORE', list, a.sid)
  from = at == a.score and call('ZREVRANK', list, a.sid) + 1 or call('ZCOUNT', list, '(' .. a.score, '+inf')
end
local page = call('ZREVRANGE', list, int(from), int(from + math.min(a.limit, BOUND) - 1), 'WITHSCORES')
for i = 1, #page, 2 do
  local sid = page[i]
  local key = ns .. 'sess:' .. sid
  local turn, pending = call('HGET', key, 'turn'), call('XLEN', ns .. 'inbox:' .. sid)
  local fields_of_turn = turn and call('HGETALL', proc_key(turn)) or {}
  out[#out + 1] = { sid, call('HGETALL', key), pending, fields_of_turn, int(now), page[i + 1] }
end
return out
