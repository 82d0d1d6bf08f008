-- Purpose: before bytes are uploaded: note the upload, or find that the bytes are there already and give them one owner
--          more.
-- Include: base attachments
-- ARGV: id, owner, stands_in? (a payload that a stand-in stands for), place ("<backend> <location>")
-- Reply: {'kept', place} (nothing to upload) | {'upload'}
-- Atomic because between the look and the owner a sweep might remove the bytes.
local place = call('HGET', att_key(a.id), 'l')
if place then
  attachments.own(a.id, a.owner)
  if a.stands_in then call('HSET', att_key(a.id), 'c', '1') end
  return { 'kept', place }
end
call('ZADD', ns .. 'uploads', int(now), a.place)
return { 'upload' }
