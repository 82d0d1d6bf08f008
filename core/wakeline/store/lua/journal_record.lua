-- Purpose: record the outcome of one effect, fenced. What is recorded never runs again.
-- Include: base doorbell process slots
-- ARGV: pid, fence, rows [{k, v, s?}]
-- Reply: {'recorded'} | {'lost'}
-- Atomic because a row without its slots' end would let a second wait swallow the next signal (race 4).
local p = load_run(a.pid)
if not holds(p, a.fence) then return { 'lost' } end
apply_rows(a.pid, p, a.rows)
return { 'recorded' }
