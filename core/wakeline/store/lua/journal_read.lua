-- Purpose: the journal and slots of a claimed process, where they were too large for the claim's reply.
-- Include: base process slots
-- ARGV: pid, fence
-- Reply: {'rows', [key, row]*, slots [id, fields]*} | {'lost'}
-- Atomic because rows and slots must be of one moment.
local p = load_run(a.pid)
if not holds(p, a.fence) then return { 'lost' } end
local slots = {}
for _, id in ipairs(call('SMEMBERS', ns .. 'waits:' .. a.pid)) do
  slots[#slots + 1] = { id, call('HGETALL', slot_key(id)) }
end
return { 'rows', call('HGETALL', ns .. 'journal:' .. a.pid), slots }
