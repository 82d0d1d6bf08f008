-- Purpose: mark and sweep, a bounded part of it: owners that are gone own nothing any more. Bytes without an owner are
--          condemned, and so are uploads that never ended. The sweeper, which has the backend, removes what is
--          condemned and says so.
-- Include: base attachments
-- ARGV: limit, removed? (places whose bytes are gone), later? (places in a backend that the sweeper has not: after the
--       others)
-- Reply: {[place]* (condemned and not removed), attachments looked at, attachments given up, more ('1')}
-- Atomic because between the last look at the owners and the end of the attachment a process might become one.
for _, place in ipairs(a.removed or {}) do call('ZREM', ns .. 'condemned', place) end
local again = int(now + attachments.LOOK_EVERY)
for _, place in ipairs(a.later or {}) do call('ZADD', ns .. 'condemned', 'XX', again, place) end
local looked, gone = 0, 0
local due = call('ZRANGEBYSCORE', ns .. 'attachments', '-inf', int(now), 'LIMIT', 0, int(a.limit))
local unfinished = false
for _, id in ipairs(due) do
  looked = looked + 1
  -- An attachment may have any number of owners: a page of them at a time, from where the last look stopped.
  local key = att_key(id)
  local f = fields(key, 'l', 'c', 's', 'lv')
  local page, lives = call('HSCAN', key, f.s or '0', 'MATCH', 'o:*', 'COUNT', BOUND), f.lv == '1'
  for i = 1, #page[2], 2 do
    local owner = string.sub(page[2][i], 3)
    if attachments.owner_lives(owner, tonumber(page[2][i + 1]), id) then
      lives = true
    else
      attachments.disown(id, owner)
    end
  end
  if page[1] ~= '0' then
    call('HSET', key, 's', page[1], 'lv', lives and '1' or '0')
    unfinished = true
  else
    call('HDEL', key, 's', 'lv')
    if lives or call('HLEN', key) > (f.c and 5 or 4) then
      call('ZADD', ns .. 'attachments', again, id)
    else
      call('ZREM', ns .. 'attachments', id)
      call('UNLINK', key)
      if f.l then call('ZADD', ns .. 'condemned', int(now), f.l) end
      gone = gone + 1
    end
  end
end
local stale = call('ZRANGEBYSCORE', ns .. 'uploads', '-inf', int(now - attachments.FRESH), 'LIMIT', 0, int(a.limit))
for _, place in ipairs(stale) do
  call('ZREM', ns .. 'uploads', place)
  call('ZADD', ns .. 'condemned', int(now), place)
end
local more = (unfinished or #due == a.limit or #stale == a.limit) and '1' or '0'
return { call('ZRANGE', ns .. 'condemned', 0, a.limit - 1), looked, gone, more }
