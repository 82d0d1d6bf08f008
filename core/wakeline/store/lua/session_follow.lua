-- Purpose: what changed in a session after a cursor; from now on it is followed, for a while.
-- Include: base
-- ARGV: sid, after? (a number of the feed; absent = from now on), mark? (of the session the cursor is of), count,
--       ttl_ms
-- Reply: {mark, last number, items [id, fields]*, deleted at or '' (nothing more will be told)} | {'foreign'} |
--        {'not_found'}
-- Atomic because what changes between the look and the following would be told to no follower.
unasked = true
local head = ns .. 'sess:' .. a.sid
local s = fields(head, 'fd', 'salt', 'gone', 'mk', 'cl')
if call('EXISTS', head) == 0 then return { 'not_found' } end
local mark = s.mk or string.sub(s.salt or int(now), -8)
if a.after and (a.mark ~= mark or a.after > tonumber(s.fd or '0')) then return { 'foreign' } end
if not s.mk then call('HSET', head, 'mk', mark) end
local key = ns .. 'followed:' .. a.sid
if not s.gone or s.cl then
  -- While the session had no follower, changes may have been told to no one: a number without an item stands for them.
  if call('SET', key, '1', 'PX', int(a.ttl_ms), 'NX') then
    s.fd = int(call('HINCRBY', head, 'fd', 1))
  else
    call('PEXPIRE', key, int(a.ttl_ms))
  end
end
local items = {}
if a.after then
  items = call('XRANGE', ns .. 'feed:' .. a.sid, '(' .. int(a.after) .. '-0', '+', 'COUNT', int(a.count))
end
return { mark, s.fd or '0', items, s.gone and not s.cl and s.gone or '' }
