-- Purpose: fix the batch of a turn at its first claim: pending entries in order, up to max. A later run of the same turn gets the same batch.
-- Include: base doorbell process slots
-- ARGV: pid, fence, sid, max
-- Reply: {'batch', rev, state JSON or '', [n, body, swallowed]*} | {'lost'}
-- Atomic because an entry admitted to a turn must not coalesce with a later wake.
local p = load(a.pid)
if not holds(p, a.fence) then return { 'lost' } end
local bodies, journal = ns .. 'wakes:' .. a.sid, ns .. 'journal:' .. a.pid
local batch = call('HGET', journal, '@inbox')
if not batch then
  local numbers = {}
  for _, entry in ipairs(call('XRANGE', ns .. 'inbox:' .. a.sid, '-', '+', 'COUNT', int(a.max))) do
    local n = string.match(entry[1], '^%d+')
    numbers[#numbers + 1] = n
    call('HSET', bodies, n .. ':s', 'admitted ' .. a.pid .. ' ' .. int(now))
    local key = call('HGET', bodies, n .. ':co')
    if key then call('HDEL', bodies, 'co:' .. key) end
  end
  batch = table.concat(numbers, ',')
  write_row(a.pid, { k = '@inbox', v = batch })
end
local entries = {}
for n in string.gmatch(batch, '%d+') do
  entries[#entries + 1] = { n, call('HGET', bodies, n) or '', call('HGET', bodies, n .. ':c') or '0' }
end
return { 'batch', call('HGET', ns .. 'sess:' .. a.sid, 'rev'), call('GET', ns .. 'state:' .. a.sid) or '', entries }
