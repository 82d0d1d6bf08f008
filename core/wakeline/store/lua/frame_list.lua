-- Purpose: the agent frames of a session.
-- Include: base
-- ARGV: sid
-- Reply: [frame, opened at]*, flat
-- Atomic only as every read is.
return call('HGETALL', ns .. 'frames:' .. a.sid)
