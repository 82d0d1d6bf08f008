-- Purpose: give up waits (a race's loser, a cancelled task). A signal that resolved one and is not journaled goes back
--          to the head of the mailbox (race 11).
-- Include: base letters process slots mailbox journal
-- ARGV: pid, fence, ids (at most 256), rows?
-- Reply: {'closed'} | {'lost'}
-- Atomic because between looking at the slot and closing it a signal could fall into it.
local p = load_run(a.pid)
if not holds(p, a.fence, a.rows) then return { 'lost' } end
apply_rows(a.pid, p, a.rows)
local once = {} -- signals and timers; the end of one child may be awaited again in the same run
for _, id in ipairs(a.ids) do
  local code = string.sub(call('HGET', slot_key(id), 'k') or '', 1, 2)
  if code == WAIT.signal or code == WAIT.timer then once[#once + 1] = id end
end
mailbox.give_up(a.pid, a.ids)
-- A duplicate of the opening may still be on its way: in this run the wait stays closed, or it would swallow the next
-- signal (race 4).
for _, id in ipairs(once) do
  call('HSET', slot_key(id), 'z', p.cl)
  call('PEXPIRE', slot_key(id), 60000)
end
return { 'closed' }
