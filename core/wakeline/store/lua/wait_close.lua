-- Purpose: give up waits (a race's loser, a cancelled task). A signal that resolved one and is not journaled goes back to the head of the mailbox (race 11).
-- Include: base doorbell process slots
-- ARGV: pid, fence, ids, rows?
-- Reply: {'closed'} | {'lost'}
-- Atomic because between looking at the slot and closing it a signal could fall into it.
local p = load(a.pid)
if not holds(p, a.fence) then return { 'lost' } end
apply_rows(a.pid, p, a.rows)
give_up(a.pid, a.ids)
return { 'closed' }
