-- Purpose: the agent frames of a session.
-- Include: base
-- ARGV: sid
-- Reply: {'frames', [frame, opened at]*, flat} | {'not_found'} | {'gone', sid, deleted at}
-- Atomic only as every read is.
local head = fields(ns .. 'sess:' .. a.sid, 'ag', 'gone')
if head.gone then return { 'gone', a.sid, head.gone } end
if not head.ag then return { 'not_found' } end
return { 'frames', call('HGETALL', ns .. 'frames:' .. a.sid) }
