-- Purpose: mark and sweep, a bounded part of it: owners that are gone own nothing any more, and bytes that nobody owns are condemned, as are the
--   uploads that never came to their end. Whoever has the backend removes what is condemned and says so.
-- Include: base attachments
-- ARGV: limit, removed? (places whose bytes are gone), later? (places in a backend that the sweeper has not: after the others)
-- Reply: {[place]* (condemned and not removed), attachments looked at, attachments given up, more ('1')}
-- Atomic because between the last look at the owners and the end of the attachment somebody might become one.
for _, place in ipairs(a.removed or {}) do call('ZREM', ns .. 'condemned', place) end
for _, place in ipairs(a.later or {}) do call('ZADD', ns .. 'condemned', 'XX', int(now), place) end
local looked, gone = 0, 0
local due = call('ZRANGEBYSCORE', ns .. 'attachments', '-inf', int(now), 'LIMIT', 0, int(a.limit))
for _, id in ipairs(due) do
  looked = looked + 1
  local facts = call('HGETALL', att_key(id))
  local place, lives, since = nil, 0, 0
  for i = 1, #facts, 2 do
    local owner = string.match(facts[i], '^o:(.*)$')
    if facts[i] == 'l' then place = facts[i + 1] end
    if owner and owner_lives(owner, tonumber(facts[i + 1])) then
      lives = lives + 1
    elseif owner then
      disown(id, owner)
    end
  end
  if lives > 0 then
    call('ZADD', ns .. 'attachments', int(now + LOOK_EVERY), id)
  else
    call('ZREM', ns .. 'attachments', id)
    call('UNLINK', att_key(id))
    if place then call('ZADD', ns .. 'condemned', int(now), place) end
    gone = gone + 1
  end
end
local stale = call('ZRANGEBYSCORE', ns .. 'uploads', '-inf', int(now - FRESH), 'LIMIT', 0, int(a.limit))
for _, place in ipairs(stale) do
  call('ZREM', ns .. 'uploads', place)
  call('ZADD', ns .. 'condemned', int(now), place)
end
local more = (#due == a.limit or #stale == a.limit) and '1' or '0'
return { call('ZRANGE', ns .. 'condemned', 0, a.limit - 1), looked, gone, more }
