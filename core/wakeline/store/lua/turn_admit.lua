-- Purpose: fix the batch of a turn whose claim did not bring it (a stock worker's, or an operator's).
-- Include: base process admitting
-- ARGV: pid, fence, sid, max, policy? (the agent's, JSON; '' = the defaults; absent = as known)
-- Reply: {'batch', rev, state JSON or '', [n, body, swallowed]*, frame or '', follow-on turns so far, followed
--        ('1'|'0')} | {'lost'}
-- Atomic because an entry admitted to a turn must not coalesce with a later wake.
local p = load(a.pid)
if not holds(p, a.fence) then return { 'lost' } end
return { 'batch', unpack((admit_batch(a.pid, a.sid, a.max, a.policy))) }
