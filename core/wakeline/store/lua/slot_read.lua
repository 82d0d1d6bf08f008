-- Purpose: what became of slots whose resolution was hinted at.
-- Include: base log process slots
-- ARGV: pid, fence, ids
-- Reply: {'slots', cancel requested ('1' or ''), [resolution, '' (open) or '-' (there is no such slot)]*, its reason
--        (JSON string) or ''} | {'lost'}
-- Atomic because the cancel mark and the slots must be of one moment.
local p = load_run(a.pid)
if not holds(p, a.fence) then return { 'lost' } end
local out = {}
for i, id in ipairs(a.ids) do
  local slot = fields(slot_key(id), 'r', 'k')
  out[i] = slot.r or (slot.k and '' or '-')
end
return { 'slots', p.cr and '1' or '', out, p.cr and quote(cancel_reason(a.pid)) or '' }
