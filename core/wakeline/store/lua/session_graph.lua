-- Purpose: where a session stands among others: whose turn first wrote to it, and whom its turns first wrote to.
-- Include: base
-- ARGV: sid
-- Reply: {'node', parent or '', children [sid]*, frames {name, at}*, revision} | {'not_found'} | {'gone', sid, deleted
--        at}
-- Atomic because a session and its frames must be of one moment.
local s = fields(ns .. 'sess:' .. a.sid, 'ag', 'pa', 'rev', 'gone')
if s.gone then return { 'gone', a.sid, s.gone } end
if not s.ag then return { 'not_found' } end
local born, frames = call('SRANDMEMBER', ns .. 'born:' .. a.sid, BOUND), call('HGETALL', ns .. 'frames:' .. a.sid)
return { 'node', s.pa or '', born, frames, s.rev or '0' }
