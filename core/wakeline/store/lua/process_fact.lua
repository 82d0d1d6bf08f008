-- Purpose: write a lifecycle fact of a process that is not its end: an external reference or a new wake target.
-- Include: base filters log process entries
-- ARGV: pid, fact (external_ref|retarget), payload (JSON), sid? (new target, absent = none)
-- Reply: {'written', sequence} | {'gone', sid, deleted at} | {'same'} | {'conflict', existing} | {'terminal', status} |
--        not_found | pruned
-- Atomic because the record is a fold of its events: a field without its event would drift.
local p = load(a.pid)
if not p.st then return missing(a.pid) end
if a.fact == 'external_ref' then
  local known = call('HGET', ns .. 'replay:' .. a.pid, 'external_ref')
  if known then
    if known == a.payload then return { 'same' } end
    return { 'conflict', known }
  end
  if ENDED[p.st] then return { 'terminal', p.st } end
  call('HSET', ns .. 'replay:' .. a.pid, 'external_ref', a.payload)
  return { 'written', append(a.pid, p, 'process.external_ref_set', a.payload) }
end
if p.ws == a.sid then return { 'same' } end
if ENDED[p.st] then return { 'terminal', p.st } end
local gone = a.sid and call('HGET', ns .. 'sess:' .. a.sid, 'gone')
if gone then return { 'gone', a.sid, gone } end
-- What waits for a session that was never opened was not delivered yet: it goes with the old target. Delivered wakes
-- stay where they are.
if p.ws and not call('HGET', ns .. 'sess:' .. p.ws, 'ag') then
  local mine = '{"kind":"wake","process_id":' .. quote(a.pid) .. ','
  for _, entry in ipairs(call('XRANGE', ns .. 'inbox:' .. p.ws, '-', '+', 'COUNT', BOUND)) do
    local n = string.match(entry[1], '^%d+')
    local body = call('HGET', ns .. 'wakes:' .. p.ws, n) or ''
    if string.sub(body, 1, #mine) == mine then entries.drop(p.ws, n, 'retargeted') end
  end
end
if a.sid then call('HSET', proc_key(a.pid), 'ws', a.sid) else call('HDEL', proc_key(a.pid), 'ws') end
filters.renew(a.pid, 's')
return { 'written', append(a.pid, p, 'process.retargeted', a.payload) }
