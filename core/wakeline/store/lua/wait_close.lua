-- Purpose: give up waits (a race's loser, a cancelled task). A signal that resolved one and is not journaled goes back to the head of the mailbox (race 11).
-- Include: base doorbell process slots
-- ARGV: pid, fence, ids, rows?
-- Reply: {'closed'} | {'lost'}
-- Atomic because between looking at the slot and closing it a signal could fall into it.
local p = load(a.pid)
if not holds(p, a.fence) then return { 'lost' } end
apply_rows(a.pid, p, a.rows)
for _, id in ipairs(a.ids) do
  local slot = fields(slot_key(id), 'k', 'rs')
  if slot.rs then call('LPUSH', ns .. 'mail:' .. a.pid, string.sub(slot.k, 3) .. ':' .. slot.rs) end
  close_slot(a.pid, id)
end
return { 'closed' }
