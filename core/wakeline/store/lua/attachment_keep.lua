-- Purpose: after an upload: from now on these bytes are kept, for this owner. Of two uploads of the same bytes the
--          second is removed again.
-- Include: base attachments
-- ARGV: id, owner, stands_in?, place, type, size
-- Reply: {'kept', place} | {'late'} (its intent was swept meanwhile: upload again)
-- Atomic because bytes without an intent and without an owner are a sweep's.
local known = call('HGET', att_key(a.id), 'l')
if known == a.place then
  attachments.own(a.id, a.owner) -- sent twice
  return { 'kept', known }
end
if call('ZREM', ns .. 'uploads', a.place) == 0 then return { 'late' } end
if known then
  call('ZADD', ns .. 'condemned', int(now), a.place)
else
  call('HSET', att_key(a.id), 'l', a.place, 't', a.type, 'n', int(a.size), 'at', int(now))
  call('ZADD', ns .. 'attachments', int(now + attachments.FRESH), a.id)
end
attachments.own(a.id, a.owner)
if a.stands_in then call('HSET', att_key(a.id), 'c', '1') end
return { 'kept', known or a.place }
