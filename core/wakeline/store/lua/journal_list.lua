-- Purpose: what a process has recorded, for a reader: the keys of its journal, a part of them each time, or some rows.
-- Include: base attachments
-- ARGV: pid, cursor? ('0' at first; then what the last reply said), keys? [replay key]* (at most 256, without a cursor)
-- Reply: {'keys', next cursor ('0': that was all), [key, number ('' where its row is stored apart), kind, hash, 'x' of
--        one that ended with an error]*}
--        | {'rows', [key, row, [bytes of a payload that is stored apart]*]*} (as many as fit, in order; a row that is
--        gone is ''; no stand-in is looked up) | not_found | pruned
-- Atomic because it is one read.
if call('EXISTS', proc_key(a.pid)) == 0 then return missing(a.pid) end
local journal = ns .. 'journal:' .. a.pid
local found = {}
if not a.keys then
  local page = call('HSCAN', journal, a.cursor, 'COUNT', BOUND)
  for i = 1, #page[2], 2 do
    local key, row = page[2][i], page[2][i + 1]
    -- A name before which an @ stands is a mark of the run's own.
    if string.sub(key, 1, 1) ~= '@' then
      local kind, hash = string.match(row, '"k":"([%w_]+)","h":"(%x+)","at":%d+,"f":"')
      local n, failed = string.match(row, '^{"n":(%d+),') or '', string.match(row, '^{"n":%d+,"(x)"') or ''
      found[#found + 1] = { key, n, kind or '', hash or '', failed }
    end
  end
  return { 'keys', page[1], found }
end
local MOST = 65536
local used = 0
for i, row in ipairs(call('HMGET', journal, unpack(a.keys, 1, math.min(#a.keys, BOUND)))) do
  row = row or ''
  used = used + #row
  if i > 1 and used > MOST then break end
  local sizes = {}
  for id in string.gmatch(row, '{"__claim__":"(sha256:%x+)"}') do
    sizes[#sizes + 1] = call('HGET', att_key(id), 'n') or '0'
  end
  found[i] = { a.keys[i], row, sizes }
end
return { 'rows', found }
