-- Purpose: tell the followers of a session what its turn is doing.
-- Include: base feed
-- ARGV: sid, id, correlation, event (JSON)
-- Reply: {'told'} (a deleted session has nothing more to say)
-- Atomic because the number of an item and the item are one.
if not call('HGET', ns .. 'sess:' .. a.sid, 'gone') then
  tell(a.sid, 'activity', 'id', a.id, 'c', a.correlation, 'e', a.event)
end
return { 'told' }
