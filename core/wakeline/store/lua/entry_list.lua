-- Purpose: entries of one session by number, or of all sessions those that came to no good end, latest first.
-- Include: base
-- ARGV: limit (1,000 at most), sid?, after? (a higher number than this) or before? (the latest with a lower one;
--       without both the latest), n? (only this one), behind? (of all sessions: where the last page ended), seen? (how
--       many were seen until there)
-- Reply: {head fields of the session, pending entries, fields of its turn, [sid, n, body, state, swallowed, error or
--        '', swallowed ones 'pid (a word)#sequence '*]*, now, next: the number, or what was seen last, to go on from;
--        '' where nothing follows}; a page may hold fewer than the limit while more follow
-- Atomic because the states of one page must be of one moment.
local out, limit, SCANNED = {}, math.min(a.limit, 1000), 2000
local function show(sid, n)
  local f = fields(ns .. 'wakes:' .. sid, n, n .. ':s', n .. ':c', n .. ':e', n .. ':w')
  if not f[n] then return end
  local state, swallowed = f[n .. ':s'] or '', f[n .. ':c'] or '0'
  out[#out + 1] = { sid, n, f[n], state, swallowed, f[n .. ':e'] or '', f[n .. ':w'] or '' }
end
if not a.sid then
  local idx = ns .. 'idx:undeliverable'
  local at = a.behind and call('ZREVRANK', idx, a.behind)
  local from = at and at + 1 or a.seen or 0
  local page = call('ZREVRANGE', idx, int(from), int(from + limit - 1))
  for _, member in ipairs(page) do
    local sid, n = string.match(member, '^(.*)#(%d+)$')
    show(sid, n)
  end
  return { {}, 0, {}, out, int(now), #page == limit and page[#page] or '' }
end
local head, turn = call('HGETALL', ns .. 'sess:' .. a.sid), call('HGET', ns .. 'sess:' .. a.sid, 'turn')
local last, following = tonumber(call('HGET', ns .. 'sess:' .. a.sid, 'n') or '0'), ''
if a.n then
  show(a.sid, int(a.n))
elseif limit > 0 then
  local pending = call('XRANGE', ns .. 'inbox:' .. a.sid, '-', '+', 'COUNT', 1)
  local oldest = pending[1] and tonumber(string.match(pending[1][1], '^%d+')) or last
  local first = math.max(1, math.min(oldest, last - 1000)) -- what is older is forgotten
  local n, to, step = math.min((a.before or last + 1) - 1, last), first, -1
  if a.after then n, to, step = math.max(a.after + 1, first), last, 1 end
  for at = n, to, step do
    if #out >= limit or math.abs(at - n) >= SCANNED then
      following = int(at - step)
      break
    end
    show(a.sid, int(at))
  end
  if step < 0 then
    for i = 1, math.floor(#out / 2) do out[i], out[#out + 1 - i] = out[#out + 1 - i], out[i] end
  end
end
local pending = call('XLEN', ns .. 'inbox:' .. a.sid)
return { head, pending, turn and call('HGETALL', proc_key(turn)) or {}, out, int(now), following }
