-- Purpose: ask a process to end; sticky. Its waits resolve cancelled, its owner is told, and a grace timer ends it in
--          any case.
-- Include: base process journal cancel
-- ARGV: pid, reason (JSON object), grace_ms, sender? {fence, row, rows}
-- Reply: {'requested'|'already', status} | {'ended', status} | {'lost'} | not_found | pruned
-- Atomic because a cancel between a claim and a wait's opening must be seen by one of them (race 2).
local s = a.sender
if s then
  local from = load(s.fence.pid)
  if not holds(from, s.fence, s.rows) then return { 'lost' } end
  if not load(a.pid).st then return missing(a.pid) end
  apply_rows(s.fence.pid, from, s.rows)
  write_row(s.fence.pid, s.row)
end
local p = load(a.pid)
if not p.st then return missing(a.pid) end
if ENDED[p.st] then return { 'ended', p.st } end
if p.cr then return { 'already', p.st } end
cancel.request(a.pid, p, a.reason, a.grace_ms)
return { 'requested', call('HGET', proc_key(a.pid), 'st') }
