-- Purpose: tell whoever follows a session what its turn is doing.
-- Include: base doorbell process slots sessions
-- ARGV: sid, id, correlation, event (JSON)
-- Reply: {'told'}
-- Atomic because the number of an item and the item are one.
tell(a.sid, 'activity', 'id', a.id, 'c', a.correlation, 'e', a.event)
return { 'told' }
