-- Purpose: offer an entry again that came to no good end, or give up on the one that blocks its session.
-- Include: base feed entries turns inbox
-- ARGV: sid, n, skip? (a blocked entry becomes failed and the session goes on)
-- Reply: {'redriven', number it has now} | {'skipped', n} | {'refused', state} | {'gone', sid, deleted at} |
--        {'not_found'}
-- Atomic because an entry offered twice would be handled twice: the old one names its successor.
local head, bodies, n = ns .. 'sess:' .. a.sid, ns .. 'wakes:' .. a.sid, int(a.n)
local s = fields(head, 'gone', 'blk', 'salt')
if s.gone then return { 'gone', a.sid, s.gone } end
local state = entries.state_of(a.sid, n)
local verb = entries.verb_of(state)
if verb == '' then return { 'not_found' } end
if a.skip then
  if verb == 'failed' then return { 'skipped', n } end
  if verb ~= 'blocked' then return { 'refused', state } end
  call('HDEL', head, 'blk', 'half', 'hw')
  local output = call('HGET', bodies, n .. ':e')
    or '{"type":"failure","class":"execution","code":"skipped","message":"its turn failed and it was skipped"}'
  entries.conclude(a.sid, n, 'failed' .. string.sub(state, 8), '{"status":"ok","value":' .. output .. '}')
  turns.begin_next(a.sid)
  return { 'skipped', n }
end
if verb == 'superseded' then return { 'redriven', string.match(state, '%d+') } end
if verb == 'delivered' or verb == 'admitted' then return { 'redriven', n } end
if verb == 'blocked' then
  call('HDEL', head, 'blk')
  call('HSET', head, 'half', '1', 'hw', n)
  call('HSET', bodies, n .. ':s', 'delivered')
  tell_entry(a.sid, n, 'delivered')
  call('HDEL', bodies, n .. ':e')
  call('ZREM', ns .. 'idx:undeliverable', a.sid .. '#' .. n)
  turns.begin_next(a.sid)
  return { 'redriven', n }
end
if verb == 'settled' then return { 'refused', state } end
local body = call('HGET', bodies, n)
local heir = deliver(a.sid, kind_of(s, body), body)
call('HSET', bodies, n .. ':s', 'superseded ' .. heir .. ' ' .. int(now))
tell_entry(a.sid, n, 'superseded ' .. heir)
call('ZREM', ns .. 'idx:undeliverable', a.sid .. '#' .. n)
return { 'redriven', heir }
