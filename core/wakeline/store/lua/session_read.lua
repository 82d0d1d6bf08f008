-- Purpose: one consistent look at a session.
-- Include: base
-- ARGV: sid, after (history with a higher number), count, entries (inbox entries and settled ones to show), frame?
--       (only its messages; '' = before any)
-- Reply: {head fields, state JSON or '', history [id, fields]*,
--        entries [n, body, state, swallowed, error or '', swallowed ones 'pid (a word)#sequence '*]*,
--        where the search for a frame's messages stopped or '', pending entries, fields of its turn, now}
--       | {'not_found'}
-- Atomic because head, history and inbox must be of one moment.
local key = ns .. 'sess:' .. a.sid
local head = call('HGETALL', key)
if #head == 0 then return { 'not_found' } end
local hist, history, stopped = ns .. 'hist:' .. a.sid, {}, ''
if a.count > 0 and not a.frame then
  history = call('XRANGE', hist, '(' .. int(a.after) .. '-0', '+', 'COUNT', int(a.count))
end
if a.count > 0 and a.frame then
  local from = '(' .. int(a.after) .. '-0'
  for _ = 1, 16 do
    local page = call('XRANGE', hist, from, '+', 'COUNT', BOUND)
    for _, row in ipairs(page) do
      if (row[2][8] or '') == a.frame and #history < a.count then history[#history + 1] = row end
    end
    stopped = ''
    if #page < BOUND or #history >= a.count then break end
    stopped = page[#page][1]
    from = '(' .. stopped
  end
end
local shown, last = {}, tonumber(call('HGET', key, 'n') or '0')
for n = math.max(1, last - a.entries + 1), last do
  local id = int(n)
  local f = fields(ns .. 'wakes:' .. a.sid, id, id .. ':s', id .. ':c', id .. ':e', id .. ':w')
  if f[id] then
    local state, swallowed = f[id .. ':s'] or '', f[id .. ':c'] or '0'
    shown[#shown + 1] = { id, f[id], state, swallowed, f[id .. ':e'] or '', f[id .. ':w'] or '' }
  end
end
local turn, pending = call('HGET', key, 'turn'), call('XLEN', ns .. 'inbox:' .. a.sid)
return {
  head, call('GET', ns .. 'state:' .. a.sid) or '', history, shown, stopped, pending,
  turn and call('HGETALL', proc_key(turn)) or {}, int(now),
}
