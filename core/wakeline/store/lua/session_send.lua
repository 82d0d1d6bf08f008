-- Purpose: put a user's input into a session's inbox (or only create the session) and start the turn it needs.
-- Include: base doorbell process sessions
-- ARGV: session {sid, agent, queue, salt}, body? (JSON; absent = only create), dedupe? (sender's key), hash? (of the content)
-- Reply: {'sent', entry, turn or ''} | {'replayed', entry, ''} | {'conflict'} | {'created'}
-- Atomic because an entry without a turn to take it would wait for ever.
local sid = a.session.sid
open_session(a.session)
if not a.body then return { 'created' } end
local bodies = ns .. 'wakes:' .. sid
if a.dedupe then
  local known = call('HGET', bodies, 'key:' .. a.dedupe)
  if known then
    local n, hash = string.match(known, '^(%d+):(.*)$')
    if hash ~= a.hash then return { 'conflict' } end
    return { 'replayed', n, '' }
  end
end
local n = deliver(sid, 'input', a.body)
if a.dedupe then call('HSET', bodies, 'key:' .. a.dedupe, n .. ':' .. a.hash, n .. ':k', a.dedupe) end
return { 'sent', n, call('HGET', ns .. 'sess:' .. sid, 'turn') or '' }
