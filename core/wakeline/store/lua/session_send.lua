-- Purpose: put an input or a command into a session's inbox (or only create the session) and start the turn it needs.
-- Include: base process journal inbox sessions
-- ARGV: session {sid, agent, queue, salt}, body? (JSON object, to which the time is added; absent = only create), kind?
--       (command; absent = input), dedupe? (sender's key), hash? (of the content), fence?, row?, rows? (a body sends:
--       its row in the same step), headers? (JSON: what instruments gave its sender)
-- Reply: {'sent', entry, turn or ''} | {'replayed', entry, ''} | {'conflict'} | {'created'} | {'gone', sid, deleted at}
--        | {'lost'}
-- Atomic because an entry without a turn to take it would wait without an end.
local sid = a.session.sid
local from = a.fence and load(a.fence.pid)
if from and not holds(from, a.fence, a.rows) then return { 'lost' } end
local open, deleted = open_session(a.session, from and from.sid)
if not open then return { 'gone', sid, deleted } end
if not a.body then return { 'created' } end
local function recorded(n)
  if not from then return end
  apply_rows(a.fence.pid, from, a.rows)
  write_row(a.fence.pid, a.row, n)
  progressed(a.fence.pid, from)
end
local bodies = ns .. 'wakes:' .. sid
if a.dedupe then
  local known = call('HGET', bodies, 'key:' .. a.dedupe)
  if known then
    local n, hash = string.match(known, '^(%d+):(.*)$')
    if hash ~= a.hash then return { 'conflict' } end
    recorded(n)
    return { 'replayed', n, '' }
  end
end
local headers = a.headers and ',"headers":' .. a.headers or ''
local body = string.sub(a.body, 1, -2) .. ',"at_ms":' .. int(now) .. headers .. '}'
local n, turn = deliver(sid, a.kind or 'input', body, nil, a.dedupe and { a.dedupe, a.hash })
recorded(n)
return { 'sent', n, turn or '' }
