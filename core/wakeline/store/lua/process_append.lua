-- Purpose: append one event of a producer (never a lifecycle type), and the wake and the end it means, in one step.
-- Include: base log process journal inbox ends
-- ARGV: pid, inc? (must still be this incarnation), type, payload (JSON), replay_key?, hash (type + canonical payload),
--       semantics? (JSON), wake? {input (JSON string), same?, sid? (instead of the process's target)}, ends? {status,
--       output (await output, JSON)} (the event ends its process), fence?, row?, rows?, external? (only an external
--       process), headers? (JSON: what instruments gave its sender, for what it wakes)
-- Reply: {'appended', sequence, at, wake entry|''} | {'replayed', sequence, at, ''} | {'conflict'} | {'terminal',
--        status} | {'stale'} | {'not_external'} | {'lost'} | not_found | pruned
-- Atomic because an event without its wake, or a wake without its event, must never exist.
local p = load(a.pid)
if not p.st then return missing(a.pid) end
if a.inc and p.inc ~= a.inc then return { 'stale' } end
if a.fence and not holds(p, a.fence, a.rows) then return { 'lost' } end
if a.external and p.k ~= 'x' then return { 'not_external' } end
-- A resend of a body's event finds its row: the event is there.
local written = a.fence and a.row and call('HGET', ns .. 'journal:' .. a.pid, a.row.k)
if written then return { 'replayed', string.sub(written, #a.row.a + 1, -#a.row.b - 1), int(now), '' } end
if a.replay_key then
  local known = call('HGET', ns .. 'replay:' .. a.pid, 'k:' .. a.replay_key)
  if known then
    local seq, hash = string.match(known, '^(%d+):(.*)$')
    if hash ~= a.hash then return { 'conflict' } end
    if a.fence then
      apply_rows(a.pid, p, a.rows)
      if a.row then write_row(a.pid, a.row, seq) end
    end
    local event = call('XRANGE', ns .. 'events:' .. a.pid, seq .. '-0', seq .. '-0')
    return { 'replayed', seq, event[1] and event[1][2][6] or '0', '' }
  end
end
if ENDED[p.st] then return { 'terminal', p.st } end
if a.fence then apply_rows(a.pid, p, a.rows) end
local seq = append(a.pid, p, a.type, a.payload, a.replay_key, a.semantics, nil, a.headers)
if a.replay_key then call('HSET', ns .. 'replay:' .. a.pid, 'k:' .. a.replay_key, seq .. ':' .. a.hash) end
if a.row then
  write_row(a.pid, a.row, seq)
elseif a.fence then
  -- Code of a tool said it, whose call has the row. It is counted too, so that the run finds out where it is lost.
  a.now = call('HINCRBY', proc_key(a.pid), 'jb', 1)
  a.had = a.had or a.now - 1
end
progressed(a.pid, p)
local n = ''
if a.wake then
  local sid = a.wake.sid or p.ws
  if sid then n = deliver(sid, 'wake', wake_body(a.pid, p.inc, seq, a.type, a.wake.input), a.wake.same) end
end
if a.ends then
  if n ~= '' then
    -- What was delivered may have resumed it (it awaited an entry that is no longer admitted), or asked it to end.
    p = load(a.pid)
    p.we = nil -- the event's own wake tells of it
  end
  finish(a.pid, p, a.ends.status, a.ends.output, a.ends.text)
end
return { 'appended', seq, int(now), n }
