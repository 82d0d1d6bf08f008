-- Purpose: add what a worker counted to the totals of the namespace.
-- Include: base metrics
-- ARGV: owner, n (which write of this owner it is), counted [series, number]*
-- Reply: {'added'} | {'reaped'}
-- Atomic because a write that is sent again must find that it was made.
unasked = true
if not call('ZSCORE', ns .. 'owners', a.owner) then return { 'reaped' } end
if num(call('HGET', ns .. 'counted', a.owner), 0) >= a.n then return { 'added' } end
for i = 1, #a.counted, 2 do metrics.add(a.counted[i], a.counted[i + 1]) end
call('HSET', ns .. 'counted', a.owner, int(a.n))
return { 'added' }
