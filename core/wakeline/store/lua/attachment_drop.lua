-- Purpose: an owner gives an attachment up. The next sweep removes bytes that have no owner.
-- Include: base attachments
-- ARGV: id, owner
-- Reply: {'dropped'|'none'}
-- Atomic because both directions of ownership are one fact.
if attachments.disown(a.id, a.owner) == 0 then return { 'none' } end
call('ZADD', ns .. 'attachments', int(now), a.id)
return { 'dropped' }
